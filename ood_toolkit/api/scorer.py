"""`Scorer`: fits on ID data if it must, then gives one number per image, higher = more in-distribution."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from ood_toolkit.api.component import DEPENDS, Component
from ood_toolkit.api.declaration import Declaration
from ood_toolkit.api.prompts import Prompts
from ood_toolkit.errors import ScorerError

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs

__all__ = ["Prompts", "Scorer", "between", "given", "missing_needs", "not_negative", "positive", "without_fit"]

Self = TypeVar("Self", bound="Scorer")
SPLIT_NEEDS = frozenset({"val", "val_labels", "train", "train_labels"})
"""Needs that ID splits meet; a scorer without any has nothing to fit."""


class Scorer(Declaration):
    """One OOD score; derive a dataclass whose fields are the hyper-parameters with the paper's defaults.

    `fit` learns from ID data into attributes whose names end in `_` and returns self; it never changes a parameter
    and forgets an earlier fit. `score` gives one finite number per image, higher = more in-distribution, that does
    not depend on which other images it is asked with. Labels reach `fit` alone: in `score`, `x.labels` is None.
    A missing name that ends in `_` raises `NotFittedError`.

    >>> from dataclasses import dataclass
    >>> from ood_toolkit import Outputs, Scorer, score
    >>> @dataclass
    ... class TopGap(Scorer):
    ...     "How far the largest logit lies above the second."
    ...     name = "top-gap"
    ...     needs = frozenset({"logits"})
    ...     def score(self, x):
    ...         top = x.top_logits(2)
    ...         return top[:, 0] - top[:, 1]
    >>> score(TopGap(), Outputs.from_logits([[3.0, 1.0, 0.0]])).tolist()
    [2.0]
    """

    threshold: ClassVar[float | None] = None
    """Where the score itself decides "in-distribution" (0 for a margin); None: calibrated on ID validation."""
    calibration_folds: ClassVar[int] = 5
    """Into how many folds validation is cut to calibrate a scorer that learns from it; 2 do for a number or two."""
    grid: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    """Values that a search tries for a hyper-parameter, by its name; its default is among them."""

    def fit(self: Self, val: Outputs, train: Outputs | None = None) -> Self:
        """Learn from `val`, ID validation, and `train`, ID training outputs, where `needs` asks for them."""
        return self

    @abstractmethod
    def score(self, x: Outputs) -> Tensor:
        """Give the scores (n,) of `x`, outputs that hold no labels; higher = more in-distribution."""


def given(scorer: Scorer, split: Outputs | None, name: str) -> Outputs:
    """Give the split that `scorer.fit` needs; `ScorerError` where it is None. `name` is `val` or `train`."""
    if split is None:
        raise ScorerError(f"{scorer.name}: needs {name} to fit, got none; pass {name}=")
    return split


def positive(scorer: Component, *names: str) -> None:
    """Refuse parameters of `scorer` that are not finite and above zero; one whose default is whole must be whole.

    Call it from `__post_init__` with the names of fields. Raises `ScorerError` with name, wanted and got.
    """
    for name in names:
        value, kind = _number(scorer, name)
        if value is None or not 0 < value < float("inf"):
            raise ScorerError(f"{scorer.name}: {name}: expected a {kind} above 0, got {getattr(scorer, name)!r}")


def without_fit(scorer: Component, base: Scorer) -> None:
    """Refuse a base of `scorer` that learns from ID data. Raises `ScorerError` with what to take instead."""
    if base.needs & SPLIT_NEEDS:
        raise ScorerError(
            f"{scorer.name}: {base.name} learns from ID data; take a score that needs no fitting, such as msp"
        )


def not_negative(scorer: Component, *names: str) -> None:
    """Refuse parameters of `scorer` that are not finite and at least zero; one whose default is whole must be whole.

    Call it from `__post_init__` with the names of fields. Raises `ScorerError` with name, wanted and got.
    """
    for name in names:
        value, kind = _number(scorer, name)
        if value is None or not 0 <= value < float("inf"):
            raise ScorerError(f"{scorer.name}: {name}: expected a {kind} of at least 0, got {getattr(scorer, name)!r}")


def between(scorer: Component, name: str, low: float, high: float, *, ends: bool = True) -> None:
    """Refuse a parameter of `scorer` outside `low` to `high`, with `ends` False also one at these.

    Call it from `__post_init__` with the name of a field. Raises `ScorerError` with name, wanted and got.
    """
    value, kind = _number(scorer, name)
    if value is None or not (low <= value <= high if ends else low < value < high):
        wanted = f"from {low} to {high}" if ends else f"above {low} and below {high}"
        raise ScorerError(f"{scorer.name}: {name}: expected a {kind} {wanted}, got {getattr(scorer, name)!r}")


def _number(scorer: Component, name: str) -> tuple[float | None, str]:
    """Give a parameter as a number, None where it is none of the kind that its default is, and name that kind."""
    value, field = getattr(scorer, name), type(scorer).__dataclass_fields__[name]  # type: ignore[attr-defined]
    whole = isinstance(scorer.default_of(name) if field.default is DEPENDS else field.default, int)
    right = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
    return value if right else None, "whole number" if whole else "number"


def missing_needs(scorer: Declaration, x: Outputs | None, val: Outputs | None, train: Outputs | None) -> list[str]:
    """List what the scorer needs and neither the scored outputs nor the ID splits provide.

    Without scored outputs only what `fit` needs of the splits is asked for.
    """
    provided: set[str] = set()
    for name, split in (("val", val), ("train", train)):
        if split is not None:
            provided |= {name} | ({f"{name}_labels"} if split.has_labels else set())
    asked = scorer.needs & SPLIT_NEEDS if x is None else x.lacking(frozenset(scorer.needs))
    return sorted(asked - provided)
