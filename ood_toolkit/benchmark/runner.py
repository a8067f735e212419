"""`bench`: scorers on ID and OOD sets, single models and combinations, to a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ood_toolkit.api.combiner import Combiner
from ood_toolkit.api.registry import get_registry
from ood_toolkit.api.scorer import Prompts
from ood_toolkit.api.spec import nearest
from ood_toolkit.api.stream import AnyScorer, StreamScorer
from ood_toolkit.benchmark.combining import combined
from ood_toolkit.benchmark.members import Member, check_shifted, named
from ood_toolkit.benchmark.scoring import Scoring
from ood_toolkit.benchmark.tuning import tuned
from ood_toolkit.errors import OutputsError, one_line
from ood_toolkit.metrics import find_protocol
from ood_toolkit.outputs import Outputs, as_outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.report import Report
from ood_toolkit.report.comparison import compared
from ood_toolkit.report.evaluation import (
    About,
    full_header,
    full_spectrum,
    header_of,
    mean_rows,
    misclassification,
    ood_rows,
)
from ood_toolkit.report.results import TEST, VAL, Answers, Row, union
from ood_toolkit.report.versions import versions

__all__ = ["Member", "bench", "bench_scores"]

UNION = "union"
"""What the ID tests of all members together are called."""


def bench(
    scorers: str | AnyScorer | Iterable[str | AnyScorer],
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
    progress: Callable[[str], None] | None = None,
    seed: int = 0,
    ci: int = 0,
    paired: bool = False,
    tune: Mapping[str, Outputs] | None = None,
    csid: Mapping[str, Outputs] | None = None,
) -> Report:
    """Score an ID test set and OOD sets with every scorer and report how well they are told apart.

    `test`, `val` and `train` are ID outputs of one model, `ood` maps names to OOD outputs under the same head; or
    `members` names several models, one an ID set, and `combiners` merge them. `fit` sees `val` and `train` only.
    Without `val` no decision is made and scorers that need it are skipped. `groups` maps a name to OOD sets that are
    averaged together; `heads` makes the head of a scorer's own prompts; `about` is added to the header;
    `seed` shuffles what scorers of streams see, the ID test and one OOD set at a time, and draws the `ci` resamples
    of 95 % intervals; `paired` tests each scorer against the first. `tune` maps names to OOD validation outputs: the
    values in a scorer's `grid` that tell ID validation from them best take the place of its defaults. `csid` maps
    names to covariate-shifted ID outputs, which nothing is fitted on: every scorer is shown once more on the full
    spectrum, the ID test and these together, in rows whose `id` is `ID+csid`.
    A scorer with unmet needs gives rows "skipped", one that raises rows "failed"; the rest goes on.
    """
    registry, out_of_service = get_registry(), dict[str, str]()
    find_protocol(protocol)
    instances = registry.scorers(scorers, out_of_service)
    merging = registry.combiners(combiners) if combiners else []
    if members is None:
        if test is None:
            raise OutputsError("bench: expected test=, the ID test outputs, or members=")
        if merging:
            raise OutputsError("bench: combiners merge members; pass members= with one for each model")
        by_name = {id_name: _only_member(id_name, test, ood, val, train, heads, csid)}
    elif any(given is not None for given in (test, ood, val, train, csid)):
        raise OutputsError("bench: expected members= or test=, ood=, val=, train= and csid=, got both")
    else:
        by_name = named(members)
    check_shifted(by_name)
    (first, member), *_ = by_name.items()
    _check_groups(groups or {}, member.ood)
    told = progress or (lambda text: None)
    tuning = None if tune is None else tuned(instances, by_name, tune, told)
    instances = instances if tuning is None else tuning.scorers
    scoring = Scoring(instances, told, seed)
    answers = {name: scoring.answer(name, member, by_name) for name, member in by_name.items()}
    rows = _Rows(by_name, answers, scoring, groups or {}, protocol, {} if tuning is None else tuning.notes)
    listed = [row for name in by_name for row in rows.of_member(name)]
    for spec, why in out_of_service.items():
        lost = Row("ood", spec, first, status="failed", notes=(why,))
        listed += [replace(lost, ood=set_name) for set_name in member.ood] or [lost]
    for combiner in merging:
        listed += [row for scorer in instances for row in rows.of_combination(combiner, scorer.spec)]
    header = {
        "protocol": protocol,
        "id": [header_of(name, answers[name]) for name in by_name],
        "ood": {ood: len(x) for ood, x in member.ood.items()},
        **({"groups": groups} if groups else {}),
        **({"csid": full_header(first, answers[first], list(member.csid))} if member.csid else {}),
        **({} if tuning is None else {"tuned": tuning.about}),
        "versions": versions(),
        **(about or {}),
    }
    kept: dict[tuple[str, ...], Answers] = {(n, key): said for n, sets in answers.items() for key, said in sets.items()}
    model = str(header.get("model", ""))
    report = Report([replace(row, model=model) for row in listed], header, kept | rows.merged)
    return compared(report, ci, paired, seed)


def _only_member(
    id_name: str,
    test: Outputs,
    ood: Mapping[str, Outputs] | None,
    val: Outputs | None,
    train: Outputs | None,
    heads: Callable[[Prompts], Head] | None,
    csid: Mapping[str, Outputs] | None,
) -> Member:
    """Make the one member of a run without combiners; arrays (n, k) stand for logits."""
    for what, given in (("ood", ood), ("csid", csid)):
        if not isinstance(given or {}, Mapping):
            raise OutputsError(f"{what}: expected a mapping of names to outputs, got {type(given).__name__}")
    sets = {name: as_outputs(x, f"ood {name!r}") for name, x in (ood or {}).items()}
    shifted = {name: as_outputs(x, f"csid {name!r}") for name, x in (csid or {}).items()}
    return Member(
        None if val is None else as_outputs(val, "val"),
        {id_name: as_outputs(test, "test")},
        sets,
        None if train is None else as_outputs(train, "train"),
        heads,
        csid=shifted,
    )


def _check_groups(groups: Mapping[str, Sequence[str]], ood: Mapping[str, Outputs]) -> None:
    for group, names in groups.items():
        for name in names:
            if name not in ood:
                raise OutputsError(f"groups: {group!r} names the unknown OOD set {name!r}; {nearest(name, ood)}")


def bench_scores(
    arrays: Mapping[str, Mapping[str, np.ndarray]],
    ids: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    about: Mapping[str, Any] | None = None,
    protocol: str = "native",
    csid: Sequence[str] = (),
) -> Report:
    """Report on ready scores (n,), higher = more in-distribution: `arrays` maps each set to `scores` and perhaps `ids`.

    There are no predictions and no validation, so nothing is decided and nothing said of misclassification. The sets
    `csid` count as in-distribution beside the one ID set.
    """
    model = str((about or {}).get("model", ""))
    spec = model or "scores"
    said = {
        name: Answers(held.get("ids", np.arange(len(held["scores"])).astype(str)), {spec: held["scores"]})
        for name, held in arrays.items()
    }
    ood = dict.fromkeys(name for names in groups.values() for name in names)
    named_groups = {group: names for group, names in groups.items() if group}
    if csid and len(ids) > 1:
        raise OutputsError(f"csid: expected one ID set, got {len(ids)}: {', '.join(ids)}; leave csid out")
    rows: list[Row] = []
    sets = {f"ood:{name}": said[name] for name in ood} | {f"csid:{name}": said[name] for name in csid}
    tests = [(About(spec, name), said[name]) for name in ids]
    if csid:
        tests.append((tests[0][0].full, full_spectrum({TEST: tests[0][1], **sets}, csid)))
    for shown, test in tests:
        made = ood_rows(shown, test, {other: said[other] for other in ood}, protocol)
        rows += [replace(row, model=model) for row in (*made, *mean_rows(made, named_groups))]
    header = {
        "protocol": protocol,
        "id": [{"name": name, "images": len(said[name])} for name in ids],
        "ood": {name: len(said[name]) for name in ood},
        **({"groups": named_groups} if named_groups else {}),
        **({"csid": full_header(ids[0], {TEST: said[ids[0]], **sets}, csid)} if csid else {}),
        "versions": versions(),
        **(about or {}),
    }
    kept: dict[tuple[str, ...], Answers] = {
        (name, key): held for name in ids for key, held in {TEST: said[name], **sets}.items()
    }
    return Report(rows, header, kept)


@dataclass(eq=False)
class _Rows:
    """Rows out of the members' answers."""

    members: Mapping[str, Member]
    answers: Mapping[str, dict[str, Answers]]
    scoring: Scoring
    groups: Mapping[str, Sequence[str]]
    protocol: str
    tuned: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What is said of the search for parameters, by spec."""
    merged: dict[tuple[str, ...], Answers] = field(default_factory=dict)
    """What each combination says, by `COMBINER+SCORER` and set."""

    def of_member(self, name: str) -> list[Row]:
        """Show a single model on its own ID test and, beside others, on the union of all."""
        rows: list[Row] = []
        sets, decider = self.answers[name], name if len(self.members) > 1 else ""
        csid = self.members[name].csid
        whole = full_spectrum(sets, csid) if csid else None
        for scorer in self.scoring.scorers:
            out = self.scoring.left_out.get((name, scorer.spec))
            if out is not None:
                rows += [replace(out, ood=ood, decider=decider) for ood in self.members[name].ood]
                rows.append(replace(out, kind="misclassification", decider=decider))
                continue
            notes, seconds = self._notes(name, scorer), self.scoring.seconds[scorer.spec]
            about = About(scorer.spec, name, decider, notes, seconds)
            if isinstance(scorer, StreamScorer):
                rows += self._of_stream(about, sets)
                continue
            rows += self._evaluated(about, sets[TEST], sets)
            if whole is not None:
                rows += self._evaluated(about.full, whole, sets)
            if decider:
                all_tests = union(sets, name, list(self.members))
                rows += self._evaluated(About(scorer.spec, UNION, decider, notes, seconds), all_tests, sets)
        return rows

    def _of_stream(self, about: About, sets: Mapping[str, Answers]) -> list[Row]:
        """Show a scorer of streams on its own ID test; on that alone, or on a union, it was not run."""
        rows = self._ood_rows(about, sets[TEST], sets)
        if sets[TEST].right is not None:
            why = (
                "misclassification: a score of streams holds for the ID test and one OOD set together, not for ID alone"
            )
            rows.append(about.row("misclassification", status="skipped", notes=(why,), n_id=len(sets[TEST])))
        if self.members[about.id_name].csid:
            why = "a score of streams was not run on the full spectrum, which would be another stream"
            skipped = about.full.row("ood", status="skipped", notes=(why,))
            rows += [replace(skipped, ood=ood) for ood in self.members[about.id_name].ood]
        return rows

    def of_combination(self, combiner: Combiner, spec: str) -> list[Row]:
        """Show a combination on the union of all ID tests."""
        row = self._why_not(spec)
        if row is None:
            try:
                fitted = combiner.clone()
                cuts = {name: self.scoring.cuts[name, spec] for name in self.members}
                sets = combined(fitted, spec, self.members, self.answers, cuts)
                self.merged |= {(f"{combiner.spec}+{spec}", key): said for key, said in sets.items()}
                notes = tuple(getattr(fitted, "notes_", ()))
                about = About(spec, UNION, combiner.spec, notes, self.scoring.seconds[spec])
                return self._evaluated(about, sets[TEST], sets)
            except Exception as error:  # a combiner may be anybody's: its row says what it raised
                row = Row("ood", spec, UNION, status="failed", notes=(f"{combiner.name}: {one_line(error)}",))
        first = next(iter(self.members.values()))
        return [replace(row, id=UNION, decider=combiner.spec, ood=ood) for ood in first.ood]

    def _why_not(self, spec: str) -> Row | None:
        """Give the row that says why nothing can be combined, if nothing can."""
        if any(scorer.spec == spec and isinstance(scorer, StreamScorer) for scorer in self.scoring.scorers):
            why = "combining needs a score of single images; this one is of streams"
            return Row("ood", spec, UNION, status="skipped", notes=(why,))
        for name, sets in self.answers.items():
            if (name, spec) in self.scoring.left_out:
                return self.scoring.left_out[name, spec]
            if VAL not in sets:
                return Row("ood", spec, UNION, status="skipped", notes=("combining needs val",))
            if spec in sets[VAL].failed:
                return Row("ood", spec, UNION, status="failed", notes=(sets[VAL].failed[spec],))
        return None

    def _notes(self, name: str, scorer: AnyScorer) -> tuple[str, ...]:
        notes = self.scoring.said.get((name, scorer.spec), ())
        member = self.members[name]
        if scorer.prompts is not None and (member.heads is None or not member.reads_prompts):
            notes += ("its own prompts need a text tower; the given head's texts are used",)
        return notes + self.tuned.get(scorer.spec, ())

    def _evaluated(self, about: About, test: Answers, sets: Mapping[str, Answers]) -> list[Row]:
        return [*self._ood_rows(about, test, sets), *misclassification(about, test)]

    def _ood_rows(self, about: About, test: Answers, sets: Mapping[str, Answers]) -> list[Row]:
        ood = {key.removeprefix("ood:"): said for key, said in sets.items() if key.startswith("ood:")}
        rows = ood_rows(about, test, ood, self.protocol)
        return [*rows, *mean_rows(rows, self.groups)]
