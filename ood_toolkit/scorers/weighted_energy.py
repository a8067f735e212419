"""Weighted energy (VOS): Du, Wang, Cai and Li, ICLR 2022, arXiv 2202.01197."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from ood_toolkit.api.scorer import Scorer
from ood_toolkit.errors import ScorerError

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class WeightedEnergy(Scorer):
    """Negative weighted free energy, log sum_k w_k exp(z_k), of the logits z (n, k).

    The weights w (k,) are learned with the network, against imbalanced classes, and are therefore given here, not
    fitted; weights below 0 count as 0, as in the authors' code. Without weights every class counts once, and the score
    is `energy`. Computed as logsumexp(z + log w); pytorch-ood 0.4.0 takes exp(z) as it stands, which overflows in
    float32 above z = 88.
    """

    weights: tuple[float, ...] | None = None
    """w, one for each class in their order, as in `weighted-energy:weights=(0.5,1,2)`; none: all 1."""

    name = "weighted-energy"
    group = "classical"
    needs = frozenset({"logits"})

    def __post_init__(self) -> None:
        if self.weights is None:
            return
        number = all(isinstance(w, int | float) and not isinstance(w, bool) and isfinite(w) for w in self.weights)
        if not number or not any(w > 0 for w in self.weights):
            raise ScorerError(
                f"weighted-energy: weights: expected numbers, one a class, some above 0, got {self.weights!r}"
            )

    def score(self, x: Outputs) -> Tensor:
        """Give the negative weighted free energy (n,)."""
        if self.weights is None:
            return x.logsumexp
        if len(self.weights) != x.classes:
            raise ScorerError(
                f"weighted-energy: weights: expected {x.classes}, one a class, got {len(self.weights)}; "
                "give them in the order of the classes"
            )
        return x.map(self._score)

    def _score(self, x: Outputs) -> Tensor:
        import torch

        from ood_toolkit.outputs.softmax import Softmax

        weights = torch.tensor(self.weights, dtype=torch.float64, device=x.device).clamp(min=0)
        return Softmax(x.logits + weights.log().to(x.logits)).logsumexp
