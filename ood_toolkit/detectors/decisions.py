"""`Decisions`: what a detector says of each image, as columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ood_toolkit.errors import RowError

if TYPE_CHECKING:
    import pandas

__all__ = ["BELOW", "COLUMNS", "Decision", "Decisions"]

BELOW = "score below the threshold"


class Decision(NamedTuple):
    """What a detector says of one image; numbers are NaN where it could not be scored."""

    id: str
    prediction: str
    """Name of the predicted class; "" where there is none."""
    confidence: float
    score: float
    threshold: float
    margin: float
    """score - threshold."""
    accepted: bool
    """True = in-distribution."""
    p_value: float
    why: str
    """Why it was rejected; "" where it was accepted."""


COLUMNS = Decision._fields
ARRAYS = ("score", "threshold", "accepted", "confidence", "p_value", "codes")


@dataclass(frozen=True, eq=False)
class Decisions:
    """Decisions on n images; each column is an array (n,), iterating gives one `Decision` an image."""

    score: np.ndarray
    """(n,) float64; NaN where an image could not be scored."""
    threshold: np.ndarray
    """(n,) float64: what the score was compared with."""
    accepted: np.ndarray
    """(n,) bool: True = in-distribution."""
    confidence: np.ndarray
    """(n,) float64."""
    p_value: np.ndarray
    """(n,) float64; NaN where the detector has no calibration rows."""
    codes: np.ndarray
    """(n,) int32: index of the predicted class, -1 where there is none."""
    names: tuple[str, ...] = ()
    """Class names, which `codes` index."""
    given_ids: np.ndarray | None = None
    """(n,) strings; None names images by their number."""
    reasons: Mapping[int, str] = field(default_factory=dict)
    """Why images could not be scored, by row."""
    first: int = 0
    """The number of the first image, where they have no names."""

    def __len__(self) -> int:
        return len(self.score)

    @property
    def id(self) -> np.ndarray:
        """Name of each image, (n,) strings; its number where it has none."""
        if self.given_ids is not None:
            return self.given_ids
        return np.arange(self.first, self.first + len(self)).astype(str)

    @property
    def prediction(self) -> np.ndarray:
        """Name of the predicted class, (n,) strings."""
        used, place = np.unique(self.codes, return_inverse=True)  # of thousands of classes few are named
        return np.array([self.names[code] if code >= 0 else "" for code in used.tolist()], dtype=str)[place]

    @property
    def margin(self) -> np.ndarray:
        """Score minus threshold, (n,)."""
        margin: np.ndarray = self.score - self.threshold
        return margin

    @property
    def why(self) -> np.ndarray:
        """Why each image was rejected, (n,) strings; "" where it was accepted."""
        found = np.where(self.accepted, "", BELOW).astype(object)
        for row, reason in self.reasons.items():
            found[row] = reason
        return found.astype(str)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return COLUMNS

    def __iter__(self) -> Iterator[Decision]:
        columns = [getattr(self, name).tolist() for name in COLUMNS]
        return (Decision(*row) for row in zip(*columns, strict=True))

    def __getitem__(self, index: int) -> Decision:
        """Give the decision on one image."""
        if not -len(self) <= index < len(self):
            raise RowError(f"index: expected a row of {len(self)} decisions, got {index}")
        row = index % len(self)
        one = {name: getattr(self, name)[row : row + 1] for name in ARRAYS}
        ids = None if self.given_ids is None else self.given_ids[row : row + 1]
        reasons = {0: self.reasons[row]} if row in self.reasons else {}
        return next(iter(replace(self, **one, given_ids=ids, reasons=reasons, first=self.first + row)))

    def __repr__(self) -> str:
        accepted = int(self.accepted.sum())
        return f"Decisions(n={len(self)}, accepted={accepted}, unreadable={len(self.reasons)})"

    def to_dicts(self) -> list[dict[str, Any]]:
        """Give a dict an image, in which None stands for what is not known."""
        return [{k: None if v != v else v for k, v in one._asdict().items()} for one in self]

    def to_pandas(self) -> pandas.DataFrame:
        """Give a data frame with the columns of this; `ImportError` without pandas."""
        import pandas

        return pandas.DataFrame({name: getattr(self, name) for name in COLUMNS})

    @classmethod
    def joined(cls, parts: Iterable[Decisions]) -> Decisions:
        """Put `parts`, decisions, one after the other."""
        many = list(parts)
        if not many:
            return empty()
        starts = np.cumsum([0, *(len(part) for part in many)])
        reasons = {
            int(start) + row: why for start, part in zip(starts[:-1], many, strict=True)
            for row, why in part.reasons.items()
        }  # fmt: skip
        named = any(part.given_ids is not None for part in many)
        ids = np.concatenate([part.id for part in many]) if named else None
        joined = {name: np.concatenate([getattr(part, name) for part in many]) for name in ARRAYS}
        names = next((part.names for part in many if part.names), ())
        return cls(**joined, names=names, given_ids=ids, reasons=reasons, first=many[0].first)


def empty(names: Sequence[str] = ()) -> Decisions:
    """Give decisions on no images."""
    none = np.empty(0)
    return Decisions(none, none, none.astype(bool), none, none, none.astype(np.int32), tuple(names))


def unscored(reasons: Sequence[str], names: Sequence[str] = (), ids: np.ndarray | None = None) -> Decisions:
    """Reject images that could not be scored, each with its reason."""
    n = len(reasons)
    score, threshold, confidence, p_value = np.full((4, n), np.nan)
    codes = np.full(n, -1, dtype=np.int32)
    why = dict(enumerate(reasons))
    return Decisions(score, threshold, np.zeros(n, bool), confidence, p_value, codes, tuple(names), ids, why)


def merged(scored: Decisions, good: Sequence[int], reasons: Mapping[int, str], ids: np.ndarray | None) -> Decisions:
    """Put the decisions on rows `good` among those that could not be scored, which have their reasons by row."""
    n = len(good) + len(reasons)
    found = unscored([reasons.get(row, "") for row in range(n)], scored.names, ids)
    good = list(good)
    for name in ARRAYS:
        getattr(found, name)[good] = getattr(scored, name)
    return replace(found, reasons={**reasons, **{int(good[row]): why for row, why in scored.reasons.items()}})
