"""What callers hand in, turned into arrays that can be counted: one score, or one flag, per image."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ood_toolkit.errors import MetricError

FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]


def as_scores(values: ArrayLike, name: str) -> FloatArray:
    """Convert one score per image to float64 and refuse what cannot be ranked.

    `values` is a list, an array or a torch tensor (any device, any float type, with or without gradient) of
    shape (n,) with n >= 1; it is never written to. Minus and plus infinity are allowed: they are the two
    ends of the order and each ties with itself. `name` is what the error calls the argument. Raises
    `MetricError` for another shape, for nothing at all, for what is no real number, and for NaN.
    """
    scores = _numbers(values, name).astype(np.float64, copy=False)
    missing = np.isnan(scores)
    if missing.any():
        raise MetricError(
            f"{name}: expected numbers only, got {int(missing.sum())} NaN among {scores.size}, the first at "
            f"index {int(missing.argmax())}; mend the scorer or leave those images out on purpose"
        )
    return scores


def as_flags(values: ArrayLike, name: str) -> BoolArray:
    """Convert one yes or no per image to booleans; numbers pass when all of them are 0 or 1.

    Shapes and errors are those of `as_scores`.
    """
    flags = _numbers(values, name)
    if flags.dtype.kind == "b":
        return flags
    strangers = flags[(flags != 0) & (flags != 1)]
    if strangers.size:
        raise MetricError(
            f"{name}: expected True or False for each image, got {strangers[0]}; "
            "compare first, for example scores >= threshold"
        )
    return flags.astype(np.bool_)


def check_aligned(first: NDArray[Any], second: NDArray[Any], names: str) -> None:
    """Refuse two arrays that do not speak of the same images."""
    if first.shape != second.shape:
        raise MetricError(
            f"{names}: expected one value per image in both, got {first.size} and {second.size}; "
            "take both from the same images in the same order"
        )


def _numbers(values: ArrayLike, name: str) -> NDArray[Any]:
    """Return a one-dimensional array, not empty, of booleans, integers or real numbers."""
    try:
        array = np.asarray(_from_torch(values))
    except (TypeError, ValueError, RuntimeError) as error:
        raise MetricError(
            f"{name}: expected an array of numbers, got {type(values).__name__} that makes none; "
            "pass a flat list, an array or a tensor"
        ) from error
    if array.ndim != 1:
        raise MetricError(
            f"{name}: expected shape (n,), one number per image, got shape {array.shape}; reduce or flatten it first"
        )
    if array.size == 0:
        raise MetricError(
            f"{name}: expected at least one image, got none; check the data set, or leave this metric out"
        )
    if array.dtype.kind not in "buif":
        raise MetricError(f"{name}: expected real numbers, got dtype {array.dtype}; convert to float or bool first")
    return array


def _from_torch(values: Any) -> Any:
    """Bring a torch tensor to numpy without importing torch; numpy has no bfloat16, so floats widen first."""
    if not hasattr(values, "detach"):
        return values
    tensor = values.detach().cpu()
    return (tensor.double() if tensor.is_floating_point() else tensor).numpy()
