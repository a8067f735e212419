"""MSP, maximum softmax probability: Hendrycks and Gimpel, ICLR 2017, arXiv 1610.02136."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.api.scorer import Scorer

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class MSP(Scorer):
    """Largest softmax probability, max_k softmax(z)_k, in (0, 1]."""

    name = "msp"
    group = "classical"
    needs = frozenset({"logits"})
    bounds = (0.0, 1.0)

    def score(self, x: Outputs) -> Tensor:
        """Give the confidence (n,)."""
        return x.confidence
