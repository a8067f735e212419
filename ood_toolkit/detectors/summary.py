"""What a detector is, its operating point and its guarantee, as facts and as text."""

from __future__ import annotations

from typing import Any

import numpy as np

from ood_toolkit.detectors.calibration import Accepted, Calibration
from ood_toolkit.detectors.detector import Detector
from ood_toolkit.detectors.rows import Rows

__all__ = ["facts", "histogram", "summary"]

WORST = 5
"""Classes that are named."""
BARS, WIDTH = 16, 40
VOID = "a target picked after looking at results promises nothing"


def facts(detector: Detector) -> dict[str, Any]:
    """Give all that is known of a detector as plain values; infinite thresholds as text."""
    known, cuts = detector.calibration, detector.class_thresholds
    return {
        "scorer": detector.scorer.spec,
        "rule": detector.rule,
        "threshold": _number(detector.threshold),
        "class_thresholds": None if cuts is None else [_number(cut) for cut in cuts.tolist()],
        "classes": detector.classes,
        "class_names": None if detector.class_names is None else list(detector.class_names),
        "width": detector.width,
        "head": None if detector.head is None else detector.head.kind,
        "encoder": dict(detector.encoder),
        "calibration": None if known is None else known.to_dict(),
        "notes": list(detector.notes),
        "digest": detector.digest,
    }


def _number(value: float) -> Any:
    return value if np.isfinite(value) else str(value)


def summary(detector: Detector) -> list[str]:
    """Describe a detector in lines: what it is, what it accepts, what it promises, what to know of it."""
    known = detector.calibration
    model = detector.encoder.get("model")
    lines = [f"{detector.scorer.spec} over {detector.classes} classes{f' of {model}' if model else ''}"]
    if known is None:
        lines.append(f"threshold: {detector.threshold:.6g}")
        lines.append("format 1: no calibration record; fit it again for a guarantee, p-values and movable thresholds")
        return lines
    place = f" of {known.set} ({known.split})" if known.set else ""
    lines.append(f"rule: {detector.rule}, calibrated on {known.n:,} images{place}, seed {known.seed}")
    lines += [f"  {known.how}"] if known.how else []
    lines.append(f"threshold: {_thresholds(detector)}")
    lines.append(f"guarantee: {known.guarantee}")
    lines.append(f"ID accepted: {_share(known.accepted)}")
    for name, one in known.measured.items():
        if name == f"{known.set}/test":
            lines.append(f"  measured on {one.n:,} images of {name} that chose nothing: {_share(one)}")
    lines += _worst(known)
    lines += _detected(known)
    if known.moved:
        times = "once" if known.moved == 1 else f"{known.moved} times"
        lines.append(f"moved: thresholds were moved {times} after the fit; {VOID}")
    return [*lines, *(f"note: {note}" for note in detector.notes)]


def _thresholds(detector: Detector) -> str:
    cuts = detector.class_thresholds
    if cuts is None:
        return f"{detector.threshold:.6g}" + (", everything is accepted" if detector.threshold == -np.inf else "")
    finite = cuts[np.isfinite(cuts)]
    span = f"{finite.min():.6g} to {finite.max():.6g}" if len(finite) else "none"
    accepting = int(np.isneginf(cuts).sum())
    more = f"; {accepting} classes accept everything" if accepting else ""
    return f"one for each of {len(cuts)} predicted classes, {span}{more}"


def _share(one: Accepted) -> str:
    """Write a share with its interval and what that is."""
    text = f"{100 * one.share:.1f} %"
    if one.low is None or one.high is None:
        return f"{text} ({one.basis})"
    between = f"{100 * one.low:.1f} to {100 * one.high:.1f} %"
    what = "of calibration sets" if one.basis == "future" else "Clopper-Pearson"
    return f"{text} of images to come on average, {between} in 90 % {what}" if one.basis == "future" else (
        f"{text}, 95 % interval {between} ({what})"
    )  # fmt: skip


def _worst(known: Calibration) -> list[str]:
    """Name the predicted classes of which least is accepted."""
    ranked = sorted(known.by_class.items(), key=lambda pair: (pair[1].share, pair[0]))[:WORST]
    if not ranked:
        return []
    shown = ", ".join(f"{name} {100 * one.share:.0f} % of {one.n}" for name, one in ranked)
    return [f"worst predicted classes: {shown} ({ranked[0][1].basis})"]


def _detected(known: Calibration) -> list[str]:
    lines = []
    for name, one in known.measured.items():
        if name != f"{known.set}/test":
            low, high = 1 - (one.high or 0), 1 - (one.low or 0)
            lines.append(
                f"OOD detected: {name} {100 * (1 - one.share):.1f} % of {one.n:,}, 95 % interval {100 * low:.1f} to "
                f"{100 * high:.1f} %"
            )
    return lines


def histogram(rows: Rows, threshold: float | None, width: int = 80) -> list[str]:
    """Draw the calibration scores as bars, with the threshold between them where one holds for all classes."""
    low, high = float(rows.score[0]), float(rows.score[-1])
    if low == high:
        return [f"all {len(rows):,} calibration scores are {low:.6g}"]
    counts, edges = np.histogram(rows.score, bins=BARS, range=(low, high))
    room = max(10, min(WIDTH, width - 24))
    lines: list[str] = []
    shown = threshold is None
    for count, edge in zip(counts, edges, strict=False):
        if threshold is not None and not shown and threshold <= edge:
            lines, shown = [*lines, _mark(threshold, room)], True
        bar = "#" * max(int(count > 0), round(room * count / counts.max()))
        lines.append(f"{edge:>11.5g}  {bar} {count:,}" if count else f"{edge:>11.5g}")
    return lines if shown or threshold is None else [*lines, _mark(threshold, room)]


def _mark(threshold: float, room: int) -> str:
    return f"{threshold:>11.5g} {'-' * (room // 2)} threshold: accepted from here on"
