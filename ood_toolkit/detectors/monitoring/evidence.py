"""`Evidence`: an exchangeability martingale of conformal p-values, which tells drift at any time and in one look.

The p-value of an image is against the calibration images and all earlier images of the stream, itself included. While
all of these come in random order from one source, p-values are uniform and independent (Vovk, Nouretdinov and Gammerman
2003), so whoever bets against that multiplies a stake by 100 with a chance of at most 1 %, ever (Ville).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ood_toolkit.errors import DetectorError

__all__ = ["CELLS", "GRID", "Evidence"]

CELLS = 1000
"""Calibration scores, at most, between which scores of the stream are told apart: memory stays constant."""
GRID = (np.arange(20) + 0.5) / 20
"""Exponents of the bets e p^(e - 1), each with the same share of the stake."""
BLOCK = 256
"""Images whose p-values are worked out together."""
TINY = 2.0**-53
"""How near p-values come to 0 and 1."""


class Evidence:
    """The stake of a bettor who starts with 1 and never borrows; log2 of it is the evidence of drift in bits.

    The stake is spread over exponents, over both directions (scores that fall, scores that rise), and over starts: bets
    that start at image r hold 1 / log2(r + 1) - 1 / log2(r + 2) of it. All shares sum to 1, so it stays a martingale.
    Because of the late starts, evidence does not fade while nothing happens.
    """

    def __init__(self, calibration: np.ndarray, seed: int = 0) -> None:
        """Take calibration scores (n,), rising. Scores that are equal are put in an order drawn with the seed."""
        n, self.seed = len(calibration), seed
        order = np.random.default_rng([seed, 1]).random(n)
        known = np.sort_complex(calibration + 1j * order)  # by score, then by what was drawn
        ranks = np.arange(1, n + 1) if n <= CELLS else np.unique(np.arange(1, CELLS + 1) * n // CELLS)
        self._edges = known[ranks - 1]
        self._gaps = np.diff(np.concatenate([[0], ranks, [n + 1]])).astype(np.int64)
        self.drawn = 0
        self._rng = np.random.Generator(np.random.PCG64([seed, 2]))
        self.restart()

    def restart(self) -> None:
        """Forget the stream and all evidence, and go on drawing."""
        self.images = 0
        self._seen = np.zeros(len(self._gaps), dtype=np.int64)
        self._stakes = np.full(2 * len(GRID), -np.inf)
        self.log_value = self.log_highest = 0.0

    @property
    def bits(self) -> float:
        """Evidence now: log2 of the stake."""
        return self.log_value / math.log(2)

    @property
    def highest_bits(self) -> float:
        """The most evidence that there was, which is what an alarm goes by."""
        return self.log_highest / math.log(2)

    def observe(self, scores: np.ndarray) -> np.ndarray:
        """Take scores (m,), finite, in their order; give the stake's logarithm after each, (m,) float64."""
        found = np.empty(len(scores))
        for start in range(0, len(scores), BLOCK):
            block = scores[start : start + BLOCK]
            found[start : start + len(block)] = self._bet(self._p_values(block))
        if len(found):
            self.log_value, self.log_highest = float(found[-1]), max(self.log_highest, float(found.max()))
        return found

    def _p_values(self, scores: np.ndarray) -> np.ndarray:
        """Give smoothed p-values (m,): exactly uniform and independent while everything is exchangeable.

        Only the cell between two calibration scores is looked at, and the place within it is drawn. Of n calibration
        scores and t - 1 earlier images, a cell of g gaps that saw c images gets image t with chance (g + c) / (n + t).
        """
        m = len(scores)
        tie, place = self._rng.random((m, 2)).T
        self.drawn += m
        cells = np.searchsorted(self._edges, scores + 1j * tie)
        held = self._gaps + self._seen
        below = np.concatenate([[0], np.cumsum(held)])[cells]
        earlier = np.tril(np.ones((m, m), dtype=bool), -1)
        lower = ((cells < cells[:, None]) & earlier).sum(axis=1)
        same = ((cells == cells[:, None]) & earlier).sum(axis=1)
        p: np.ndarray = (below + lower + place * (held[cells] + same)) / (held.sum() + np.arange(m))
        self._seen += np.bincount(cells, minlength=len(held))
        return np.clip(p, TINY, 1 - TINY)

    def _bet(self, p: np.ndarray) -> np.ndarray:
        """Multiply each stake by its bets; give the logarithm of all that is held after each p-value (m,)."""
        low, high = np.log(p)[:, None], np.log1p(-p)[:, None]
        gains = np.concatenate([(GRID - 1) * low, (GRID - 1) * high], axis=1) + np.tile(np.log(GRID), 2)
        grown = np.cumsum(gains, axis=0)
        before = np.vstack([np.zeros(len(self._stakes)), grown[:-1]])
        start = np.arange(self.images + 1, self.images + len(p) + 1)
        entering = np.vstack([self._stakes, np.log(_share(start))[:, None] - before])
        stakes = grown + np.logaddexp.accumulate(entering, axis=0)[1:]
        self._stakes, self.images = stakes[-1], self.images + len(p)
        top = stakes.max(axis=1)
        at_work = top + np.log(np.exp(stakes - top[:, None]).mean(axis=1))
        waiting = -np.log(np.log2(start + 2))
        return np.logaddexp(at_work, waiting)

    def to_dict(self) -> dict[str, Any]:
        """Give what a state has to hold, as plain values."""
        return {
            "images": self.images,
            "drawn": self.drawn,
            "seen": self._seen.tolist(),
            "log_stakes": self._stakes.tolist() if self.images else [],
            "log_value": self.log_value,
            "log_highest": self.log_highest,
        }

    def take(self, known: Mapping[str, Any]) -> None:
        """Go on from what `to_dict` gave, with the same calibration scores and seed; `DetectorError` if it is other."""
        seen, stakes = np.array(known["seen"]), np.array(known["log_stakes"], dtype=np.float64)
        images, drawn = known["images"], known["drawn"]
        fits = seen.shape == self._seen.shape and seen.dtype.kind == "i" and bool((seen >= 0).all())
        fits = fits and images == seen.sum() and type(drawn) is int and drawn >= images
        fits = fits and stakes.shape == (self._stakes.shape if images else (0,)) and bool(np.isfinite(stakes).all())
        values = [float(known["log_value"]), float(known["log_highest"])]
        if not fits or not np.isfinite(values).all():
            raise DetectorError("evidence: the counts do not fit one another")
        self.images, self.drawn, self._seen = int(images), drawn, seen
        self._stakes = stakes if images else self._stakes
        self.log_value, self.log_highest = values
        bits = np.random.PCG64([self.seed, 2])
        bits.advance(2 * drawn)
        self._rng = np.random.Generator(bits)


def _share(start: np.ndarray) -> np.ndarray:
    """Give the share of the stake that starts at an image, the first being 1: 1 / log2(r + 1) - 1 / log2(r + 2)."""
    made: np.ndarray = np.log1p(1 / (start + 1)) / math.log(2) / (np.log2(start + 1) * np.log2(start + 2))
    return made
