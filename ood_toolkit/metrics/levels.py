"""Levels of a true positive rate, exact: from numbers, and to and from the per cent in a metric's name."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from numbers import Real

from ood_toolkit.errors import MetricError

__all__ = ["as_level", "percent_of"]

LONGEST = 30
"""Characters of a number that is still read, and zeros before its first digit."""


def as_level(level: object) -> Fraction:
    """Read a share as the decimal number that it is written as; `MetricError` unless it is above 0 and at most 1.

    `level` is a number, or a text such as `0.9`. A float32 of 0.9 is 0.9, too: its shortest decimal counts.
    """
    text = str(level)
    number = isinstance(level, str) or (isinstance(level, Real) and not isinstance(level, bool))
    try:
        value = Decimal(text if number and len(text) <= LONGEST else "")
    except InvalidOperation:
        value = Decimal(0)
    if not value.is_finite() or not 0 < value <= 1 or value.adjusted() < -LONGEST:
        raise MetricError(f"level: expected a share above 0 and at most 1, such as 0.9, got {text[:LONGEST]!r}")
    return Fraction(value)


def percent_of(level: Fraction) -> str:
    """Write a share as per cent, without a sign: `90`, `99.5`."""
    hundredfold = level * 100
    found = Decimal(hundredfold.numerator) / Decimal(hundredfold.denominator)
    return f"{found.normalize():f}"
