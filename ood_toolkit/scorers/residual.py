"""Residual, the subspace part of ViM on its own: Wang, Li, Feng and Zhang, CVPR 2022, arXiv 2203.10807."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ood_toolkit.scorers.families.subspace import Subspace

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class Residual(Subspace):
    """Negative distance from the principal subspace, -||N' (h - u)||, at most 0.

    u = -pinv(W) b (d,) is the origin of the head W (k, d), b (k,), and N (d, d - D) the eigenvectors of the mean of
    (h - u)(h - u)' over training images beyond the leading D. h is what the head multiplies: features under a linear
    head, unit rows under a zero-shot one, whose u is 0 without a bias. Learned from training images, as the authors'
    code does; OpenOOD learns from ID validation and takes D = 512.
    """

    name = "residual"
    grid: ClassVar = {"dim": (None, 256, 512, 1000)}
    """What OpenOOD searches for ViM and its default here, beside the rule."""

    def score(self, x: Outputs) -> Tensor:
        """Give the negative distance (n,)."""
        return x.map(lambda chunk: -self._distance(chunk))
