"""Numbers as the page's JSON holds them: infinities by name, those that are only drawn in few digits."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

__all__ = ["brief", "exact", "exact_all"]


def exact(value: float) -> float | str | None:
    """Give a number that reads back as the same; infinity as JavaScript calls it, None for what is none."""
    number = float(value)
    if math.isnan(number):
        return None
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return number


def exact_all(values: Iterable[Any]) -> list[float | str | None]:
    """Give numbers that read back as the same."""
    return [exact(value) for value in values]


def brief(value: float) -> float | None:
    """Give a number in six digits, for what is drawn and not read; None for what cannot be drawn."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
