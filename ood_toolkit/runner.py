"""`bench`: scorers on ID and OOD sets, single models and combinations, to a report."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

import numpy as np

from ood_toolkit.combiner import Combiner
from ood_toolkit.combining import combined, union
from ood_toolkit.errors import OutputsError, one_line
from ood_toolkit.evaluation import About, header_of, mean_rows, misclassification, ood_rows
from ood_toolkit.head import Head
from ood_toolkit.members import TEST, VAL, Member, named
from ood_toolkit.metrics import find_protocol
from ood_toolkit.outputs import Outputs, as_outputs
from ood_toolkit.plugins import get_registry
from ood_toolkit.report import Report
from ood_toolkit.results import Answers, Row
from ood_toolkit.scorer import Prompts, Scorer
from ood_toolkit.scoring import Scoring
from ood_toolkit.spec import nearest

__all__ = ["Member", "bench", "bench_scores"]

UNION = "union"
"""What the ID tests of all members together are called."""


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
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Score an ID test set and OOD sets with every scorer and report how well they are told apart.

    `test`, `val` and `train` are ID outputs of one model, `ood` maps names to OOD outputs under the same head; or
    `members` names several models, one an ID set, and `combiners` merge them. `fit` sees `val` and `train` only.
    Without `val` no decision is made and scorers that need it are skipped. `groups` maps a name to OOD sets that are
    averaged together; `heads` makes the head of a scorer's own prompts; `about` is added to the header.
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
        by_name = {id_name: _only_member(id_name, test, ood, val, train, heads)}
    elif any(given is not None for given in (test, ood, val, train)):
        raise OutputsError("bench: expected members= or test=, ood=, val= and train=, got both")
    else:
        by_name = named(members)
    _check_groups(groups or {}, next(iter(by_name.values())).ood)
    scoring = Scoring(instances, progress or (lambda text: None))
    answers = {name: scoring.answer(name, member, by_name) for name, member in by_name.items()}
    rows = _Rows(by_name, answers, scoring, groups or {}, protocol)
    listed = [row for name in by_name for row in rows.of_member(name)]
    for spec, why in out_of_service.items():
        lost = Row("ood", spec, next(iter(by_name)), status="failed", notes=(why,))
        listed += [replace(lost, ood=set_name) for set_name in next(iter(by_name.values())).ood] or [lost]
    for combiner in merging:
        listed += [row for scorer in instances for row in rows.of_combination(combiner, scorer.spec)]
    header = {
        "protocol": protocol,
        "id": [header_of(name, answers[name]) for name in by_name],
        "ood": {ood: len(x) for ood, x in next(iter(by_name.values())).ood.items()},
        "versions": _versions(),
        **(about or {}),
    }
    kept: dict[tuple[str, ...], Answers] = {
        (name, key): said for name, sets in answers.items() for key, said in sets.items()
    }
    model = str(header.get("model", ""))
    return Report([replace(row, model=model) for row in listed], header, kept | rows.merged)


def _only_member(
    id_name: str,
    test: Outputs,
    ood: Mapping[str, Outputs] | None,
    val: Outputs | None,
    train: Outputs | None,
    heads: Callable[[Prompts], Head] | None,
) -> Member:
    """Make the one member of a run without combiners; arrays (n, k) stand for logits."""
    if not isinstance(ood or {}, Mapping):
        raise OutputsError(f"ood: expected a mapping of names to outputs, got {type(ood).__name__}")
    sets = {name: as_outputs(x, f"ood {name!r}") for name, x in (ood or {}).items()}
    return Member(
        None if val is None else as_outputs(val, "val"),
        {id_name: as_outputs(test, "test")},
        sets,
        None if train is None else as_outputs(train, "train"),
        heads,
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
    keys = {TEST: None, **{f"ood:{other}": other for other in ood}}
    kept: dict[tuple[str, ...], Answers] = {
        (name, key): said[other or name] for name in ids for key, other in keys.items()
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
    merged: dict[tuple[str, ...], Answers] = field(default_factory=dict)
    """What each combination says, by `COMBINER+SCORER` and set."""

    def of_member(self, name: str) -> list[Row]:
        """Show a single model on its own ID test and, beside others, on the union of all."""
        rows: list[Row] = []
        sets, decider = self.answers[name], name if len(self.members) > 1 else ""
        for scorer in self.scoring.scorers:
            out = self.scoring.left_out.get((name, scorer.spec))
            if out is not None:
                rows += [replace(out, ood=ood, decider=decider) for ood in self.members[name].ood]
                rows.append(replace(out, kind="misclassification", decider=decider))
                continue
            notes, seconds = self._notes(name, scorer), self.scoring.seconds[scorer.spec]
            rows += self._evaluated(About(scorer.spec, name, decider, notes, seconds), sets[TEST], sets)
            if decider:
                all_tests = union(sets, name, list(self.members))
                rows += self._evaluated(About(scorer.spec, UNION, decider, notes, seconds), all_tests, sets)
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
        for name, sets in self.answers.items():
            if (name, spec) in self.scoring.left_out:
                return self.scoring.left_out[name, spec]
            if VAL not in sets:
                return Row("ood", spec, UNION, status="skipped", notes=("combining needs val",))
            if spec in sets[VAL].failed:
                return Row("ood", spec, UNION, status="failed", notes=(sets[VAL].failed[spec],))
        return None

    def _notes(self, name: str, scorer: Scorer) -> tuple[str, ...]:
        notes = self.scoring.said.get((name, scorer.spec), ())
        if scorer.prompts is not None and self.members[name].heads is None:
            notes += ("its own prompts need a text tower; the given head's texts are used",)
        return notes

    def _evaluated(self, about: About, test: Answers, sets: Mapping[str, Answers]) -> list[Row]:
        ood = {key.removeprefix("ood:"): said for key, said in sets.items() if key.startswith("ood:")}
        rows = ood_rows(about, test, ood, self.protocol)
        return [*rows, *mean_rows(rows, self.groups), *misclassification(about, test)]


def _versions() -> dict[str, str]:
    names = ("ood-toolkit", "torch", "numpy", "scikit-learn", "open_clip_torch")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
