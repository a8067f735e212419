"""`MonitorReport`: how a stream stands beside the calibration images, as numbers and as lines to read."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["ClassShare", "MonitorReport", "Rejected", "ScoreShift"]

UNLIKELY = 0.01
"""Chance below which a one-look test is said to be out of the ordinary."""
SMALL, LARGE = 0.1, 0.25
"""Customary marks of the stability index."""
SHOWN = 3
"""Classes that are named where the mix has changed."""


@dataclass(frozen=True)
class Rejected:
    """The share of scored images that was rejected, beside the prediction from calibration."""

    count: int
    n: int
    share: float
    low: float
    """Ends of the interval of Clopper and Pearson, 95 %: it describes the stream."""
    high: float
    predicted: float
    """Mean of the beta-binomial prediction."""
    predicted_low: float
    """Between these ends lie 95 % of streams of so many ID images, over calibration sets too."""
    predicted_high: float
    chance: float
    """Of a count so far out, two-sided, if the stream is like the calibration images; for one look."""


@dataclass(frozen=True)
class ScoreShift:
    """How far the scores of the stream lie from the calibration scores."""

    ks: float
    """Kolmogorov-Smirnov statistic, of two samples."""
    ks_p: float
    """Its p-value, for one look."""
    psi: float
    """Population stability index over ten bins."""


@dataclass(frozen=True)
class ClassShare:
    """How often a class is predicted."""

    name: str
    count: int
    share: float
    calibration: float
    """Its share of the calibration images."""


@dataclass(frozen=True)
class MonitorReport:
    """How a stream stands beside the calibration images; printed as a few lines."""

    detector: str
    """Digest of the detector."""
    alpha: float
    """Chance of any false alarm, ever, between two resets."""
    calibration_n: int
    images: int
    """Images since the start, or since the last reset; those without a score are not among them."""
    unreadable: int
    """Images that could not be scored."""
    resets: int
    alarm: bool
    """Whether there was enough evidence of drift at any time since the start or the last reset."""
    alarm_at: int | None
    """The image at which the alarm came, the first being 1."""
    bits: float
    """Evidence of drift now: log2 of the martingale."""
    highest_bits: float
    needed_bits: float
    """log2(1 / alpha): from here on it is an alarm."""
    rejected: Rejected | None
    exact: bool
    """Whether the prediction is exact for ID images without ties: the threshold has a fixed rank, as of `conformal`."""
    shift: ScoreShift | None
    class_psi: float | None
    classes: tuple[ClassShare, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """Say it in a few lines."""
        lost = f", {self.unreadable:,} more could not be scored" if self.unreadable else ""
        again = f" since reset {self.resets}" if self.resets else ""
        said = [f"images: {self.images:,}{again}{lost}; calibrated on {self.calibration_n:,}"]
        if self.rejected is not None:
            said.append(_of_rejected(self.rejected, self.exact))
        if self.shift is not None:
            said.append(_of_scores(self.shift))
        if self.class_psi is not None:
            said.append(_of_classes(self.class_psi, self.classes))
        said.append(
            f"evidence of drift: {_number(self.bits)} bits, at most {_number(self.highest_bits)}; alarm from "
            f"{_number(self.needed_bits)} (alpha {self.alpha:g})"
        )
        if self.alarm:
            said.append(
                f"ALARM at image {self.alarm_at:,}: the stream is not in random order from the source of the "
                "calibration images; reset the monitor once it is handled"
            )
        return said


def _of_rejected(one: Rejected, exact: bool) -> str:
    likely = "as predicted" if one.chance >= UNLIKELY else f"not as predicted, p {one.chance:.2g}"
    return (
        f"rejected: {_percent(one.share)} ({one.count:,} of {one.n:,}, 95 % interval {_percent(one.low)} to "
        f"{_percent(one.high)}); predicted {'' if exact else 'roughly '}{_percent(one.predicted)}, "
        f"{_percent(one.predicted_low)} to {_percent(one.predicted_high)} in 95 % of streams: {likely}"
    )


def _of_scores(one: ScoreShift) -> str:
    return (
        f"scores: Kolmogorov-Smirnov {one.ks:.3f}, p {one.ks_p:.2g}; stability index (PSI) {_index(one.psi)}; both are "
        "for one look"
    )


def _of_classes(found: float, classes: tuple[ClassShare, ...]) -> str:
    moved = sorted(classes, key=lambda one: -abs(one.share - one.calibration))[:SHOWN]
    each = ", ".join(f"{one.name} {_percent(one.share)} instead of {_percent(one.calibration)}" for one in moved)
    return f"class mix: stability index (PSI) {_index(found)}; most moved: {each}"


def _index(value: float) -> str:
    what = "no change" if value < SMALL else "a small change" if value < LARGE else "a large change"
    return f"{value:.3f}, {what}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _number(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else str(value)
