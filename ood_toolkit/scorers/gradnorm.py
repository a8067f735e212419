"""GradNorm: Huang, Geng and Li, NeurIPS 2021, arXiv 2110.00218."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.api.scorer import Scorer

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class GradNorm(Scorer):
    """L1 norm of the gradient of L = -sum_c log p_c by the weights W (k, d) of the head, in closed form, at least 0.

    dL/dz_c = K p_c - 1, hence dL/dW_cj = (K p_c - 1) h_j, and its norm is sum_j |h_j| times sum_c |1 - K p_c|, with
    p (n, k) = softmax(z) and h (n, d) what the head multiplies. That is the authors' code without its network: the
    gradient by the bias is left out there too. The paper's target is uniform, 1 / K, which divides by K and ranks
    alike; so does pytorch-ood 0.4.0, which by default takes the gradient by all parameters of the network.
    """

    name = "gradnorm"
    group = "classical"
    needs = frozenset({"features", "head"})

    def score(self, x: Outputs) -> Tensor:
        """Give the norm of the gradient (n,)."""
        return x.map(_score)


def _score(x: Outputs) -> Tensor:
    uneven = (1 - x.classes * x.probs.double()).abs().sum(dim=1)
    return x.head_input.abs().sum(dim=1).double() * uneven
