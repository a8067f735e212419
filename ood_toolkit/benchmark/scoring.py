"""`Scoring`: every scorer fitted once and every set walked once, all scorers on each chunk while it is in cache."""

from __future__ import annotations

import traceback
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ood_toolkit.api.registry import get_registry
from ood_toolkit.api.scorer import SPLIT_NEEDS, Prompts, Scorer, missing_needs
from ood_toolkit.api.stream import AnyScorer, StreamScorer, mixed
from ood_toolkit.benchmark.members import Member, class_names, common_names, head_print, labelled, member_sets
from ood_toolkit.benchmark.mined_lists import with_list
from ood_toolkit.benchmark.progress import Say
from ood_toolkit.errors import one_line
from ood_toolkit.outputs.arrays import to_numpy
from ood_toolkit.outputs.head import Head
from ood_toolkit.outputs.ledger import Ledger
from ood_toolkit.outputs.outputs import NONNEGATIVE, SOURCE_LABELS, Outputs
from ood_toolkit.report.remedies import NEEDS
from ood_toolkit.report.results import TEST, VAL, Answers, Row
from ood_toolkit.scorers.calibration import calibration_scores, learns_from_val, missed, shared_with_train
from ood_toolkit.scorers.families.margin import Margin
from ood_toolkit.scorers.families.small_banks import notes_on_bank
from ood_toolkit.scorers.scores import checked, fit, fitted_stream
from ood_toolkit.scorers.thresholds import threshold

__all__ = ["Scoring", "scorer_blamed"]

TRAIN, RUN = "train", ""
"""The training split, and whoever works for the run itself and no scorer."""


@dataclass(eq=False)
class Scoring:
    """The scorers of a run with all that is to be known of how they fared."""

    scorers: list[AnyScorer]
    progress: Say
    seed: int = 0
    """Of the order of a stream's images."""
    holds_probabilities: bool = False
    """Whether the answers hold the probabilities of all classes, for a combiner that needs them."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Fitting and scoring, by spec, but for arrays that several scorers used."""
    shared_seconds: float = 0.0
    """Deriving what several scorers used, such as logits; whoever asks first has no more of it than the others."""
    _ledger: Ledger = field(default_factory=Ledger, repr=False)
    left_out: dict[tuple[str, str], Row] = field(default_factory=dict)
    """A row that says why a scorer was skipped or failed, by member and spec."""
    said: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """What fitted scorers note about themselves, by member and spec."""
    cautions: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """What is to be said of negatives that are too few, by member and spec."""
    calibration: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    """Cross-fitted scores (n,) of ID validation of those that learn from it, by member and spec."""
    cuts: dict[tuple[str, str], float] = field(default_factory=dict)
    """From which score each member says "in-distribution", by member and spec."""
    class_cuts: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    """(k,) what a margin is taken from, by member and spec."""

    def answer(
        self, name: str, member: Member, members: Mapping[str, Member], called: Mapping[str, np.ndarray] | None = None
    ) -> dict[str, Answers]:
        """Fit all scorers on a member's ID splits and walk each of its sets once; keyed test, val, ood:NAME, ...

        `called` are the names (k,) of each member's classes, by default those that the members have in common.
        """
        sets = member_sets(name, member)
        called = called or common_names({one: found.tests[one] for one, found in members.items()})
        answers = self.scores(name, member, sets, calibrate=True, called=called[name])
        for key, x in sets.items():
            owner, known = labelled(name, x, key, members)
            _add_truth(answers[key], known, called[owner])
            answers[key].source = _source(x) if key.startswith("ood:") else None
        for spec, why in answers[VAL].failed.items() if VAL in answers else ():
            for said in answers.values():  # nothing can be decided with it
                said.failed.setdefault(spec, why)
                said.scores.pop(spec, None)
        self._decide(name, answers)
        cuts = {s: found for (own, s), found in self.class_cuts.items() if own == name and s in answers[TEST].cuts}
        if cuts:
            answers[TEST].classes, answers[TEST].class_cuts = class_names(sets[TEST]), cuts
        return answers

    def scores(
        self,
        name: str,
        member: Member,
        sets: Mapping[str, Outputs],
        without: Collection[str] = (),
        calibrate: bool = False,
        called: np.ndarray | None = None,
    ) -> dict[str, Answers]:
        """Fit all scorers on a member's ID splits and walk its sets once, but those of these keys.

        `called` are the names (k,) of its classes, by default its own.
        """
        called = class_names(sets[TEST]) if called is None else called
        answers = {key: _blank(x) for key, x in sets.items() if key not in without}
        self._ledger = Ledger()
        for head, scorers in self._by_head(name, member, sets[TEST].head):
            seen = {key: _under(head, x) for key, x in {**sets, **_named_train(member.train)}.items()}
            fitted = self._fitted(name, [one for one in scorers if isinstance(one, Scorer)], seen, member.store)
            for key in answers:
                self._walk(fitted, seen[key].blind(), answers[key], called, f"{name}: scoring {key}")
            if calibrate and VAL in seen:
                self._calibrate(name, fitted, seen, answers[VAL])
            for scorer in scorers:
                if isinstance(scorer, StreamScorer):
                    self._stream(name, scorer, seen, answers, member.store)
        seconds, together = self._ledger.settle()
        for spec, spent in seconds.items():
            self.seconds[spec] = self.seconds.get(spec, 0.0) + spent
        self.shared_seconds += together
        return answers

    def _calibrate(self, name: str, fitted: Mapping[str, Scorer], seen: Mapping[str, Outputs], known: Answers) -> None:
        """Score ID validation as if it were fresh, for those that learn from it and have no threshold of their own."""
        val, train = seen[VAL], seen.get(TRAIN)
        for spec, scorer in fitted.items():
            if spec not in known.scores:
                continue
            self.said[name, spec] += shared_with_train(scorer, val, train)
            if scorer.threshold is not None or not learns_from_val(scorer):
                continue
            self.progress(f"{name}: calibrating {scorer.name}")
            with self._ledger.charging(spec):
                found = calibration_scores(scorer, val, train, scorer)
            self.calibration[name, spec] = found.scores
            self.said[name, spec] += found.notes

    def _decide(self, name: str, answers: Mapping[str, Answers]) -> None:
        """Decide at a margin of 0, else at the threshold that accepts 95 % of ID validation."""
        known = answers[VAL].scores if VAL in answers else {}
        for scorer in self.scorers:
            spec = scorer.spec
            if spec not in known or isinstance(scorer, StreamScorer):
                continue
            own, fresh = scorer.threshold, self.calibration.get((name, spec), known[spec])
            cut = threshold("tpr", fresh)[0] if own is None else own
            self.cuts[name, spec] = cut
            for said in answers.values():
                if spec in said.scores:
                    said.accepted[spec] = said.scores[spec] >= cut
                    said.cuts[spec] = cut
            if own is None and spec in answers[TEST].accepted:
                self.said[name, spec] += missed(fresh, cut, answers[TEST].accepted[spec])

    def _by_head(self, name: str, member: Member, given: Head | None) -> list[tuple[Head | None, list[AnyScorer]]]:
        """Group the scorers by the head that their prompts make, one for each declaration, the given one first."""
        groups: dict[str, tuple[Head | None, list[AnyScorer]]] = {head_print(given): (given, [])}
        made: dict[Prompts, Head] = {}
        for scorer in self.scorers:
            prompts, head = scorer.prompts, given
            if prompts is not None and member.heads is not None:
                try:
                    head = made[prompts] = made[prompts] if prompts in made else member.heads(prompts)
                except Exception as error:  # as in _fitted
                    self._leave_out(name, scorer, "failed", scorer_blamed(scorer, error))
                    continue
            self.said[name, scorer.spec] = _where_from(prompts, head)
            groups.setdefault(head_print(head), (head, []))[1].append(scorer)
        return list(groups.values())

    def _fitted(
        self, name: str, scorers: list[Scorer], seen: Mapping[str, Outputs], store: Path | None
    ) -> dict[str, Scorer]:
        fitted: dict[str, Scorer] = {}
        if VAL in seen and sum({"val", "logits"} <= scorer.needs for scorer in scorers) > 1:
            with self._ledger.charging(RUN):
                seen[VAL].hold()  # each of them would derive it again
        for place, scorer in enumerate(scorers):
            missing = missing_needs(scorer, seen[TEST], seen.get(VAL), seen.get(TRAIN))
            missing = missing or _missing_elsewhere(scorer, seen)
            if missing:
                self._leave_out(name, scorer, "skipped", f"{NEEDS}{', '.join(missing)}")
                continue
            self.progress(f"{name}: fitting {scorer.name}", place, len(scorers), "scorers")
            try:
                with self._ledger.charging(scorer.spec):
                    made = fitted[scorer.spec] = fit(scorer, seen.get(VAL), seen.get(TRAIN))
                self._say(name, scorer.spec, made, seen, store)
                if isinstance(made, Margin):
                    self.class_cuts[name, scorer.spec] = to_numpy(made.thresholds)
            except Exception as error:  # a scorer may be anybody's: its row says what it raised
                self._leave_out(name, scorer, "failed", scorer_blamed(scorer, error))
        return fitted

    def _say(self, name: str, spec: str, fitted: AnyScorer, seen: Mapping[str, Outputs], store: Path | None) -> None:
        """Keep what a fitted scorer notes, and what is to be said of its negatives."""
        head = seen[TEST].head
        self.said[name, spec] += with_list(fitted, head, store)
        self.cautions[name, spec] = notes_on_bank(fitted, head, seen.get(VAL))

    def _stream(
        self,
        name: str,
        scorer: StreamScorer,
        seen: Mapping[str, Outputs],
        answers: Mapping[str, Answers],
        store: Path | None,
    ) -> None:
        """Run a scorer of streams once for each OOD set, on a shuffled stream of its images and the ID test's."""
        spec, pairs = scorer.spec, {key: x for key, x in seen.items() if key.startswith("ood:")}
        self.seconds.setdefault(spec, 0.0)
        how = f"stream: shuffled with seed {self.seed}, batches of {scorer.batch}; no threshold"
        self.said[name, spec] = (*self.said.get((name, spec), ()), how)
        val, train = seen.get(VAL), seen.get(TRAIN)
        missing = missing_needs(scorer, seen[TEST], val, train)
        missing = missing or _missing_elsewhere(scorer, pairs | _named_train(train))
        if missing:
            self._leave_out(name, scorer, "skipped", f"{NEEDS}{', '.join(missing)}")
            return
        try:
            with self._ledger.charging(spec):
                scorer = fitted_stream(scorer, val, train)
            self._say(name, spec, scorer, seen, store)
        except Exception as error:  # as in _fitted
            self._leave_out(name, scorer, "failed", scorer_blamed(scorer, error))
            return
        for key, x in pairs.items():
            self.progress(f"{name}: {scorer.name} on a stream with {key}")
            ood = key.removeprefix("ood:")
            try:
                with self._ledger.charging(spec):
                    found = mixed(scorer, [seen[TEST], x], self.seed)
            except Exception as error:  # as in _fitted
                answers[key].failed[spec] = scorer_blamed(scorer, error)
            else:
                for part, scores in zip((TEST, key), found, strict=True):
                    answers[part].streamed.setdefault(ood, {})[spec] = scores

    def _walk(self, fitted: Mapping[str, Scorer], x: Outputs, answers: Answers, called: np.ndarray, what: str) -> None:
        """Give every chunk to all scorers while it is in cache."""
        found = {spec: np.empty(len(x)) for spec in fitted}  # small arrays between large ones would hold the heap open
        predicted, confident, start_row = None, None, 0
        likely: list[np.ndarray] | None = [] if self.holds_probabilities and answers.prediction is None else None
        for chunk in x.chunks():
            rows = slice(start_row, start_row + len(chunk))
            start_row = rows.stop
            for spec, scorer in fitted.items():
                if spec in answers.failed:
                    continue
                self.progress(what, rows.start, len(x), "images", scorer.name)
                try:
                    with self._ledger.charging(spec):
                        found[spec][rows] = checked(scorer, chunk)
                except Exception as error:  # as in _fitted
                    answers.failed[spec] = scorer_blamed(scorer, error)
            if answers.prediction is None and chunk.classes:
                with self._ledger.charging(RUN):
                    classes, sure = to_numpy(chunk.prediction), to_numpy(chunk.confidence)
                if predicted is None or confident is None:
                    predicted, confident = np.empty(len(x), classes.dtype), np.empty(len(x), sure.dtype)
                predicted[rows], confident[rows] = classes, sure
                if likely is not None:
                    likely.append(to_numpy(chunk.probs).astype(np.float32))
        answers.scores |= {spec: scores for spec, scores in found.items() if spec not in answers.failed}
        if predicted is not None:
            answers.prediction, answers.confidence = called[predicted], confident
            answers.probabilities = np.concatenate(likely) if likely else None

    def _leave_out(self, name: str, scorer: AnyScorer, status: Any, why: str) -> None:
        self.left_out[name, scorer.spec] = Row("ood", scorer.spec, name, status=status, notes=(why,))


def scorer_blamed(scorer: AnyScorer, error: Exception) -> str:
    """Say what was raised, and whose scorer it was: the plugin, or the module of an instance."""
    registry, raised = get_registry(), _raising(scorer, error)
    known = raised.name in registry.names("scorers")
    owner = registry.provider("scorers", raised.name) if known else type(raised).__module__
    return f"{owner}: {one_line(error, type(raised).__module__)}"


def _where_from(prompts: Prompts | None, head: Head | None) -> tuple[str, ...]:
    """Say where the further texts of a scorer are from."""
    if prompts is None or head is None:
        return ()
    named = [head.banks[bank.name].source for bank in prompts.banks if bank.name in head.banks]
    return tuple(source for source in named if source)


def _missing_elsewhere(scorer: AnyScorer, seen: Mapping[str, Outputs]) -> list[str]:
    """List what the ID test provides but another set that is to be scored, or fitted on, does not."""
    asked = scorer.needs - SPLIT_NEEDS
    # A training set is not scored, but what learns from one looks at its features.
    of_train = asked & {"features", NONNEGATIVE} if "train" in scorer.needs else frozenset()
    return [
        f"{need} in {key.removeprefix('ood:').removeprefix('csid:')}"
        for key, x in seen.items()
        for need in sorted(x.lacking(of_train if key == TRAIN else asked))
    ]


def _raising(scorer: AnyScorer, error: Exception) -> AnyScorer:
    """Find which of a scorer and the ones inside it raised: the innermost whose module the traceback passes."""
    files = {frame.filename for frame in traceback.extract_tb(error.__traceback__)}
    for part in scorer.parameters().values():
        code = getattr(type(part).score, "__code__", None) if isinstance(part, Scorer) else None
        if code is not None and code.co_filename in files:
            return _raising(part, error)
    return scorer


def _named_train(train: Outputs | None) -> dict[str, Outputs]:
    return {} if train is None else {TRAIN: train}


def _under(head: Head | None, x: Outputs) -> Outputs:
    return x if head is None or head_print(x.head) == head_print(head) else x.with_head(head)


def _blank(x: Outputs) -> Answers:
    return Answers(np.arange(len(x)).astype(str) if x.ids is None else x.ids)


def _source(x: Outputs) -> np.ndarray | None:
    """Give which of an OOD set's own classes each image is of (n,), as text; None where it has no labels."""
    if SOURCE_LABELS not in x.extras:
        return None
    given = to_numpy(x.extras[SOURCE_LABELS])
    if given.ndim != 1:
        return None
    return given.astype(str) if given.dtype.kind not in "if" else np.where(given < 0, "", given.astype(str))


def _add_truth(answers: Answers, x: Outputs | None, called: np.ndarray) -> None:
    """Say which predictions are right, by the names (k,) of its classes."""
    if x is None or x.labels is None:
        return
    answers.truth = np.append(called, "")[to_numpy(x.labels)]
    if answers.prediction is not None and x.has_labels:
        answers.right = answers.prediction == answers.truth
