"""`Traced`: arrays that write down by which numbers a scorer multiplies cosines and logits."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head

__all__ = ["factors_of"]

TIMES = frozenset({"mul", "mul_", "multiply", "__mul__", "__rmul__", "__imul__"})
OVER = frozenset({"div", "div_", "divide", "true_divide", "__truediv__", "__itruediv__"})
PASSED_ON = frozenset({"matmul", "__matmul__", "__rmatmul__", "mm", "double", "float", "to", "linear"})
"""What leaves embeddings and cosines what they are, or makes cosines of embeddings."""


class Traced(Tensor):
    """A tensor whose products with plain numbers are written down; what comes of any other step is a plain tensor."""

    factors: ClassVar[list[float]] = []

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """Write down a plain factor and run the function on plain tensors."""
        name = getattr(func, "__name__", "")
        numbers = [value for value in args if isinstance(value, int | float) and not isinstance(value, bool)]
        if numbers and name in TIMES:
            cls.factors.append(float(numbers[0]))
        if numbers and name in OVER and numbers[0]:
            cls.factors.append(1 / float(numbers[0]))
        with torch._C.DisableTorchFunctionSubclass():
            made = func(*args, **(kwargs or {}))
        if not isinstance(made, Tensor):
            return made
        return made.as_subclass(Traced) if name in PASSED_ON else made.as_subclass(Tensor)


def factors_of(score: Callable[[Outputs], object], x: Outputs) -> list[float] | None:
    """Give the numbers by which whole arrays of cosines or logits are multiplied; None where it does not run so.

    `x` has a zero-shot head. What the head itself multiplies by is not among them.
    """
    plain = {"embeddings": x.embeddings, "cosine": x.cosine, "logits": x.logits}
    traced = x[:]
    traced._set(**{name: array.clone().as_subclass(Traced) for name, array in plain.items()})
    Traced.factors.clear()
    try:
        score(traced)
    except Exception:  # a scorer may hand its arrays to a library that takes plain ones only
        return None
    head: Head | None = x.head
    known = [] if head is None else [float(head.scale), 1 / float(head.scale)]
    return [value for value in Traced.factors if not any(math.isclose(value, one, rel_tol=1e-6) for one in known)]
