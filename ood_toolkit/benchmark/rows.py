"""`Rows`: what members and their combinations said, as the rows of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ood_toolkit.api.combiner import Combiner
from ood_toolkit.api.plugins import BUILT_IN
from ood_toolkit.api.registry import get_registry
from ood_toolkit.api.stream import AnyScorer, StreamScorer
from ood_toolkit.benchmark.combining import combined
from ood_toolkit.benchmark.members import Member
from ood_toolkit.benchmark.ready import NOTE
from ood_toolkit.benchmark.scoring import Scoring
from ood_toolkit.errors import one_line
from ood_toolkit.report.evaluation import (
    About,
    full_spectrum,
    mean_rows,
    misclassification,
    ood_rows,
)
from ood_toolkit.report.results import TEST, UNION, VAL, Answers, Row, union

__all__ = ["Rows", "combiner_blamed"]


@dataclass(eq=False)
class Rows:
    """Rows out of the members' answers."""

    members: Mapping[str, Member]
    answers: Mapping[str, dict[str, Answers]]
    scoring: Scoring
    groups: Mapping[str, Sequence[str]]
    protocol: str
    tuned: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What is said of the search for parameters, by spec."""
    ready: Sequence[str] = ()
    """Labels of ready scores that stand beside those of the scorers."""
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
            stream = isinstance(scorer, StreamScorer)
            found = self._of_stream(about, sets) if stream else self._of_scores(about, name, whole)
            rows += _cautioned(found, self.scoring.cautions.get((name, scorer.spec), ()))
        for label in self.ready:
            rows += self._of_scores(About(label, name, decider, (NOTE,)), name, whole)
        return rows

    def _of_scores(self, about: About, name: str, whole: Answers | None) -> list[Row]:
        """Show scores of single images on a member's own ID test, on its full spectrum and on the union of all."""
        sets = self.answers[name]
        rows = self.evaluated(about, sets[TEST], sets)
        if whole is not None:
            rows += self.evaluated(about.full, whole, sets)
        if about.decider:
            all_tests = union(sets, name, list(self.members))
            rows += self.evaluated(replace(about, id_name=UNION), all_tests, sets)
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
        row = self.why_not(spec)
        if row is None:
            try:
                fitted = combiner.clone()
                cuts = {name: self.scoring.cuts[name, spec] for name in self.members}
                fresh = {name: found for (name, own), found in self.scoring.calibration.items() if own == spec}
                sets = combined(fitted, spec, self.members, self.answers, cuts, fresh)
                self.merged |= {(f"{combiner.spec}+{spec}", key): said for key, said in sets.items()}
                notes = tuple(getattr(fitted, "notes_", ()))
                about = About(spec, UNION, combiner.spec, notes, self.scoring.seconds[spec])
                return self.evaluated(about, sets[TEST], sets)
            except Exception as error:  # a combiner may be anybody's: its row says what it raised
                row = Row("ood", spec, UNION, status="failed", notes=(combiner_blamed(combiner, error),))
        first = next(iter(self.members.values()))
        return [replace(row, id=UNION, decider=combiner.spec, ood=ood) for ood in first.ood]

    def why_not(self, spec: str) -> Row | None:
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

    def evaluated(self, about: About, test: Answers, sets: Mapping[str, Answers]) -> list[Row]:
        """Show scores against every OOD set, and misclassification."""
        return [*self._ood_rows(about, test, sets), *misclassification(about, test)]

    def _ood_rows(self, about: About, test: Answers, sets: Mapping[str, Answers]) -> list[Row]:
        ood = {key.removeprefix("ood:"): said for key, said in sets.items() if key.startswith("ood:")}
        rows = ood_rows(about, test, ood, self.protocol)
        return [*rows, *mean_rows(rows, self.groups)]


def _cautioned(rows: Sequence[Row], cautions: tuple[str, ...]) -> list[Row]:
    """Add what is to be said of a scorer's negatives to its rows of OOD detection, behind all else."""
    told = {"ood", "mean"}
    return [replace(row, notes=(*row.notes, *cautions)) if row.kind in told else row for row in rows]


def combiner_blamed(combiner: Combiner, error: Exception) -> str:
    """Say what a combiner raised, and the plugin of one that a plugin registered."""
    registry = get_registry()
    owner = registry.provider("combiners", combiner.name) if combiner.name in registry.names("combiners") else BUILT_IN
    whose = "" if owner == BUILT_IN else f"{owner}: "
    return f"{whose}{combiner.name}: {one_line(error, type(combiner).__module__)}"
