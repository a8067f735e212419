"""`Calibration`: the record of how a detector's thresholds came about and what may be expected of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from ood_toolkit.detectors.rows import Rows, same_names
from ood_toolkit.errors import DetectorError
from ood_toolkit.metrics.binomial import accepted_share, clopper_pearson
from ood_toolkit.scorers.promises import true_class_threshold
from ood_toolkit.scorers.rules import Rule
from ood_toolkit.scorers.thresholds import FELL_BACK, class_thresholds, threshold

__all__ = ["Accepted", "Calibration", "Cuts", "accepted_by_class", "cuts_of", "guarantee", "measured", "record"]

NO_OOD = "no rule can promise how much OOD is detected"
SAME = "if they are exchangeable with the calibration images"


@dataclass(frozen=True)
class Accepted:
    """A share of images that is accepted."""

    share: float
    low: float | None = None
    high: float | None = None
    n: int = 0
    basis: str = "in sample, no interval"
    """Where it is from: `future` (mean and 5 to 95 % of a Beta), `future, the mean over classes` (that of thresholds
    for each class, no interval), `measured` (Clopper and Pearson, 95 %, on images that chose nothing), or `in sample,
    no interval`."""

    @classmethod
    def read(cls, known: Mapping[str, Any]) -> Accepted:
        """Read one from a file; `DetectorError` for what is no share of so many images."""
        made = cls(**known)
        shares = [value for value in (made.share, made.low, made.high) if value is not None]
        numbers = all(type(value) in (int, float) and 0 <= value <= 1 for value in shares)
        if made.share is None or not numbers or not _counts(made.n) or not isinstance(made.basis, str):
            raise DetectorError("calibration: expected shares from 0 to 1, each of a number of images")
        return made

    @classmethod
    def of_future(cls, rank: int, n: int) -> Accepted:
        """Give the share of images to come that the rank-th smallest of n calibration scores accepts."""
        found = accepted_share(rank, n)
        return cls(found.value, found.low, found.high, n, "future")


def _counts(*values: object) -> bool:
    return all(type(value) is int and value >= 0 for value in values)


@dataclass(frozen=True)
class Calibration:
    """How thresholds came about, and what they promise."""

    rule: str
    """The rule with its parameters."""
    target: float | None
    n: int
    """Calibration images, as many as are kept."""
    guarantee: str
    """What is promised, in one sentence."""
    accepted: Accepted
    """The share of future ID images that is accepted."""
    by_class: Mapping[str, Accepted] = field(default_factory=dict)
    """The same of images predicted as each class that calibration images were predicted as."""
    set: str = ""
    split: str = "val"
    seed: int = 0
    how: str = ""
    """How the calibration images stand to those that were fitted on, in words."""
    fresh: bool = True
    """Whether the scorer took no part in the calibration images, so that p-values hold."""
    accepts_all: int = 0
    """Classes that accept everything; all of them where one threshold does."""
    moved: int = 0
    """How often thresholds were moved after the fit."""
    measured: Mapping[str, Accepted] = field(default_factory=dict)
    """The share accepted of sets that chose nothing: the ID test, and OOD sets."""

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, known: Mapping[str, Any]) -> Calibration:
        """Read what `to_dict` gave."""
        by_class = {str(name): Accepted.read(one) for name, one in known["by_class"].items()}
        shares = {str(name): Accepted.read(one) for name, one in known["measured"].items()}
        accepted = Accepted.read(known["accepted"])
        made = cls(**{**known, "accepted": accepted, "by_class": by_class, "measured": shares})
        Rule.of(made.rule)
        words = (made.guarantee, made.set, made.split, made.how)
        target = made.target is None or type(made.target) in (int, float)
        whole = _counts(made.n, made.moved, made.seed, made.accepts_all) and type(made.fresh) is bool
        if not whole or not target or not all(isinstance(text, str) for text in words):
            raise DetectorError("calibration: expected whole numbers and sentences")
        return made


@dataclass(frozen=True, eq=False)
class Cuts:
    """From which score images are accepted."""

    overall: float
    by_class: np.ndarray | None
    """(k,) float64 by predicted class, where the rule gives one a class."""
    notes: tuple[str, ...] = ()
    n: int = 0
    """The images that they are taken from."""


def cuts_of(rule: Rule, rows: Rows, classes: int, class_names: Sequence[str] | None) -> Cuts:
    """Apply a rule to calibration rows; the same rows give the same thresholds, to the bit, now and later.

    Rules that look at true classes leave images out whose class is not known.
    """
    order, right = rows.order, rows.right(class_names)
    looks = rule.by == "true" or (rule.needs_right and right is not None)
    kept = order[rows.known[order]] if looks and rows.known.any() else order
    lost = len(order) - len(kept)
    left_out = (f"{lost:,} of {len(rows):,} calibration images have no known class: {rule.name} leaves them out",)
    order, said = kept, left_out if lost else ()
    score, correct = rows.score[order], None if right is None else right[order]
    if rule.by == "predicted":
        if rows.prediction is None:
            raise DetectorError("conformal:by=predicted: needs predictions, but these outputs have no logits")
        found = class_thresholds(rule, score, rows.prediction[order], classes, correct, names=class_names)
        return Cuts(found.overall, found.values, found.notes, len(score))
    if rule.by == "true":
        if rows.label is None or not rows.known.any():
            raise DetectorError("conformal:by=true: needs the labels of the calibration images, got none")
        label = same_names(class_names, classes)[rows.label[order]]
        return Cuts(_set_form(rule, score, label, class_names, classes), None, (SET_FORM, *said), len(score))
    cut, notes = threshold(rule, score, correct)
    return Cuts(cut, None, notes + said, len(score))


SET_FORM = "conformal:by=true: with one score an image the set form is one threshold, the least of the true classes'"


def _set_form(rule: Rule, score: np.ndarray, label: np.ndarray, names: Sequence[str] | None, classes: int) -> float:
    """Take classes of one name as one: the second has no images of its own."""
    known = np.unique(same_names(names, classes)[:-1])
    place = np.full(classes + 1, -1)
    place[known] = np.arange(len(known))
    called = [str(c) if names is None else names[c] for c in known]
    return true_class_threshold(score, place[label], len(known), rule.aim, called)


def record(
    rule: Rule, rows: Rows, cuts: Cuts, classes: int, class_names: Sequence[str] | None, **about: Any
) -> Calibration:
    """Write down what may be expected of thresholds that a rule took from calibration rows."""
    fresh = about.get("fresh", True)
    kept, n = rows.score >= _thresholds(rows, cuts), len(rows)
    by_class = accepted_by_class(rows, kept, class_names, rule.rank if cuts.by_class is not None and fresh else None)
    fell_back = any(note.endswith(FELL_BACK) for note in cuts.notes)
    counted = Rule.of("tpr", rule.aim) if fell_back else rule
    rank = counted.rank(cuts.n)
    if cuts.by_class is not None and fresh and by_class:
        share = sum(one.n * one.share for one in by_class.values()) / sum(one.n for one in by_class.values())
        accepted = Accepted(share, n=n, basis="future, the mean over classes")
    elif cuts.by_class is None and fresh and rank is not None and counted.by in (None, "none"):
        accepted = Accepted.of_future(rank, cuts.n)
    else:
        accepted = Accepted(float(kept.mean()), n=n)
    if cuts.by_class is not None:
        accepts_all = int(np.isneginf(cuts.by_class).sum())
    else:
        accepts_all = max(classes, 1) if cuts.overall == -np.inf else 0
    said = guarantee(rule, fresh=fresh, empty=cuts.overall == np.inf, fell_back=fell_back)
    return Calibration(
        rule=rule.text, target=None if rule.target is None else float(rule.target), n=n, guarantee=said,
        accepted=accepted, by_class=by_class, accepts_all=accepts_all, **about,
    )  # fmt: skip


def measured(accepted: Any, basis: str = "measured") -> Accepted:
    """Count what share of images (n,) bool was accepted, none of which chose the threshold."""
    kept = np.asarray(accepted, dtype=bool)
    share = clopper_pearson(int(kept.sum()), len(kept))
    return Accepted(share.value, share.low, share.high, len(kept), basis)


def guarantee(
    rule: Rule, *, fresh: bool = True, empty: bool = False, fell_back: bool = False, each: bool = False
) -> str:
    """Say in one sentence what a rule promises; `each`: within each predicted class, as class-wise scorers apply it."""
    by = "predicted" if each else rule.by
    of_class = {"predicted": " predicted as each class", "true": " of each true class"}.get(by or "none", "")
    if fell_back or not rule.promises:
        return f"No promise: the threshold {rule.kind.fits} the calibration images, and {NO_OOD}."
    if not fresh:
        return f"No promise: the scorer took part in the calibration images, and {NO_OOD}."
    if empty:
        return "Nothing is accepted: no threshold was shown to keep errors low enough."
    share, sure = f"{100 * rule.aim:g} %", f"{100 * (1 - float(rule.delta or 0)):g} %"
    said = rule.kind.promise.format(share=share, sure=sure, of_class=of_class, same=SAME, no_ood=NO_OOD)
    return said[0].upper() + said[1:]


def with_measured(known: Calibration, shares: Mapping[str, Accepted]) -> Calibration:
    """Add what was measured on sets that chose nothing."""
    return replace(known, measured={**known.measured, **shares})


def _thresholds(rows: Rows, cuts: Cuts) -> np.ndarray:
    if cuts.by_class is None or rows.prediction is None:
        return np.full(len(rows), cuts.overall)
    found: np.ndarray = cuts.by_class[rows.prediction]
    return found


def accepted_by_class(
    rows: Rows, kept: np.ndarray, class_names: Sequence[str] | None, rank_of: Callable[[int], int | None] | None
) -> dict[str, Accepted]:
    """Say of each predicted class what share is accepted, of which `kept` (n,) bool are among the calibration rows.

    It is that of images to come where `rank_of` gives the rank that is the threshold of a class of so many.
    """
    found: dict[str, Accepted] = {}
    for c in np.unique(rows.prediction) if rows.prediction is not None else ():
        mine = rows.prediction == c
        n = int(mine.sum())
        called = str(c) if class_names is None else class_names[c]
        rank = None if rank_of is None else rank_of(n)
        share = Accepted(float(kept[mine].mean()), n=n) if rank is None else Accepted.of_future(rank, n)
        found[called if called not in found else f"{called} ({c})"] = share
    return found
