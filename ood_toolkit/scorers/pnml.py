"""pNML, predictive normalised maximum likelihood: Bibas, Feder and Hassner, NeurIPS 2021, arXiv 2110.09246."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING

from ood_toolkit.api.scorer import Scorer, given

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class PNML(Scorer):
    """Negative regret of the last layer over log K, -log(sum_c p_c / (p_c + (1 - p_c) p_c^s)) / log K, in [-1, 0].

    p (n, k) is the softmax of what the head makes of unit rows h^ (d,); s = a / (1 + a), a = h^' G h^, G (d, d) the
    pseudo-inverse of the sum of h^ h^' over the training images: the less these say of a direction, the larger it is. A
    direction that none of them has adds nothing. pytorch-ood 0.4.0 has the same formula, in float32 and with p held
    above 1e-12.
    """

    name = "pnml"
    group = "classical"
    needs = frozenset({"features", "head", "train"})
    bounds = (-1.0, 0.0)

    def fit(self, val: Outputs, train: Outputs | None = None) -> PNML:
        """Learn G from the unit rows of the training features, in one walk."""
        import torch

        train = given(self, train, "train")
        width = train[:1].embeddings.shape[1]
        moment = torch.zeros(width, width, dtype=torch.float64, device=train.device)
        for chunk in train.chunks():
            rows = chunk.embeddings.double()
            moment += rows.T @ rows
        self.inverse_ = torch.linalg.pinv(moment, hermitian=True)  # (d, d)
        return self

    def score(self, x: Outputs) -> Tensor:
        """Give the negative regret (n,) float64."""
        return x.map(self._score)

    def _score(self, x: Outputs) -> Tensor:
        from ood_toolkit.outputs.softmax import Softmax

        rows = x.embeddings.double()
        seen = ((rows @ self.inverse_) * rows).sum(dim=1).clamp(min=0)[:, None]  # a, (n, 1)
        softmax = Softmax(x.head.apply(rows))  # type: ignore[union-attr]
        kept = (softmax.log_probs / (1 + seen)).exp()  # p^(1 - s), (n, k)
        regret = (kept / (kept + 1 - softmax.probs)).sum(dim=1).log()
        return -regret.clamp(min=0) / log(max(x.classes, 2))
