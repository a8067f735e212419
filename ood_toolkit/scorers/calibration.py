"""Calibration: the scores of ID validation that a threshold is taken from, and how validation is cut in parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ood_toolkit.api.scorer import Scorer
from ood_toolkit.errors import ScorerError, one_line
from ood_toolkit.metrics.binomial import predicted_count
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.arrays import to_numpy
from ood_toolkit.scorers.scores import fitted_on, scores_of

__all__ = [
    "FOLDS",
    "CalibrationScores",
    "calibration_scores",
    "copies",
    "folds_of",
    "halves",
    "learns_from_val",
    "missed",
    "shared_with_train",
]

FOLDS = 5
"""Into how many folds validation is cut where nothing else is said."""
LEARNT = frozenset({"val", "val_labels"})
FEW = 0.01
"""Share of validation images that may be training images too before it is said; real sets hold some twice."""
TARGET, TOLERANCE, CHANCE = 0.95, 0.03, 0.05
"""What a `tpr` threshold accepts of ID, how far off it may be, and how rarely by chance before that is said."""


@dataclass(frozen=True, eq=False)
class CalibrationScores:
    """The scores of ID validation that a threshold is taken from."""

    scores: np.ndarray
    """(n,) float64, row-aligned with validation; higher = more in-distribution."""
    notes: tuple[str, ...] = ()
    """What has to be said of them."""


def learns_from_val(scorer: Scorer) -> bool:
    """Tell whether a scorer's `fit` learns from ID validation, by its needs."""
    return not LEARNT.isdisjoint(scorer.needs)


def calibration_scores(
    scorer: Scorer,
    val: Outputs,
    train: Outputs | None = None,
    fitted: Scorer | None = None,
    folds: int | None = None,
    seed: int = 0,
) -> CalibrationScores:
    """Score ID validation as if it were fresh, for a threshold that is not taken from what the scorer learnt.

    A scorer that learns from `val` is fitted once for each fold, on the other folds (and on all of `train`), and
    scores that fold; one that does not simply scores `val`. `fitted` is the scorer fitted on all of `val`, where
    there is one; it stays as it is, and so do the scores that it gives. The folds are those of `folds_of`, by default
    as many as the scorer's `calibration_folds`.

    Where a part of validation cannot be cut or is too small to fit on, `fitted` scores all of it, and a note says so.
    Such thresholds have less bias, but promise nothing. For a promise fit on one of the `halves` and calibrate on the
    other.
    """
    if not learns_from_val(scorer):
        return CalibrationScores(scores_of(fitted or fitted_on(scorer.clone(), val, train), val))
    parts = folds_of(val, folds or scorer.calibration_folds, seed)
    count = int(parts.max()) + 1
    scores = np.empty(len(val))
    try:
        if count == 1:
            raise ScorerError("one image cannot be cut")
        for fold in range(count):
            mine = parts == fold
            scores[mine] = scores_of(fitted_on(scorer.clone(), val[~mine], train), val[mine])
    except Exception as error:  # a scorer may be anybody's; it was fitted on all of validation all the same
        raised = one_line(error, type(scorer).__module__)
        why = f"the threshold is taken from the validation images it learnt from, and is too strict: {raised}"
        return CalibrationScores(scores_of(fitted or fitted_on(scorer.clone(), val, train), val), (why,))
    note = f"learns from validation: its threshold is from {count} folds, each scored by a fit on the others"
    return CalibrationScores(scores, (note,))


def copies(some: Outputs, others: Outputs) -> int:
    """Count the images of some outputs that others hold too, by what their rows hold."""
    return int(np.isin(some.row_keys, others.row_keys).sum())


def shared_with_train(scorer: Scorer, val: Outputs, train: Outputs | None) -> tuple[str, ...]:
    """Note that a scorer learns from training images of which some are validation images too, by what rows hold.

    Such images score as if they were known: with `knn:k=1` their distance is 0, and all that is fresh is rejected.
    """
    if train is None or "train" not in scorer.needs:
        return ()
    count = copies(val, train)
    if count <= FEW * len(val):
        return ()
    return (f"{count} of {len(val)} validation images are training images too: the threshold rejects too much of ID",)


def missed(known: np.ndarray, cut: float, accepted: np.ndarray) -> tuple[str, ...]:
    """Note that a threshold of 95 % of validation accepts another share of the ID test, and chance hardly explains it.

    `known` (n,) are the scores that the threshold `cut` was taken from, `accepted` (m,) bool are the decisions on the
    test. Were validation and test drawn from one source, the count accepted would be beta-binomial, by the rank of
    the threshold. Of tied scores the rank is taken that explains most.
    """
    share, below = float(accepted.mean()), int((known < cut).sum())
    off = round(share - TARGET, 9)
    rank = below if off > 0 else below + 1
    if abs(off) < TOLERANCE or rank == 0:
        return ()
    told = predicted_count(len(known) - rank + 1, rank, len(accepted), int(accepted.sum()))
    if told.chance >= CHANCE:
        return ()
    return (
        f"ID accepted is 3 points or more {'above' if off > 0 else 'below'} 95 %, as it is by chance in fewer than 5 % "
        "of runs: to this score, or to its threshold, the ID test is unlike validation",
    )


def folds_of(val: Outputs, folds: int = FOLDS, seed: int = 0) -> np.ndarray:
    """Say in which fold each image is, (n,) from 0; as many folds as asked for, or as there are images.

    Drawn with the seed, and stratified by label, else by prediction, so that no class, and no fold, has more than one
    image more than its share.
    """
    if folds < 2:
        raise ScorerError(f"folds: expected at least 2, got {folds}")
    place = np.empty(len(val), dtype=np.int64)
    place[_stratified(val, seed)] = np.arange(len(val))
    return place % min(folds, len(val))


def halves(val: Outputs, seed: int = 0) -> tuple[Outputs, Outputs]:
    """Cut validation in two, to fit on the first and to calibrate on the second, for rules with a promise.

    Drawn with the seed and stratified as `folds_of`; of an odd number the second has one more. Rows keep their order.
    `ScorerError` for a single image.
    """
    if len(val) < 2:
        raise ScorerError("val: expected at least 2 images to fit on one half and calibrate on the other, got 1")
    second = np.empty(len(val), dtype=bool)
    second[_stratified(val, seed)] = np.arange(len(val)) % 2 == 0
    return val[np.flatnonzero(~second)], val[np.flatnonzero(second)]


def _stratified(val: Outputs, seed: int) -> np.ndarray:
    """Give the rows (n,) in an order drawn with the seed, the images of a class one after the other."""
    order = np.random.default_rng(seed).permutation(len(val))
    known = val.labels if val.labels is not None else val.prediction if val.classes else None
    return order if known is None else order[np.argsort(to_numpy(known)[order], kind="stable")]
