"""`Tally`: what a monitor counted of a stream, beside what the calibration images let expect."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ood_toolkit.detectors.detector import Detector
from ood_toolkit.detectors.monitoring.evidence import CELLS
from ood_toolkit.detectors.monitoring.report import ClassShare, Rejected, ScoreShift
from ood_toolkit.detectors.rows import Rows, same_names
from ood_toolkit.errors import DetectorError
from ood_toolkit.metrics.binomial import clopper_pearson, predicted_count

__all__ = ["Tally", "psi"]

TENTHS = 10
"""Bins of the population stability index."""


class Tally:
    """Counts, in memory that does not grow: of scores by where they lie among calibration scores, and of classes."""

    def __init__(self, detector: Detector, rows: Rows) -> None:
        """Take the detector whose decisions are counted, and its calibration rows."""
        self.names = detector.class_names or tuple(map(str, range(detector.classes)))
        self._same = same_names(self.names, len(self.names))
        n = len(rows)
        ranks = np.arange(n) if n <= CELLS else np.unique(np.arange(CELLS) * n // CELLS)
        self._edges = np.unique(rows.score[ranks])
        self._expected = np.bincount(self._places(rows.score), minlength=2 * len(self._edges) + 1)
        self._tenths = np.unique(rows.score[np.arange(1, TENTHS) * n // TENTHS])
        self._calibration_classes = None if rows.prediction is None else self._classes(rows.prediction)
        self._share = _share_rejected(detector, rows)
        self.exact_share = detector.calibration is not None and detector.calibration.accepted.basis == "future"
        self.restart()

    def restart(self) -> None:
        """Forget what was counted."""
        self.scored = self.rejected = self.unreadable = 0
        self._seen = np.zeros_like(self._expected)
        self._seen_classes = np.zeros(len(self.names), dtype=np.int64)

    def add(self, score: np.ndarray, rejected: np.ndarray, codes: np.ndarray | None, unreadable: int) -> None:
        """Count images (m,) that were scored, and how many were not."""
        self.scored, self.rejected = self.scored + len(score), self.rejected + int(rejected.sum())
        self.unreadable += unreadable
        self._seen += np.bincount(self._places(score), minlength=len(self._seen))
        if codes is not None:
            self._seen_classes += self._classes(codes)

    def _places(self, score: np.ndarray) -> np.ndarray:
        """Tell between which edges (2 i) or on which edge (2 i + 1) scores lie."""
        left, right = (np.searchsorted(self._edges, score, side=side) for side in ("left", "right"))
        made: np.ndarray = left + right
        return made

    def _classes(self, codes: np.ndarray) -> np.ndarray:
        return np.bincount(self._same[codes[codes >= 0]], minlength=len(self.names))

    def share_rejected(self) -> Rejected | None:
        """Compare the share rejected with the beta-binomial prediction from calibration; None before the first image.

        It is rough where the threshold has no fixed rank among calibration scores, or each class has one of its own:
        then it takes what the thresholds reject of all calibration images.
        """
        if not self.scored:
            return None
        seen, (a, b) = clopper_pearson(self.rejected, self.scored), self._share
        if min(a, b) <= 0:
            sure = float(b <= 0)
            chance = float(self.rejected == sure * self.scored)
            return Rejected(self.rejected, self.scored, seen.value, seen.low, seen.high, sure, sure, sure, chance)
        told = predicted_count(a, b, self.scored, self.rejected)
        low, high = told.low / self.scored, told.high / self.scored
        return Rejected(
            self.rejected, self.scored, seen.value, seen.low, seen.high, told.share, low, high, told.chance
        )  # fmt: skip

    def shift(self) -> ScoreShift | None:
        """Compare the distributions of scores; None before the first image.

        The Kolmogorov-Smirnov statistic is looked at where calibration scores lie, which is where it is largest if all
        of these are edges; the p-value is the limit for many images.
        """
        if not self.scored:
            return None
        from scipy.special import kolmogorov

        n, m = int(self._expected.sum()), self.scored
        apart = np.abs(np.cumsum(self._seen) / m - np.cumsum(self._expected) / n)
        statistic = float(apart.max())
        chance = float(kolmogorov(math.sqrt(n * m / (n + m)) * statistic))
        return ScoreShift(statistic, chance, psi(self._by_tenth(self._seen), self._by_tenth(self._expected)))

    def _by_tenth(self, counts: np.ndarray) -> np.ndarray:
        """Sum counts over the bins between tenths of the calibration scores, each with its lower end."""
        starts = 2 * np.searchsorted(self._edges, self._tenths) + 1
        return np.array([part.sum() for part in np.split(counts, starts)])

    def classes(self) -> tuple[ClassShare, ...]:
        """Compare the mix of predicted classes, in the order of the classes."""
        total = int(self._seen_classes.sum())
        known = self._calibration_classes
        if not total or known is None:
            return ()
        return tuple(
            ClassShare(name, int(seen), seen / total, expected / known.sum())
            for place, (name, seen, expected) in enumerate(
                zip(self.names, self._seen_classes.tolist(), known.tolist(), strict=True)
            )
            if self._same[place] == place
        )

    def class_psi(self) -> float | None:
        """Give the stability index of the class mix; None where no class was predicted."""
        if self._calibration_classes is None or not self._seen_classes.sum():
            return None
        return psi(self._seen_classes, self._calibration_classes)

    def to_dict(self) -> dict[str, Any]:
        """Give what a state has to hold, as plain values."""
        return {
            "scored": self.scored,
            "rejected": self.rejected,
            "unreadable": self.unreadable,
            "seen": self._seen.tolist(),
            "classes": self._seen_classes.tolist(),
        }

    def take(self, known: Mapping[str, Any]) -> None:
        """Go on from what `to_dict` gave; `DetectorError` where it is of other calibration images or classes."""
        numbers = [known[name] for name in ("scored", "rejected", "unreadable")]
        seen, classes = np.array(known["seen"]), np.array(known["classes"], dtype=np.int64)
        fits = all(type(one) is int and one >= 0 for one in numbers) and numbers[1] <= numbers[0]
        fits = fits and seen.shape == self._seen.shape and seen.dtype.kind == "i" and bool((seen >= 0).all())
        fits = fits and classes.shape == self._seen_classes.shape and bool((classes >= 0).all())
        if not fits or seen.sum() != numbers[0] or classes.sum() > numbers[0]:
            raise DetectorError("counts: they do not fit one another")
        self.scored, self.rejected, self.unreadable = numbers
        self._seen, self._seen_classes = seen, classes


def psi(seen: np.ndarray, expected: np.ndarray) -> float:
    """Give the population stability index of counts (k,): the sum of (a - e) ln(a / e) over shares a and e.

    A share is (count + 1/2) / (n + k/2), so that empty bins have one. 0.1 and 0.25 are customary marks of a small and
    a large change.
    """
    a, e = ((counts + 0.5) / (counts.sum() + 0.5 * len(counts)) for counts in (seen, expected))
    return float(((a - e) * np.log(a / e)).sum())


def _share_rejected(detector: Detector, rows: Rows) -> tuple[int, int]:
    """Give the Beta of the share of future ID images that is rejected; 0 stands for none, or for all of them.

    A threshold that is the k-th smallest of n scores rejects k - 1 of them, and of images to come Beta(k, n - k + 1).
    """
    cuts: Any = detector.threshold
    if detector.class_thresholds is not None and rows.prediction is not None:
        cuts = detector.class_thresholds[rows.prediction]
    rejected = int((rows.score < cuts).sum())
    everything = rejected == 0 and bool(np.isneginf(cuts).all())
    return (0, 1) if everything else (rejected + 1, len(rows) - rejected)
