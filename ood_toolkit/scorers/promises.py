"""Thresholds that promise something of images to come: ranks for `conformal` and `pac`, tests for `risk`.

All promises are of ID images that are exchangeable with the calibration images. No rule can promise how much OOD is
detected, for it has seen none.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs.class_names import first_few

__all__ = ["conformal_rank", "pac_rank", "risk_threshold", "tpr_rank", "true_class_threshold"]

FIFTH = 5
"""One part in so many of the calibration images gives the grid of `risk`; the rest are tested."""


@cache
def _exact(share: float) -> Fraction:
    """Give a share as it is written, 0.95 as 19/20."""
    return Fraction(str(share))


def tpr_rank(n: int, target: float) -> int:
    """Give the rank, counted from the smallest, of the ceil(target n)-th largest of n scores."""
    share = _exact(target)
    return int(n - -((-n * share.numerator) // share.denominator) + 1)


def conformal_rank(n: int, target: float) -> int:
    """Give k = floor((1 - target) (n + 1)): s_(k) accepts a future ID image with at least `target` (Vovk et al. 2005).

    0 where n is too small to promise it: the threshold is then minus infinity.
    """
    return int((n + 1) * (1 - _exact(target)))


def pac_rank(n: int, target: float, delta: float) -> int:
    """Give the largest k with P(Bin(n, 1 - target) >= k) >= 1 - delta (Wilks 1941).

    With probability 1 - delta over calibration sets s_(k) accepts at least `target` of future ID. 0 where n is below
    ln(delta) / ln(target): the threshold is then minus infinity.
    """
    from scipy.special import bdtr

    alpha = float(1 - Fraction(str(target)))
    below = bdtr(np.arange(n), n, alpha)  # (n,): P(Bin <= k - 1) for k = 1 to n, rising
    return int(np.searchsorted(below, delta * (1 + 1e-12), side="right"))


def risk_threshold(scores: Any, right: Any, target: float, delta: float, seed: int = 0) -> float:
    """Give the lowest threshold that passes: at most `target` errors among accepted ID, with probability 1 - delta.

    scores (n,), right (n,) bool. Fixed-sequence testing (Geifman and El-Yaniv 2017, arXiv 1705.08500; Angelopoulos et
    al. 2021, arXiv 2110.01052): a fifth of the images, drawn with the seed, gives the grid of thresholds and the first
    of them; the others test each, from the strictest on, with p-value P(Bin(accepted, target) <= errors), until one
    exceeds delta. Plus infinity where none passes: nothing is accepted. Accepted OOD images are not counted.
    """
    from scipy.special import bdtr

    values, correct = np.asarray(scores, dtype=np.float64), np.asarray(right, dtype=bool)
    chosen = np.zeros(len(values), dtype=bool)
    chosen[np.random.default_rng(seed).permutation(len(values))[: len(values) // FIFTH]] = True
    grid = np.unique(values[chosen])[::-1]  # from the strictest
    rest = np.argsort(values[~chosen])
    ranked, wrong = values[~chosen][rest], ~correct[~chosen][rest]
    if not len(grid):
        return math.inf
    enough = 2 * math.log(delta) / math.log1p(-target)
    fifth = np.sort(values[chosen])
    expected = (len(fifth) - np.searchsorted(fifth, grid, side="left")) / len(fifth) * len(ranked)
    grid = grid[expected >= enough]
    first = np.searchsorted(ranked, grid, side="left")
    accepted = len(ranked) - first
    errors = np.append(np.cumsum(wrong[::-1])[::-1], 0)[first]
    passed = np.array(
        [n > 0 and bdtr(e, n, target) <= delta for e, n in zip(errors, accepted, strict=True)], dtype=bool
    )
    count = len(grid) if passed.all() else int(np.argmin(passed))
    return float(grid[count - 1]) if count else math.inf


def true_class_threshold(scores: Any, labels: Any, classes: int, target: float, names: Any = None) -> float:
    """Give the set form of conformal within true classes: accept iff some class y has p_y > 1 - target.

    scores (n,), labels (n,) class indices, -1 for none of them. With one score an image this is one threshold, the
    least over y of s^y_(k), k = floor((1 - target) (n_y + 1)): each true class is accepted with at least `target`
    (Vovk 2012). A class with fewer than ceil(1 / (1 - target)) - 1 images would accept everything: `ScorerError`.
    """
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    sizes = np.bincount(truth[truth >= 0], minlength=classes)
    few = [c for c in range(classes) if conformal_rank(int(sizes[c]), target) == 0]
    if few:
        called = [str(c if names is None else names[c]) for c in few]
        need = math.ceil(1 / (1 - Fraction(str(target)))) - 1
        raise ScorerError(
            f"conformal:by=true: expected at least {need} images of each class, for with fewer a class accepts "
            f"everything; too few of {first_few(called, 10, str, counts=True)}; lower the target or bring more images"
        )
    cuts = [np.sort(values[truth == c])[conformal_rank(int(sizes[c]), target) - 1] for c in range(classes)]
    return float(min(cuts))
