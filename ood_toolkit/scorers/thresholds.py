"""Threshold rules: ID validation scores into one threshold, or one for each predicted class."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ood_toolkit.api.spec import nearest
from ood_toolkit.errors import ScorerError

__all__ = ["RULES", "Thresholds", "balanced_accuracy", "class_thresholds", "grid_threshold", "threshold"]

ENOUGH = 20
"""Images of a class from which its threshold stands alone; below, it is shrunk toward the global one."""
KAPPA = 0.9
"""How far below the mean score of the right ones the rule `mean` puts the threshold."""
RULES = ("tpr", "mean", "f1", "youden", "conformal")
NEEDS_RIGHT = frozenset({"mean", "f1", "youden"})
"""Rules that compare right with wrong predictions, and so need validation labels."""


@dataclass(frozen=True)
class Thresholds:
    """A threshold for each class, with what had to be said about how they came about."""

    values: np.ndarray
    """(k,) float64; minus infinity where `conformal` cannot promise anything."""
    overall: float
    """The same rule on all classes together."""
    notes: tuple[str, ...] = ()


def threshold(rule: str, scores: Any, right: Any = None, target: float = 0.95) -> tuple[float, tuple[str, ...]]:
    """Give the one threshold of a rule, S >= threshold being "in-distribution", and notes on any fallback.

    scores (n,): ID validation, higher = more in-distribution; right (n,) bool: which predictions are right.
    """
    check_rule(rule, target)
    values, correct = _arrays(scores, right, rule)
    found = _one(rule, values, correct, target)
    if found == -np.inf:
        few = (
            f"conformal: {len(values)} images are too few to promise {target:g} of ID; threshold -inf, all are accepted"
        )
        return found, (few,)
    if found is not None:
        return found, ()
    return _accepting(values, target), (f"{rule}: {_lacking(rule, correct)}; took the tpr threshold",)


def class_thresholds(
    rule: str, scores: Any, prediction: Any, classes: int, right: Any = None, target: float = 0.95
) -> Thresholds:
    """Give a threshold for each predicted class.

    scores (n,), prediction (n,) class indices, right (n,) bool. Classes with fewer than 20 images shrink toward the
    global threshold, empty ones take it, and so do those without the right and wrong predictions that the rule
    compares; `conformal` is never shrunk and is minus infinity where n_c is too small for its promise.
    """
    check_rule(rule, target)
    values, correct = _arrays(scores, right, rule)
    predicted = _numpy(prediction).astype(np.int64)
    if predicted.shape != values.shape:
        raise ScorerError(f"prediction: expected shape {values.shape}, one a score, got {predicted.shape}")
    overall, said = threshold(rule, values, correct, target)
    said = () if rule == "conformal" else said  # it falls back to nothing, and each class is counted below
    used = rule if not said else "tpr"
    notes, found = list(said), np.full(classes, overall)
    fell, promised = [], []
    for c in range(classes):
        mine = predicted == c
        n = int(mine.sum())
        own = _one(used, values[mine], None if correct is None else correct[mine], target) if n else None
        if used == "conformal":
            found[c] = -np.inf if own is None else own
            promised += [c] if found[c] == -np.inf else []
        elif own is None:
            fell += [c] if n else []
        else:
            found[c] = own if n >= ENOUGH else (n * own + ENOUGH * overall) / (n + ENOUGH)
    if fell:
        notes.append(f"{used}: {len(fell)} of {classes} classes lack {_kinds(used)}; they take the global threshold")
    if promised:
        notes.append(f"conformal: {len(promised)} of {classes} classes have too few images to promise; threshold -inf")
    return Thresholds(found, overall, tuple(notes))


def grid_threshold(
    scores: Any, right: Any, bounds: tuple[float, float] | None = None, points: int = 101
) -> tuple[float, tuple[str, ...]]:
    """Search one threshold for the best balanced accuracy of right against wrong, ties to the lower threshold.

    The grid has `points` points between the bounds, by default the least and the largest score. Without both right
    and wrong predictions the tpr threshold is taken, and a note says so.
    """
    values, correct = _arrays(scores, right, "grid")
    if correct is None or correct.all() or not correct.any():
        return _accepting(values, 0.95), (f"{_lacking('grid', correct)}; took the tpr threshold",)
    grid = np.linspace(*(bounds or (float(values.min()), float(values.max()))), num=points)
    return float(grid[np.argmax([balanced_accuracy(values >= theta, correct) for theta in grid])]), ()


def balanced_accuracy(accepted: np.ndarray, right: np.ndarray) -> float:
    """Give the mean of the share of right ones accepted and the share of wrong ones rejected."""
    rights, wrongs = int(right.sum()), int((~right).sum())
    kept, rejected = int(accepted[right].sum()), int((~accepted[~right]).sum())
    return (kept * wrongs + rejected * rights) / (2 * rights * wrongs)  # one division, so that ties are equal


def check_rule(rule: str, target: float) -> None:
    """Refuse an unknown rule, and a target outside (0, 1)."""
    if rule not in RULES:
        raise ScorerError(f"rule: unknown rule {rule!r}; {nearest(rule, RULES)}")
    if not 0 < target < 1:
        raise ScorerError(f"target: expected a share between 0 and 1, got {target}")


def _numpy(value: Any) -> np.ndarray:
    from ood_toolkit.outputs.arrays import to_numpy  # imports torch, which a listing of scorers must not

    return to_numpy(value)


def _arrays(scores: Any, right: Any, rule: str) -> tuple[np.ndarray, np.ndarray | None]:
    values = _numpy(scores).astype(np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ScorerError(f"{rule}: expected a row of finite ID validation scores, got shape {values.shape}")
    correct = None if right is None else _numpy(right).astype(bool)
    if correct is not None and correct.shape != values.shape:
        raise ScorerError(f"right: expected shape {values.shape}, one a score, got {correct.shape}")
    return values, correct


def _one(rule: str, values: np.ndarray, right: np.ndarray | None, target: float) -> float | None:
    """Apply a rule to one group of scores; None where it has not got what it compares."""
    if rule == "tpr":
        return _accepting(values, target)
    if rule == "conformal":
        place = int((len(values) + 1) * (1 - Fraction(str(target))))  # floor
        return float(np.sort(values)[place - 1]) if place else -np.inf
    if right is None or not right.any():
        return None
    if rule == "mean":
        mean = float(values[right].mean())
        return mean - (1 - KAPPA) * abs(mean)
    return None if right.all() else _best_cut(rule, values, right)


def _accepting(values: np.ndarray, target: float) -> float:
    """Give the highest threshold that accepts at least the target share, counted in integers."""
    share = Fraction(str(target))
    accepted = -((-len(values) * share.numerator) // share.denominator)
    return float(np.sort(values)[len(values) - accepted])


def _best_cut(rule: str, values: np.ndarray, right: np.ndarray) -> float:
    """Try every score as the threshold; ties in F1 or TPR - FPR go to the lower one."""
    cuts, place = np.unique(values, return_inverse=True)
    kept_right = np.cumsum(np.bincount(place, right, len(cuts))[::-1])[::-1]
    kept_wrong = np.cumsum(np.bincount(place, ~right, len(cuts))[::-1])[::-1]
    if rule == "f1":
        merit = 2 * kept_right / (kept_right + kept_wrong + right.sum())
    else:
        # TPR - FPR times both counts: whole numbers, so that ties are equal.
        merit = kept_right * (~right).sum() - kept_wrong * right.sum()
    return float(cuts[np.argmax(merit)])


def _lacking(rule: str, right: np.ndarray | None) -> str:
    if right is None:
        return "no validation labels"
    return f"validation lacks {_kinds(rule)}"


def _kinds(rule: str) -> str:
    return "right predictions" if rule == "mean" else "right or wrong predictions"
