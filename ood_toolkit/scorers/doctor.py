"""DOCTOR: Granese, Romanelli, Gorla, Palamidessi and Piantanida, NeurIPS 2021, arXiv 2106.02395."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.api.scorer import Scorer, positive

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class Doctor(Scorer):
    """Negative odds that a class drawn from the softmax is wrong, -(1 - g) / g with g = sum_k p_k^2, at most 0.

    p (n, k) = softmax(z / T). Made to tell wrong predictions from right ones. This is D_alpha of the paper, without its
    perturbation of the picture; its D_beta, (1 - p_max) / p_max, orders images as `msp` does. 1 - g is taken from what
    the largest probability leaves, so that no image is called exactly certain. pytorch-ood 0.4.0 does not have it.
    """

    temperature: float = 1.0
    """T; 1 leaves the logits as they are."""

    name = "doctor"
    group = "classical"
    needs = frozenset({"logits"})

    def __post_init__(self) -> None:
        positive(self, "temperature")

    def score(self, x: Outputs) -> Tensor:
        """Give the negative odds (n,) float64."""
        return x.map(self._score)

    def _score(self, x: Outputs) -> Tensor:
        softmax = x.tempered(self.temperature)
        rest = softmax.rest  # (n,), the others' share of the largest: p_max = 1 / (1 + rest)
        squares = softmax.others.square().sum(dim=1).double()
        return -(rest * (2 + rest) - squares) / (1 + squares)
