"""Several classifiers of one ID set: a run of each, then what combiners make of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ood_toolkit.api.combiner import PROBABILITIES, Combiner
from ood_toolkit.api.stream import AnyScorer
from ood_toolkit.benchmark.combining import combined_on_one_set
from ood_toolkit.benchmark.members import Member, check_groups, check_shifted, common_names
from ood_toolkit.benchmark.reported import lost, reported
from ood_toolkit.benchmark.rows import Rows, combiner_blamed
from ood_toolkit.benchmark.scoring import Scoring
from ood_toolkit.errors import OutputsError
from ood_toolkit.report import Report
from ood_toolkit.report.evaluation import About, full_header, full_spectrum, header_of
from ood_toolkit.report.report import joined
from ood_toolkit.report.results import TEST, Answers, Row

__all__ = ["Classifiers"]


@dataclass(eq=False)
class Classifiers:
    """Classifiers of one ID set, by name; in the report each is a model, and each combination one more."""

    id_name: str
    members: Mapping[str, Member]
    """Aligned: all have the same images in one order."""
    scorers: list[AnyScorer]
    progress: Callable[..., None]
    groups: Mapping[str, Sequence[str]]
    protocol: str
    seed: int = 0

    def report(
        self, merging: Sequence[Combiner], out_of_service: Mapping[str, str], about: Mapping[str, Mapping[str, Any]]
    ) -> Report:
        """Run every scorer on each classifier, and every combiner on what they say.

        `about` is added to the header of each classifier. A classifier must not have learnt from the validation images:
        combiners take their thresholds from these.
        """
        check_groups(self.groups, next(iter(self.members.values())).ood)
        for member in self.members.values():
            check_shifted({self.id_name: member})
        if both := [combiner.spec for combiner in merging if combiner.spec in self.members]:
            raise OutputsError(f"members: a classifier has the name of the combiner {both[0]!r}; give it another")
        self._holds = any(PROBABILITIES in combiner.needs for combiner in merging)
        self._called = common_names({name: member.tests[self.id_name] for name, member in self.members.items()})
        rows = {name: self._rows_of(name) for name in self.members}
        parts = []
        for name, own in rows.items():
            listed = [*own.of_member(self.id_name), *lost(out_of_service, self.id_name, list(self.members[name].ood))]
            parts.append(reported(own, listed, {**about.get(name, {}), "model": name}))
        headers = [part.header for part in parts]
        shared = {k: v for k, v in headers[0].items() if all(header.get(k) == v for header in headers)}
        for combiner in merging:
            parts += self._combined(combiner, rows, shared)
        for own in rows.values():
            for said in own.answers[self.id_name].values():
                said.probabilities = None  # large, and nobody needs them any more
        return joined(parts)

    def _rows_of(self, name: str) -> Rows:
        own = {self.id_name: self.members[name]}
        scoring = Scoring(self.scorers, self.progress, self.seed, holds_probabilities=self._holds)
        called = {self.id_name: self._called[name]}
        answers = {self.id_name: scoring.answer(self.id_name, self.members[name], own, called)}
        return Rows(own, answers, scoring, self.groups, self.protocol)

    def _combined(self, combiner: Combiner, rows: Mapping[str, Rows], shared: Mapping[str, Any]) -> list[Report]:
        """Give the report of a combination, as of one more model; of several where its predictions depend on scores."""
        merged: list[tuple[list[Row], dict[str, Answers]]] = []
        failed: list[Row] = []
        for spec in [combiner.spec] if PROBABILITIES in combiner.needs else [one.spec for one in self.scorers]:
            row = next((why for own in rows.values() if (why := own.why_not(spec)) is not None), None)
            if row is None:
                try:
                    listed, sets = self._of_scores(combiner, spec, rows)
                except Exception as error:  # a combiner may be anybody's: its row says what it raised
                    row = Row("ood", spec, self.id_name, status="failed", notes=(combiner_blamed(combiner, error),))
                else:
                    _join(merged, listed, sets)
                    continue
            ood = next(iter(self.members.values())).ood
            failed += [replace(row, id=self.id_name, ood=name) for name in ood]
        if not merged:
            merged = [([], {})]
        merged[0][0].extend(failed)
        names = [combiner.spec, *(f"{combiner.spec} of {listed[0].scorer}" for listed, _ in merged[1:])]
        return [self._reported(name, *found, shared) for name, found in zip(names, merged, strict=True)]

    def _of_scores(
        self, combiner: Combiner, spec: str, rows: Mapping[str, Rows]
    ) -> tuple[list[Row], dict[str, Answers]]:
        """Fit a combiner on what the classifiers say by one scorer, and show what it makes of it."""
        fitted, key = combiner.clone(), (self.id_name, spec)
        sets = combined_on_one_set(
            fitted,
            spec,
            {name: own.answers[self.id_name] for name, own in rows.items()},
            self._called,
            {name: own.scoring.cuts.get(key, 0.0) for name, own in rows.items()},
            {name: own.scoring.calibration[key] for name, own in rows.items() if key in own.scoring.calibration},
        )
        seconds = sum(own.scoring.seconds.get(spec, 0.0) for own in rows.values())
        about = About(spec, self.id_name, "", tuple(getattr(fitted, "notes_", ())), seconds)
        show = next(iter(rows.values()))
        listed = show.evaluated(about, sets[TEST], sets)
        if csid := next(iter(self.members.values())).csid:
            listed += show.evaluated(about.full, full_spectrum(sets, csid), sets)
        return listed, sets

    def _reported(
        self, name: str, listed: Sequence[Row], sets: Mapping[str, Answers], shared: Mapping[str, Any]
    ) -> Report:
        """Put the rows of a combination under a header like a model's, of what those of the classifiers share."""
        first = next(iter(self.members.values()))
        header = {**shared, "model": name, "combines": list(self.members)}
        if sets:
            header["id"] = [header_of(self.id_name, sets, first.tests[self.id_name].classes)]
            header |= {"csid": full_header(self.id_name, sets, list(first.csid))} if first.csid else {}
        else:
            header["id"] = [{"name": self.id_name, "images": len(first.tests[self.id_name])}]
        answers: dict[tuple[str, ...], Answers] = {(self.id_name, key): said for key, said in sets.items()}
        return Report([replace(row, model=name) for row in listed], header, answers)


def _join(merged: list[tuple[list[Row], dict[str, Answers]]], rows: list[Row], sets: dict[str, Answers]) -> None:
    """Put the scores of a combination beside those of others that predict the same of every image, else apart."""
    for listed, known in merged:
        if all(_alike(known[key].prediction, said.prediction) for key, said in sets.items()):
            listed += rows
            for key, said in sets.items():
                known[key].scores |= said.scores
                known[key].accepted |= said.accepted
            return
    merged.append((rows, sets))


def _alike(some: np.ndarray | None, others: np.ndarray | None) -> bool:
    return some is not None and others is not None and np.array_equal(some, others)
