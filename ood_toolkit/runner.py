"""`bench`: every scorer on every set from one walk over shared chunks, then rows of metrics."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

import numpy as np

from ood_toolkit.arrays import to_numpy
from ood_toolkit.combiner import Combiner, Scored
from ood_toolkit.detector import checked, fit
from ood_toolkit.errors import OodkitError, OutputsError
from ood_toolkit.evaluation import About, header_of, mean_rows, misclassification, ood_rows
from ood_toolkit.head import Head
from ood_toolkit.outputs import Outputs
from ood_toolkit.plugins import get_registry
from ood_toolkit.report import Report
from ood_toolkit.results import Answers, Row
from ood_toolkit.scorer import Prompts, Scorer, missing_needs
from ood_toolkit.thresholds import threshold

__all__ = ["Member", "bench", "bench_scores"]

TEST, VAL, TRAIN = "test", "val", "train"
UNION = "union"
Progress = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Member:
    """One model of an ensemble: what it put out for all sets of the run."""

    val: Outputs | Mapping[str, Outputs] | None
    """ID validation of its own set, or of every member's set by name, its own among them."""
    tests: Mapping[str, Outputs]
    """The ID test of every member's set by name, under this model's head."""
    ood: Mapping[str, Outputs]
    train: Outputs | None = None
    heads: Callable[[Prompts], Head] | None = field(default=None, repr=False)
    """Makes the head of a scorer's own prompts, where the model has a text tower."""


def bench(
    scorers: str | Scorer | Iterable[str | Scorer],
    test: Outputs | None = None,
    ood: Mapping[str, Outputs] | None = None,
    val: Outputs | None = None,
    train: Outputs | None = None,
    combiners: str | Combiner | Iterable[str | Combiner] = (),
    members: Mapping[str, Member] | Sequence[Member] | None = None,
    *,
    id_name: str = "id",
    groups: Mapping[str, Sequence[str]] | None = None,
    protocol: str = "native",
    heads: Callable[[Prompts], Head] | None = None,
    about: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Score an ID test set and OOD sets with every scorer and report how well they are told apart.

    `test`, `val` and `train` are ID outputs of one model, `ood` maps names to OOD outputs under the same head; or
    `members` names several models, one an ID set, and `combiners` merge them. `fit` sees `val` and `train` only.
    Without `val` no decision is made and scorers that need it are skipped. `groups` maps a name to OOD sets that are
    averaged together; `heads` makes the head of a scorer's own prompts; `about` is added to the header.
    A scorer with unmet needs gives rows "skipped", one that raises rows "failed"; the rest goes on.
    """
    registry = get_registry()
    instances = registry.scorers(scorers)
    merging = registry.combiners(combiners) if combiners else []
    if members is None:
        if test is None:
            raise OutputsError("bench: expected test=, the ID test outputs, or members=")
        if merging:
            raise OutputsError("bench: combiners merge members; pass members= with one for each model")
        named = {id_name: Member(val, {id_name: test}, dict(ood or {}), train, heads)}
    else:
        named = _named(members)
    run = _Run(instances, merging, groups or {}, protocol, progress or (lambda text: None))
    return run.report(named, dict(about or {}))


def bench_scores(
    arrays: Mapping[str, Mapping[str, np.ndarray]],
    ids: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    about: Mapping[str, Any] | None = None,
    protocol: str = "native",
) -> Report:
    """Report on ready scores (n,), higher = more in-distribution: `arrays` maps each set to `scores` and perhaps `ids`.

    There are no predictions and no validation, so nothing is decided and nothing said of misclassification.
    """
    spec = str((about or {}).get("model", "scores"))
    said = {
        name: Answers(held.get("ids", np.arange(len(held["scores"])).astype(str)), {spec: held["scores"]})
        for name, held in arrays.items()
    }
    ood = dict.fromkeys(name for names in groups.values() for name in names)
    rows: list[Row] = []
    for name in ids:
        made = ood_rows(About(spec, name), said[name], {other: said[other] for other in ood}, protocol)
        rows += [*made, *mean_rows(made, {group: names for group, names in groups.items() if group})]
    header = {
        "protocol": protocol,
        "id": [{"name": name, "images": len(said[name])} for name in ids],
        "ood": {name: len(said[name]) for name in ood},
        "versions": _versions(),
        **(about or {}),
    }
    return Report(rows, header, {(name, key): part for name in ids for key, part in said.items()})


@dataclass(eq=False)
class _Run:
    """One benchmark: the members' answers, gathered once, and the rows that come of them."""

    scorers: list[Scorer]
    combiners: list[Combiner]
    groups: Mapping[str, Sequence[str]]
    protocol: str
    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)
    skipped: dict[tuple[str, str], Row] = field(default_factory=dict)
    said: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """What fitted scorers note about themselves, by member and spec."""
    cuts: dict[tuple[str, str], float] = field(default_factory=dict)
    """From which score each member says "in-distribution", by member and spec."""
    merged: dict[tuple[str, str], Answers] = field(default_factory=dict)
    """What each combination says, by `COMBINER+SCORER` and set."""

    def report(self, members: Mapping[str, Member], about: dict[str, Any]) -> Report:
        answers = {name: self.answer(name, member, members) for name, member in members.items()}
        rows: list[Row] = []
        for name in members:
            rows += self._rows_of_member(name, members, answers)
        for combiner in self.combiners:
            for scorer in self.scorers:
                rows += self._rows_of_combination(combiner, scorer.spec, members, answers)
        kept = {(name, s): said for name, sets in answers.items() for s, said in sets.items()} | self.merged
        header = {
            "protocol": self.protocol,
            "id": [header_of(name, answers[name]) for name in members],
            "ood": {ood: len(x) for ood, x in next(iter(members.values())).ood.items()},
            "versions": _versions(),
            **about,
        }
        return Report(rows, header, kept)

    # -- answers: every scorer on every set -----------------------------------------------------------------------

    def answer(self, name: str, member: Member, members: Mapping[str, Member]) -> dict[str, Answers]:
        """Fit all scorers on a member's ID splits and walk each of its sets once; keyed test, val, ood:NAME, ..."""
        sets = _sets(name, member)
        train = member.train
        answers = {key: _blank(x) for key, x in sets.items()}
        for head, scorers in self._by_head(name, member, sets[TEST].head):
            seen = {key: _under(head, x) for key, x in {**sets, **_named_train(train)}.items()}
            fitted = self._fitted(name, scorers, seen[TEST], seen.get(VAL), seen.get(TRAIN))
            for key in sets:
                self.progress(f"{name}: scoring {key}")
                self._walk(fitted, seen[key], answers[key])
        for key, x in sets.items():
            _add_truth(answers[key], x, key, name, members)
        for spec, why in answers[VAL].failed.items() if VAL in answers else ():
            for said in answers.values():  # nothing can be decided with it
                said.failed.setdefault(spec, why)
                said.scores.pop(spec, None)
        self._decide(name, answers)
        return answers

    def _decide(self, name: str, answers: Mapping[str, Answers]) -> None:
        """Decide at a margin of 0, else at the threshold that accepts 95 % of ID validation."""
        known = answers[VAL].scores if VAL in answers else {}
        for scorer in self.scorers:
            spec = scorer.spec
            if spec not in known:
                continue
            cut = scorer.threshold if scorer.threshold is not None else threshold("tpr", known[spec])[0]
            self.cuts[name, spec] = cut
            for said in answers.values():
                if spec in said.scores:
                    said.accepted[spec] = said.scores[spec] >= cut

    def _by_head(self, name: str, member: Member, given: Head | None) -> list[tuple[Head | None, list[Scorer]]]:
        """Group the scorers by the head that their prompts make, one for each declaration, the given one first."""
        groups: dict[str, tuple[Head | None, list[Scorer]]] = {_print(given): (given, [])}
        made: dict[Prompts, Head] = {}
        for scorer in self.scorers:
            prompts, head = scorer.prompts, given
            if prompts is not None and member.heads is not None:
                try:
                    head = made[prompts] = made[prompts] if prompts in made else member.heads(prompts)
                except Exception as error:  # as in _fitted
                    self._leave_out(name, scorer, "failed", self._blame(scorer, error))
                    continue
            groups.setdefault(_print(head), (head, []))[1].append(scorer)
        return list(groups.values())

    def _fitted(
        self, name: str, scorers: list[Scorer], test: Outputs, val: Outputs | None, train: Outputs | None
    ) -> dict[str, Scorer]:
        fitted: dict[str, Scorer] = {}
        for scorer in scorers:
            missing = missing_needs(scorer, test, val, train)
            if missing:
                self._leave_out(name, scorer, "skipped", f"needs {', '.join(missing)}")
                continue
            start = time.perf_counter()
            try:
                made = fitted[scorer.spec] = fit(scorer, val, train)
                self.said[name, scorer.spec] = tuple(getattr(made, "notes_", ()))
            except Exception as error:  # a scorer may be anybody's: its row says what it raised
                self._leave_out(name, scorer, "failed", self._blame(scorer, error))
            self.seconds[scorer.spec] = self.seconds.get(scorer.spec, 0.0) + time.perf_counter() - start
        return fitted

    def _walk(self, fitted: Mapping[str, Scorer], x: Outputs, answers: Answers) -> None:
        """Give every chunk to all scorers while it is in cache."""
        parts: dict[str, list[np.ndarray]] = {spec: [] for spec in fitted}
        predicted, confident = [], []
        for chunk in x.chunks():
            for spec, scorer in fitted.items():
                if spec in answers.failed:
                    continue
                start = time.perf_counter()
                try:
                    parts[spec].append(checked(scorer, chunk))
                except Exception as error:  # as in _fitted
                    answers.failed[spec] = self._blame(scorer, error)
                self.seconds[spec] += time.perf_counter() - start
            if answers.prediction is None and chunk.classes:
                predicted.append(to_numpy(chunk.prediction))
                confident.append(to_numpy(chunk.confidence))
        answers.scores |= {spec: np.concatenate(part) for spec, part in parts.items() if spec not in answers.failed}
        if predicted:
            answers.prediction = _names_of(x)[np.concatenate(predicted)]
            answers.confidence = np.concatenate(confident)

    def _blame(self, scorer: Scorer, error: Exception) -> str:
        said = str(error) if isinstance(error, OodkitError) else f"{type(error).__name__}: {error}"
        registry = get_registry()
        known = scorer.name in registry.names("scorers")
        return f"{registry.provider('scorers', scorer.name) if known else type(scorer).__module__}: {said}"

    def _leave_out(self, name: str, scorer: Scorer, status: Any, why: str) -> None:
        self.skipped[name, scorer.spec] = Row("ood", scorer.spec, name, status=status, notes=(why,))

    # -- rows: single models --------------------------------------------------------------------------------------

    def _rows_of_member(
        self, name: str, members: Mapping[str, Member], answers: Mapping[str, dict[str, Answers]]
    ) -> list[Row]:
        rows: list[Row] = []
        sets, several = answers[name], len(members) > 1
        for scorer in self.scorers:
            notes = self._notes(name, scorer, members[name])
            if (name, scorer.spec) in self.skipped:
                out = self.skipped[name, scorer.spec]
                rows += [replace(out, ood=ood, decider=name if several else "") for ood in members[name].ood]
                rows.append(replace(out, kind="misclassification", decider=name if several else ""))
                continue
            about = About(scorer.spec, name, name if several else "", notes, self.seconds[scorer.spec])
            rows += self._evaluated(about, sets[TEST], sets)
            if several:
                union = _joined([sets[_test_key(name, other)] for other in members])
                rows += self._evaluated(replace(about, id_name=UNION), union, sets)
        return rows

    def _notes(self, name: str, scorer: Scorer, member: Member) -> tuple[str, ...]:
        notes = self.said.get((name, scorer.spec), ())
        if scorer.prompts is not None and member.heads is None:
            notes += ("its own prompts need a text tower; the given head's texts are used",)
        return notes

    def _evaluated(self, about: About, test: Answers, sets: Mapping[str, Answers]) -> list[Row]:
        ood = {key.removeprefix("ood:"): said for key, said in sets.items() if key.startswith("ood:")}
        rows = ood_rows(about, test, ood, self.protocol)
        return [*rows, *mean_rows(rows, self.groups), *misclassification(about, test)]

    # -- rows: combinations ---------------------------------------------------------------------------------------

    def _rows_of_combination(
        self,
        combiner: Combiner,
        spec: str,
        members: Mapping[str, Member],
        answers: Mapping[str, dict[str, Answers]],
    ) -> list[Row]:
        decider = combiner.spec
        out = [row for name in members if (row := self.skipped.get((name, spec))) is not None]
        if not out and any(VAL not in sets for sets in answers.values()):
            out = [Row("ood", spec, UNION, status="skipped", notes=("combining needs val",))]
        first = next(iter(members.values()))
        failed = [sets[VAL].failed[spec] for sets in answers.values() if VAL in sets and spec in sets[VAL].failed]
        if failed and not out:
            out = [Row("ood", spec, UNION, status="failed", notes=(failed[0],))]
        if out:
            return [replace(out[0], id=UNION, decider=decider, ood=ood) for ood in first.ood]
        try:
            fitted = combiner.clone()
            sets = self._combined(fitted, spec, members, answers)
            notes = tuple(getattr(fitted, "notes_", ()))
        except Exception as error:  # a combiner may be anybody's, too
            said = str(error) if isinstance(error, OodkitError) else f"{type(error).__name__}: {error}"
            row = Row("ood", spec, UNION, decider=decider, status="failed", notes=(f"{combiner.name}: {said}",))
            return [replace(row, ood=ood) for ood in first.ood]
        self.merged |= {(f"{decider}+{spec}", key): said for key, said in sets.items()}
        return self._evaluated(About(spec, UNION, decider, notes, self.seconds[spec]), sets[TEST], sets)

    def _combined(
        self,
        combiner: Combiner,
        spec: str,
        members: Mapping[str, Member],
        answers: Mapping[str, dict[str, Answers]],
    ) -> dict[str, Answers]:
        names = list(members)
        cuts = {name: self.cuts[name, spec] for name in names}
        shared = all(_has_shared_val(members[name], names) for name in names)
        val = [_scored_val(name, names, answers[name], spec, cuts[name], shared) for name in names]
        combiner.fit(val)
        sets = {}
        for key in (TEST, *(f"ood:{ood}" for ood in members[names[0]].ood)):
            parts = []
            for name in names:
                said = (
                    answers[name][key] if key != TEST else _joined([answers[name][_test_key(name, o)] for o in names])
                )
                parts.append((said, _scored(said, spec, cuts[name])))
            ids = [said.ids for said, _ in parts]
            if any(len(i) != len(ids[0]) or (i != ids[0]).any() for i in ids):
                raise OutputsError(
                    f"members are not aligned: their ids differ on {key}; give the same images in one order"
                )
            merged = combiner.combine([scored for _, scored in parts])
            sets[key] = _answers_of(merged, parts[0][0], spec)
        return sets


def _versions() -> dict[str, str]:
    names = ("ood-toolkit", "torch", "numpy", "scikit-learn", "open_clip_torch")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


# -- members and their sets -------------------------------------------------------------------------------------------


def _named(members: Mapping[str, Member] | Sequence[Member]) -> dict[str, Member]:
    named = dict(members) if isinstance(members, Mapping) else {next(iter(m.tests)): m for m in members}
    if not named or len(named) != len(members):
        raise OutputsError("members: expected one for each ID set, under its name")
    for name, member in named.items():
        for other in named:
            if other not in member.tests:
                raise OutputsError(f"members: {name!r} has no outputs for the ID test of {other!r}")
        if set(member.ood) != set(next(iter(named.values())).ood):
            raise OutputsError(f"members: {name!r} has other OOD sets than the first member")
    first = next(iter(named.values()))
    for name, member in named.items():
        for other, own in named.items():
            _check_aligned(name, other, member.tests[other], own.tests[other])
            _check_aligned(name, other, _val_of(member, name, other), _val_of(own, other, other))
        for ood, x in member.ood.items():
            _check_aligned(name, ood, x, first.ood[ood])
    return named


def _val_of(member: Member, name: str, other: str) -> Outputs | None:
    """Give what a member put out for the validation of a set, if it did."""
    if isinstance(member.val, Mapping):
        return member.val.get(other)
    return member.val if name == other else None


def _check_aligned(name: str, key: str, x: Outputs | None, own: Outputs | None) -> None:
    """Refuse outputs that are not of the same images in the same order."""
    if x is None or own is None or x is own:
        return
    if len(x) != len(own) or (x.ids is not None and own.ids is not None and bool((x.ids != own.ids).any())):
        raise OutputsError(
            f"members are not aligned: the ids of {name!r} differ on {key}; give the same images in one order"
        )


def _test_key(name: str, other: str) -> str:
    return TEST if name == other else f"test:{other}"


def _has_shared_val(member: Member, names: Sequence[str]) -> bool:
    return isinstance(member.val, Mapping) and all(name in member.val for name in names)


def _sets(name: str, member: Member) -> dict[str, Outputs]:
    sets = {_test_key(name, other): x for other, x in member.tests.items()}
    if isinstance(member.val, Mapping):
        sets |= {VAL if name == other else f"val:{other}": x for other, x in member.val.items()}
    elif member.val is not None:
        sets[VAL] = member.val
    for ood, x in member.ood.items():
        if x.labels is not None:
            x = x.without_labels()
        sets[f"ood:{ood}"] = x
    if TEST not in sets:
        raise OutputsError(f"bench: {name!r} has no ID test outputs")
    test = sets[TEST]
    for key, x in sets.items():
        if x.classes != test.classes or _print(x.head) != _print(test.head):
            raise OutputsError(f"bench: {key} has another head or number of classes than the ID test; use one head")
    return sets


def _named_train(train: Outputs | None) -> dict[str, Outputs]:
    return {} if train is None else {TRAIN: train}


def _under(head: Head | None, x: Outputs) -> Outputs:
    return x if head is None or _print(x.head) == _print(head) else x.with_head(head)


def _print(head: Head | None) -> str:
    return "" if head is None else head.fingerprint


def _blank(x: Outputs) -> Answers:
    return Answers(np.arange(len(x)).astype(str) if x.ids is None else x.ids)


def _names_of(x: Outputs) -> np.ndarray:
    return np.array(x.class_names if x.class_names is not None else [str(i) for i in range(x.classes)], dtype=str)


def _add_truth(answers: Answers, x: Outputs, key: str, name: str, members: Mapping[str, Member]) -> None:
    """Say which predictions are right, by class name; another member's set has its truth from that member."""
    kind, _, other = key.partition(":")
    if kind == "ood":
        return
    if other:
        own = members[other].tests[other] if kind == TEST else _val_of(members[other], other, other)
        if own is None:
            return
        x = own
    if x.labels is None:
        return
    answers.truth = np.append(_names_of(x), "")[to_numpy(x.labels)]
    if answers.prediction is not None:
        answers.right = answers.prediction == answers.truth


# -- joining and combining answers ------------------------------------------------------------------------------------


def _joined(parts: Sequence[Answers]) -> Answers:
    def join(name: str) -> np.ndarray | None:
        arrays = [getattr(part, name) for part in parts]
        return None if any(a is None for a in arrays) else np.concatenate(arrays)

    specs = [spec for spec in parts[0].scores if all(spec in part.scores for part in parts)]
    failed = {spec: why for part in parts for spec, why in part.failed.items()}
    return Answers(
        ids=np.concatenate([part.ids for part in parts]),
        scores={spec: np.concatenate([part.scores[spec] for part in parts]) for spec in specs},
        failed=failed,
        prediction=join("prediction"),
        confidence=join("confidence"),
        right=join("right"),
        truth=join("truth"),
        accepted={
            spec: np.concatenate([part.accepted[spec] for part in parts])
            for spec in specs
            if all(spec in part.accepted for part in parts)
        },
    )


def _scored(said: Answers, spec: str, cut: float, own: np.ndarray | None = None) -> Scored:
    if spec in said.failed:
        raise OutputsError(said.failed[spec])
    if said.prediction is None or said.confidence is None:
        raise OutputsError("combining needs logits, for predictions and their confidence")
    return Scored(said.prediction, said.confidence, said.scores[spec], said.scores[spec] - cut, own)


def _scored_val(
    name: str, names: Sequence[str], sets: Mapping[str, Answers], spec: str, cut: float, shared: bool
) -> Scored:
    if not shared:
        return _scored(sets[VAL], spec, cut, np.ones(len(sets[VAL]), dtype=bool))
    parts = [sets[VAL if name == other else f"val:{other}"] for other in names]
    own = np.concatenate([np.full(len(part), other == name) for part, other in zip(parts, names, strict=True)])
    return _scored(_joined(parts), spec, cut, own)


def _answers_of(merged: Scored, like: Answers, spec: str) -> Answers:
    right = None if like.truth is None else merged.prediction == like.truth
    said = Answers(like.ids, {spec: merged.score}, {}, merged.prediction, merged.confidence, right, like.truth)
    said.accepted[spec] = merged.accepted
    return said
