"""A detector as a notebook shows it: rule, threshold, what it was calibrated on and what it promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ood_toolkit.api.scorer import Scorer
from ood_toolkit.detectors.calibration import Calibration
from ood_toolkit.outputs.notebook import facts_html

__all__ = ["detector_html"]


class Described(Protocol):
    """What is shown of a detector."""

    @property
    def scorer(self) -> Scorer:
        """Its score."""

    @property
    def rule(self) -> str:
        """The rule of its threshold."""

    @property
    def threshold(self) -> float:
        """Its threshold for all images."""

    @property
    def class_thresholds(self) -> Any:
        """Its thresholds (k,) by predicted class, or None."""

    @property
    def classes(self) -> int:
        """How many classes it predicts."""

    @property
    def encoder(self) -> Mapping[str, Any]:
        """Which model it is for."""

    @property
    def calibration(self) -> Calibration | None:
        """What it was calibrated on."""

    @property
    def digest(self) -> str:
        """What tells it from another."""


def detector_html(detector: Described) -> str:
    """Give facts on a detector as a small table."""
    known, cuts = detector.calibration, detector.class_thresholds
    facts = {
        "rule": detector.rule,
        "threshold": f"{detector.threshold:.6g}" if cuts is None else f"{len(cuts)}, one for each predicted class",
        "classes": detector.classes,
        "model": detector.encoder.get("model"),
    }
    if known is not None:
        facts |= {"calibrated on": f"{known.n:,} images {known.set}".rstrip(), "guarantee": known.guarantee}
    return facts_html(f"Detector: {detector.scorer.spec}", {**facts, "digest": detector.digest})
