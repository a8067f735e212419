"""`closeness`: the distances between the rows of a head, on which the distances to decision boundaries depend."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

SAME = 1e-12
"""Squared distance of two rows of the head, relative to their squared lengths, below which they are one class."""


def closeness(matrix: Tensor) -> Tensor:
    """Give 1 / ||w_p - w_c|| of rows (k, d), (k, k), and 0 where both are the same: no boundary lies between them."""
    rows = matrix.double()
    squares = rows.square().sum(dim=1)
    sizes = squares[:, None] + squares
    apart = sizes - 2 * rows @ rows.T
    same = apart <= SAME * sizes
    return apart.masked_fill(same, 1.0).rsqrt().masked_fill(same, 0.0).to(matrix)
