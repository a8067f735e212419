"""`Served`: a detector's file made ready to serve: with its model, or for vectors alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ood_toolkit.api.registry import get_registry
from ood_toolkit.detectors.detector import Detector
from ood_toolkit.detectors.gate import Gate
from ood_toolkit.errors import DetectorError
from ood_toolkit.models.names import find_model

__all__ = ["Served"]


@dataclass(frozen=True)
class Served:
    """What decides."""

    detector: Detector
    gate: Gate | None
    note: str
    """Why pictures are not taken; "" where they are."""

    @classmethod
    def load(
        cls, file: Path, *, model: str | None = None, vectors_only: bool = False,
        download: bool = False, **how: Any,
    ) -> Served:  # fmt: skip
        """Load a detector and its model, or the model that is named; `how` is for `Gate`.

        A file that was fitted on imported vectors brings no model, so it decides on vectors alone.
        """
        detector = Detector.load(file)
        if vectors_only:
            return cls(detector.to(how.get("device", "cpu")), None, "pictures are refused, as --vectors-only asks")
        if model is not None:
            return cls._behind(Gate(find_model(model, get_registry(), download=download).load(), detector, **how))
        try:
            return cls._behind(Gate.load(file, download=download, **how))
        except DetectorError as error:
            if "weights" in detector.encoder:
                raise DetectorError(f"{error}; --vectors-only serves it without its model") from None
            note = "pictures are refused: the file was fitted on vectors and brings no model; --model NAME gives it one"
            return cls(detector.to(how.get("device", "cpu")), None, note)

    @classmethod
    def _behind(cls, gate: Gate) -> Served:
        return cls(gate.detector, gate, "")
