"""`Prediction`: one run of `oodkit predict`: sources through a detector into a writer, in constant memory."""

from __future__ import annotations

import json
import tempfile
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from ood_toolkit.detectors.deciding import Deciding
from ood_toolkit.detectors.detector import Detector
from ood_toolkit.detectors.gate import Gate
from ood_toolkit.detectors.sources import Source
from ood_toolkit.detectors.writing import Known, Writer
from ood_toolkit.errors import DetectorError
from ood_toolkit.metrics.discoveries import discovery_cut

__all__ = ["Counts", "Prediction", "check_rate"]

BATCH = 2000
"""Rows that are read again together when discoveries are flagged."""


@dataclass
class Counts:
    """What came of a run."""

    accepted: int = 0
    rejected: int = 0
    """Those that could not be read are among them."""
    unreadable: int = 0
    known: int = 0
    """Rows that an earlier run wrote."""
    flagged: int = 0
    note: str = ""
    reasons: list[tuple[str, str]] = field(default_factory=list)
    """The first few that could not be read, with why."""

    @property
    def rows(self) -> int:
        """All rows that were decided."""
        return self.accepted + self.rejected


def check_rate(detector: Detector) -> None:
    """Refuse to flag discoveries with a detector whose p-values promise nothing."""
    known = detector.calibration
    if detector.rows is None or known is None:
        raise DetectorError("--fdr: a detector of format 1 has no calibration rows; fit it again")
    if not known.fresh:
        raise DetectorError(
            f"--fdr: {detector.scorer.spec} took part in its calibration images, so its p-values promise nothing; fit "
            "a score without thresholds, such as msp, with --rule conformal"
        )


@dataclass
class Prediction:
    """A run: what is decided with, and where rows go."""

    detector: Detector
    gate: Callable[[], Gate]
    """Makes the gate, where there are pictures."""
    writer: Writer
    known: Known = field(default_factory=Known)
    only: str | None = None
    """`accepted` or `rejected`: write these alone; each JSON line then says so, as `only`."""
    rate: float | None = None
    """Flag OOD at this false discovery rate over the whole run."""
    storey: bool = False
    progress: Callable[[int], None] = lambda done: None

    def run(self, sources: list[Source]) -> Counts:
        """Decide on all rows of the sources, in their order."""
        counts = Counts()
        if self.rate is None:
            for rows in self._rows(sources, counts):
                self._write(rows, counts)
            return counts
        with tempfile.TemporaryFile("w+", encoding="ascii") as spool:
            p_values = array("d")
            for rows in self._rows(sources, counts):
                p_values.extend(float("nan") if row["p_value"] is None else row["p_value"] for row in rows)
                spool.write("".join(f"{json.dumps(row)}\n" for row in rows))
            assert self.detector.rows is not None
            ranked = np.frombuffer(p_values)
            ranked.sort()  # in place; rows are judged by what is spooled
            cut, counts.note = discovery_cut(ranked, self.rate, len(self.detector.rows), self.storey)
            spool.seek(0)
            while lines := list(islice(spool, BATCH)):
                rows = [self._judged(json.loads(line), cut) for line in lines]
                counts.flagged += sum(row["score"] is not None and not row["accepted"] for row in rows)
                self._write(rows, counts)
        return counts

    def _judged(self, row: dict[str, Any], cut: float | None) -> dict[str, Any]:
        """Let the false discovery rate decide in the place of the threshold; what was not scored stays rejected."""
        if row["score"] is None:
            return row
        flagged = cut is not None and row["p_value"] <= cut
        return {**row, "accepted": not flagged, "why": f"flagged at a false discovery rate of {self.rate:g}" * flagged}

    def _write(self, rows: list[dict[str, Any]], counts: Counts) -> None:
        kept = sum(row["accepted"] for row in rows)
        counts.accepted += kept
        counts.rejected += len(rows) - kept
        wanted = rows if self.only is None else [row for row in rows if row["accepted"] == (self.only == "accepted")]
        if wanted:
            self.writer.write(wanted if self.only is None else [{**row, "only": self.only} for row in wanted])
        self.progress(counts.rows)

    def _rows(self, sources: list[Source], counts: Counts) -> Iterator[list[dict[str, Any]]]:
        for source in sources:
            deciding = Deciding(self.detector, self.gate, self.known)
            for found, hashes in deciding.rows(source):
                for row, why in found.reasons.items():
                    counts.unreadable += 1
                    if len(counts.reasons) < 10:
                        counts.reasons.append((str(found.id[row]), why))
                digest = self.detector.digest
                yield [
                    {**row, "sha256": key, "detector": digest}
                    for row, key in zip(found.to_dicts(), hashes, strict=True)
                ]
            counts.known += deciding.skipped
