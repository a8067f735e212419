"""Threshold rules: ID validation scores into one threshold, or one for each predicted class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs.class_names import first_few
from ood_toolkit.scorers.promises import tpr_rank
from ood_toolkit.scorers.rules import BOTH, Rule

__all__ = ["FELL_BACK", "Thresholds", "balanced_accuracy", "class_thresholds", "grid_threshold", "threshold"]

ENOUGH = 20
"""Images of a class from which its threshold stands alone; below, it is shrunk toward the global one."""

FELL_BACK = "took the tpr threshold"
"""What the note of a rule ends with whose own threshold could not be found."""


@dataclass(frozen=True)
class Thresholds:
    """A threshold for each class, with what had to be said about how they came about."""

    values: np.ndarray
    """(k,) float64; minus infinity where `conformal` or `pac` cannot promise anything, plus infinity where `risk` must
    accept nothing."""
    overall: float
    """The same rule on all classes together."""
    notes: tuple[str, ...] = ()


def threshold(
    rule: str | Rule, scores: Any, right: Any = None, target: float | None = None
) -> tuple[float, tuple[str, ...]]:
    """Give the one threshold of a rule, S >= threshold being "in-distribution", and notes on any fallback.

    scores (n,): ID validation, higher = more in-distribution; right (n,) bool: which predictions are right.
    """
    made = Rule.of(rule, target)
    if made.by not in (None, "none"):
        raise ScorerError(f"rule: {made.text} looks at classes; use class_thresholds, or Detector.fit")
    values, correct = _arrays(scores, right, made.name)
    found = _one(made, values, correct)
    if found is None:
        return _accepting(values, made.aim), (f"{made.name}: {_lacking(made.kind.compares, correct)}; {FELL_BACK}",)
    if np.isfinite(found):
        return found, ()
    if found > 0:
        return found, (f"{made.name}: no threshold is good enough; threshold inf, all are rejected",)
    return found, (
        f"{made.name}: {len(values)} images are too few to promise {float(made.aim):g} of ID; threshold -inf, "
        "all are accepted",
    )


def class_thresholds(
    rule: str | Rule, scores: Any, prediction: Any, classes: int, right: Any = None, target: float | None = None,
    names: Sequence[str] | None = None,
) -> Thresholds:  # fmt: skip
    """Give a threshold for each predicted class.

    scores (n,), prediction (n,) class indices, right (n,) bool. Classes with fewer than 20 images shrink toward the
    global threshold, empty ones take it, and so do those without the right and wrong predictions that the rule
    compares. `conformal`, `pac`, `risk` and `cost` are never shrunk: the first two are minus infinity where n_c is too
    small for their promise, and `risk` plus infinity; notes count such classes and, with `names` (k,), name them.
    """
    made = Rule.of(rule, target)
    values, correct = _arrays(scores, right, made.name)
    predicted = _numpy(prediction).astype(np.int64)
    if predicted.shape != values.shape:
        raise ScorerError(f"prediction: expected shape {values.shape}, one a score, got {predicted.shape}")
    if not made.kind.shrinks:
        return _apart(made, values, predicted, classes, correct, names)
    overall, said = threshold(made, values, correct)
    used = made if not said else Rule.of("tpr", made.aim)
    notes, found = list(said), np.full(classes, overall)
    fell = 0
    for c, mine in enumerate(_rows_of(predicted, classes)):
        n = len(mine)
        own = _one(used, values[mine], None if correct is None else correct[mine]) if n else None
        if own is None:
            fell += n > 0
        else:
            found[c] = own if n >= ENOUGH else (n * own + ENOUGH * overall) / (n + ENOUGH)
    if fell:
        lacked = used.kind.compares
        notes.append(f"{used.name}: {fell} of {classes} classes lack {lacked}; they take the global threshold")
    return Thresholds(found, overall, tuple(notes))


def _apart(
    rule: Rule, values: np.ndarray, predicted: np.ndarray, classes: int, correct: np.ndarray | None,
    names: Sequence[str] | None,
) -> Thresholds:  # fmt: skip
    """Apply a rule within each predicted class alone."""
    overall = _one(rule, values, correct)
    assert overall is not None  # these rules always give one
    found = np.full(classes, overall)
    for c, mine in enumerate(_rows_of(predicted, classes)):
        if len(mine) or rule.promises:  # `cost` promises nothing: a class without images takes the global threshold
            own = _one(rule, values[mine], None if correct is None else correct[mine])
            found[c] = overall if own is None else own
    notes = []
    for bound, what in ((-np.inf, "have too few images to promise"), (np.inf, "accept nothing")):
        if count := int((found == bound).sum()):
            which = _named(found == bound, names)
            notes.append(f"{rule.name}: {count} of {classes} classes {what}; threshold {bound:g}{which}")
    return Thresholds(found, overall, tuple(notes))


def _rows_of(predicted: np.ndarray, classes: int) -> list[np.ndarray]:
    """Give the rows that are predicted as each class, in their order."""
    order = np.argsort(predicted, kind="stable")
    bounds = np.searchsorted(predicted[order], np.arange(classes + 1))
    return [order[first:last] for first, last in pairwise(bounds)]


def _named(chosen: np.ndarray, names: Sequence[str] | None) -> str:
    """Name the classes (k,) bool that are chosen, the first of many; nothing where all are."""
    if names is None or chosen.all():
        return ""
    called = [str(names[c]) for c in np.flatnonzero(chosen).tolist()]
    return f": {first_few(called, 10, str, counts=True)}"


def grid_threshold(
    scores: Any, right: Any, bounds: tuple[float, float] | None = None, points: int = 101
) -> tuple[float, tuple[str, ...]]:
    """Search one threshold for the best balanced accuracy of right against wrong, ties to the lower threshold.

    The grid has `points` points between the bounds, by default the least and the largest score. Without both right
    and wrong predictions the tpr threshold is taken, and a note says so.
    """
    values, correct = _arrays(scores, right, "grid")
    if correct is None or correct.all() or not correct.any():
        return _accepting(values, 0.95), (f"{_lacking(BOTH, correct)}; {FELL_BACK}",)
    grid = np.linspace(*(bounds or (float(values.min()), float(values.max()))), num=points)
    return float(grid[np.argmax([balanced_accuracy(values >= theta, correct) for theta in grid])]), ()


def balanced_accuracy(accepted: np.ndarray, right: np.ndarray) -> float:
    """Give the mean of the share of right ones accepted and the share of wrong ones rejected."""
    rights, wrongs = int(right.sum()), int((~right).sum())
    kept, rejected = int(accepted[right].sum()), int((~accepted[~right]).sum())
    return (kept * wrongs + rejected * rights) / (2 * rights * wrongs)  # one division, so that ties are equal


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


def _one(rule: Rule, values: np.ndarray, right: np.ndarray | None) -> float | None:
    """Apply a rule to one group of scores; None where it has not got what it compares."""
    kind = rule.kind
    if kind.rank is not None:
        place = kind.rank(rule, len(values))
        return float(np.sort(values)[place - 1]) if place else -np.inf
    assert kind.cut is not None
    if right is None and not kind.compares:
        raise ScorerError(f"{rule.name}: needs the labels of ID validation, got none; it cannot tell errors")
    return None if right is None else kind.cut(rule, values, right)


def _accepting(values: np.ndarray, target: float) -> float:
    """Give the highest threshold that accepts at least the target share, counted in integers."""
    return float(np.sort(values)[tpr_rank(len(values), target) - 1])


def _lacking(compares: str, right: np.ndarray | None) -> str:
    return "no validation labels" if right is None else f"validation lacks {compares}"
