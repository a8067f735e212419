"""`Combiner`: merges what several models say of the same images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np

from ood_toolkit.api.component import Component
from ood_toolkit.errors import OutputsError

__all__ = ["PROBABILITIES", "Combiner", "Scored", "check_aligned"]

PROBABILITIES = "probabilities"
"""The need of a combiner that merges the probabilities of all classes, not scores."""

Self = TypeVar("Self", bound="Combiner")


@dataclass(frozen=True, eq=False)
class Scored:
    """What one model says of n images.

    Raises `OutputsError` for arrays of another shape, unequal lengths, NaN and infinity.
    """

    prediction: np.ndarray
    """(n,) names of the predicted classes."""
    confidence: np.ndarray
    """(n,) largest softmax probability."""
    score: np.ndarray
    """(n,), higher = more in-distribution."""
    margin: np.ndarray
    """(n,) score minus threshold; 0 and above is "in-distribution"."""
    own: np.ndarray | None = None
    """(n,) bool: which images are of this model's own ID set; None: all of them."""
    calibration: np.ndarray | None = None
    """(n,) scores as of fresh images, to take a threshold from; None: `score`. They differ on validation images that
    the scorer has learnt from."""
    probabilities: np.ndarray | None = None
    """(n, k) softmax over `classes`; only for a combiner that needs them."""
    classes: np.ndarray | None = None
    """(k,) names of the classes, in the order of the columns of `probabilities`."""

    def __post_init__(self) -> None:
        """Take array-likes; `OutputsError` where they are not four (n,) arrays of finite numbers."""
        object.__setattr__(self, "prediction", _row(self.prediction, "prediction").astype(str))
        for name in ("confidence", "score", "margin"):
            object.__setattr__(self, name, _row(getattr(self, name), name).astype(np.float64))
        if self.own is not None:
            object.__setattr__(self, "own", _row(self.own, "own").astype(bool))
        if self.calibration is not None:
            object.__setattr__(self, "calibration", _row(self.calibration, "calibration").astype(np.float64))
        for name in ("confidence", "score", "margin", "own", "calibration"):
            array = getattr(self, name)
            if array is not None and len(array) != len(self):
                raise OutputsError(f"Scored.{name}: expected {len(self)} rows, as many as prediction, got {len(array)}")
            if array is not None and not np.isfinite(array).all():
                raise OutputsError(f"Scored.{name}: expected finite numbers, got NaN or infinity")
        if self.probabilities is not None:
            self._check_probabilities()

    def _check_probabilities(self) -> None:
        """Take the probabilities and their classes; `OutputsError` unless one row an image, one column a class."""
        found = np.asarray(self.probabilities)
        classes = _row([] if self.classes is None else self.classes, "classes").astype(str)
        if found.shape != (len(self), len(classes)):
            raise OutputsError(
                f"Scored.probabilities: expected shape ({len(self)}, {len(classes)}), one row an image and one column "
                f"for each of classes, got {found.shape}"
            )
        if not np.isfinite(found).all():
            raise OutputsError("Scored.probabilities: expected finite numbers, got NaN or infinity")
        object.__setattr__(self, "probabilities", found)
        object.__setattr__(self, "classes", classes)

    def __len__(self) -> int:
        return len(self.prediction)

    @property
    def fresh(self) -> np.ndarray:
        """(n,) scores to take a threshold from: `calibration`, else `score`."""
        return self.score if self.calibration is None else self.calibration

    @property
    def is_own_set(self) -> bool:
        """Whether all images are said to be of this model's own ID set, so that another's are others."""
        return self.own is not None and bool(self.own.all())

    @property
    def accepted(self) -> np.ndarray:
        """(n,) bool: decided in-distribution."""
        return self.margin >= 0

    def of_own_set(self, values: np.ndarray) -> np.ndarray:
        """Keep those of `values` (n, ...) that are of the model's own ID set."""
        return values if self.own is None else values[self.own]


class Combiner(Component, ABC):
    """One way to merge members; a dataclass under the same rules as a scorer.

    `combine` takes one `Scored` of n images from each member, in the order of the members, and gives one of the same n
    images. Raises `OutputsError` where the parts are not of the same images.

    >>> from dataclasses import dataclass
    >>> from ood_toolkit import Combiner, Scored
    >>> @dataclass
    ... class First(Combiner):
    ...     name = "first"
    ...     def combine(self, parts):
    ...         return parts[0]
    >>> First().combine([Scored(["cat"], [0.9], [0.4], [0.1])]).margin.tolist()
    [0.1]
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    """`probabilities`: it merges what the members say of all classes and no score; so it stands once in a run, whatever
    the scorers, and its members share an ID set."""

    def fit(self: Self, val: Sequence[Scored]) -> Self:
        """Learn from `val`, what each member says of ID validation images; by default nothing."""
        return self

    @abstractmethod
    def combine(self, parts: Sequence[Scored]) -> Scored:
        """Merge `parts`, what the members say of the same images, row by row; `OutputsError` for unequal lengths."""


def check_aligned(parts: Sequence[Scored], members: int | None = None) -> int:
    """Refuse parts that cannot be of the same images, or not of the members fitted; gives their number of rows."""
    lengths = [len(part) for part in parts]
    if len(set(lengths)) > 1:
        raise OutputsError(f"combine: expected the same images from every member, got {lengths} rows")
    if not parts or (members is not None and len(parts) != members):
        wanted = "at least one member" if members is None else f"the {members} members it was fitted on"
        raise OutputsError(f"combine: expected the parts of {wanted}, got {len(parts) or 'none'}")
    return lengths[0]


def _row(value: Any, name: str) -> np.ndarray:
    array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    if array.ndim != 1:
        raise OutputsError(f"Scored.{name}: expected shape (n,), got {array.shape}")
    return array
