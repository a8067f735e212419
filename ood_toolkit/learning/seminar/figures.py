"""`Figures`: what the seminar printed, read from the file beside this one."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["THRESHOLDS", "Detection", "Figures", "Part", "Uncertainty", "published"]

FILE = Path(__file__).with_name("published.toml")
THRESHOLDS = ("class-wise", "mean", "grid")
"""One threshold a class; the mean of these as one; one searched on a grid."""


@dataclass(frozen=True)
class Part:
    """A data set's part in the seminar."""

    role: str
    """As the seminar calls it."""
    name: str
    """In the catalogue."""
    train: int
    """Images."""
    test: int
    zero_shot: tuple[float, float]
    """Accuracy on train and test, in percent."""
    fine_tuned: tuple[float, float]


@dataclass(frozen=True)
class Uncertainty:
    """How well uncertain images of one set were told by zero-shot entropy; the measure is not named."""

    role: str
    task: str
    """`misclassified` or `OOD`."""
    values: Mapping[str, float]
    """By kind of threshold, see `THRESHOLDS`."""


@dataclass(frozen=True)
class Detection:
    """How many images of one set were called uncertain by the model, or the two models, of other sets."""

    id: tuple[str, ...]
    """Roles; two where the models decide together."""
    ood: str
    images: int
    uncertain: int
    rate: float
    """Percent."""


@dataclass(frozen=True)
class Figures:
    """All that the seminar printed."""

    description: str
    sources: tuple[str, ...]
    notes: tuple[str, ...]
    sets: tuple[Part, ...]
    uncertainty: tuple[Uncertainty, ...]
    detection: tuple[Detection, ...]


@cache
def published() -> Figures:
    """Read the figures."""
    held = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return Figures(
        held["description"],
        tuple(held["sources"]),
        tuple(held["notes"]),
        tuple(
            Part(**{**part, "zero_shot": tuple(part["zero_shot"]), "fine_tuned": tuple(part["fine_tuned"])})
            for part in held["sets"]
        ),
        tuple(
            Uncertainty(row["role"], row["task"], {kind: row[kind] for kind in THRESHOLDS})
            for row in held["uncertainty"]
        ),
        tuple(Detection(**{**row, "id": tuple(row["id"])}) for row in held["detection"]),
    )
