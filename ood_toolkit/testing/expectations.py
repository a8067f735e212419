"""What checks expect: `BreachError` where something else came, and how two things are compared."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from ood_toolkit.api.component import Component
from ood_toolkit.errors import OutputsError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.derived import PER_IMAGE
from ood_toolkit.testing.problem import Problem

__all__ = [
    "BreachError",
    "auroc_of",
    "expect",
    "expect_bounds",
    "expect_equal",
    "expect_finite",
    "expect_same",
    "expect_sign",
    "foreign",
    "held",
    "is_same",
    "snapshot",
    "within",
]

TOLERANCE = 1e-5
"""How far scores that should be equal may lie apart, relative to their size and spread."""


class BreachError(Exception):
    """A check found something other than the contract says."""


def expect(met: bool, expected: str, got: object) -> None:
    """Raise `BreachError` where a condition is not met."""
    if not met:
        raise BreachError(f"expected {expected}, got {got}")


def expect_finite(scores: Tensor, what: str) -> None:
    """Expect no NaN or infinity."""
    bad = scores[~scores.isfinite()]
    expect(not len(bad), f"finite scores for {what}", f"{bad[:1].tolist()} and {len(bad)} such in {len(scores)}")


def auroc_of(scores: Tensor, problem: Problem) -> float:
    """Give the share of pairs in which the ID image scores higher, a tie counting half."""
    inside, outside = scores[~problem.ood, None], scores[None, problem.ood]
    return float((inside > outside).double().mean() + (inside == outside).double().mean() / 2)


def within(bounds: tuple[float, float] | None, scores: Tensor) -> bool:
    """Tell whether scores are within declared bounds, but for rounding."""
    least, most = bounds or (-math.inf, math.inf)
    return float(scores.min()) >= least - _room(bounds) and float(scores.max()) <= most + _room(bounds)


def _room(bounds: tuple[float, float] | None) -> float:
    return TOLERANCE * max([1.0, *(abs(end) for end in bounds or () if math.isfinite(end))])


def expect_bounds(bounds: tuple[float, float] | None, scores: Tensor) -> None:
    """Expect scores within declared bounds, but for rounding."""
    least, most = bounds or (-math.inf, math.inf)
    got = f"{float(scores.min())!r} to {float(scores.max())!r}"
    expect(within(bounds, scores), f"scores within bounds [{least!r}, {most!r}], but for {_room(bounds):g}", got)


def expect_sign(scores: Tensor, problem: Problem) -> None:
    """Expect ID images to score higher than OOD images, mostly."""
    auroc = auroc_of(scores, problem)
    got = f"{auroc:.3f}" + ("; turn the sign" if auroc < 0.2 else "")
    expect(auroc > 0.5, "AUROC of clear ID against clear OOD above 0.5 (higher = more in-distribution)", got)


def is_same(got: Tensor, want: Tensor) -> Tensor:
    """Tell which scores (n,) are equal but for rounding."""
    # A score near zero has no digits of its own: it is as exact as the spread of the scores around it.
    finite = want[want.isfinite()]
    spread = (finite - finite.median()).abs().quantile(0.75) if len(finite) else 0.0
    same = ((got - want).abs() <= TOLERANCE * (want.abs() + spread)) | (got == want)
    return same | (got.isnan() & want.isnan())


def expect_equal(when: str, got: Tensor, want: Tensor) -> None:
    """Expect equal scores, (n,) float64."""
    same = is_same(got, want)
    if not bool(same.all()):
        row = int((~same).nonzero()[0])
        apart = f"{got[row]:.9g} for {want[row]:.9g} in row {row}"
        raise BreachError(f"expected equal scores {when}, got {apart} ({int((~same).sum())} of {len(want)} differ)")


def expect_same(what: str, got: Mapping[str, str], want: Mapping[str, str]) -> None:
    """Expect two snapshots to be the same."""
    for name in sorted({*got, *want}):
        here, there = got.get(name, "nothing"), want.get(name, "nothing")
        expect(here == there, f"{what} {name} = {there}", here)


def snapshot(component: Component) -> dict[str, str]:
    """Write down the parameters, and what an inner component learned: only a clone of it may be fitted."""
    said = {name: repr(value) for name, value in component.parameters().items()} | {"spec": component.spec}
    for name, value in component.parameters().items():
        if isinstance(value, Component):
            said |= {f"{name}.{key}": text for key, text in snapshot(value).items()}
            said |= {f"{name}.{key}": "learned" for key in value.learned()}
    return said


def held(x: Outputs | None) -> dict[str, Tensor]:
    """Copy every array that outputs hold, and those they derive, which other scorers share."""
    if x is None:
        return {}
    arrays: dict[str, Any] = {"features": x.features, "labels": x.labels}
    arrays |= {f"extra:{name}": array for name, array in x.extras.items() if isinstance(array, Tensor)}
    if x.head is not None:
        arrays |= {"head.weight": x.head.weight, "head.bias": x.head.bias}
        arrays |= {f"text:{name}": bank.embeddings for name, bank in x.head.banks.items()}
    for name in ("embeddings", "cosine", "logits", "no_logits", "probs", *PER_IMAGE):
        try:
            arrays[name] = getattr(x, name)
        except OutputsError:
            continue
    return {name: array.clone() for name, array in arrays.items() if array is not None}


def foreign(value: object, place: str) -> str | None:
    """Name the first thing in a state that cannot be written without pickle."""
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        found = [foreign(item, f"{place}[{key!r}]") for key, item in value.items()]
    elif isinstance(value, list | tuple):
        found = [foreign(item, f"{place}[{i}]") for i, item in enumerate(value)]
    else:
        array = isinstance(value, np.ndarray) and value.dtype.kind != "O"
        plain = value is None or isinstance(value, Tensor | str | int | float | np.number | np.bool_)
        return None if array or plain else f"{place}: {type(value).__name__}"
    return next((name for name in found if name is not None), None)
