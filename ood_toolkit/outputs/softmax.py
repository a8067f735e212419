"""`Softmax`: what is derived from exponentiated logits, from the complement so that nothing saturates; `largest`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ood_toolkit.outputs.ledger import shared

__all__ = ["Softmax", "largest"]


FEW = 8
"""Up to so many numbers `torch.topk` is the faster one."""


class Softmax:
    """The softmax of logits (n, k) float32 or float64; each part is computed when first asked for.

    With r = sum over the other classes of exp(z_j - z_max), the largest probability is 1 / (1 + r). float32 makes that
    1.0 once r < 6e-8, so r is kept in the precision of the logits and the quotient is taken in float64 as 1 - r/(1+r).
    """

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    @shared
    def _max(self) -> tuple[Tensor, Tensor]:
        values, index = self.logits.max(dim=1)
        return values, index

    def cooled(self, temperature: float) -> Softmax:
        """Give the softmax of the logits divided by a temperature; what is known of these is not computed again."""
        shifted = self.shifted / temperature
        other = Softmax(shifted)  # the same softmax, as a common shift does not matter
        other.__dict__ |= {"_max": (self.largest / temperature, self.index), "shifted": shifted}
        return other

    @property
    def largest(self) -> Tensor:
        """Largest logit, (n,)."""
        return self._max[0]

    @property
    def index(self) -> Tensor:
        """Class of the largest logit, (n,)."""
        return self._max[1]

    @shared
    def shifted(self) -> Tensor:
        """Z - z_max, (n, k), 0 at the largest."""
        return self.logits - self.largest[:, None]

    @shared
    def others(self) -> Tensor:
        """exp(z - z_max), (n, k), with 0 in place of the 1 at the largest."""
        return self.shifted.exp().scatter_(1, self.index[:, None], 0.0)

    @shared
    def rest(self) -> Tensor:
        """r, the sum of `others`, (n,) float64."""
        return self.others.sum(dim=1).double()

    @property
    def confidence(self) -> Tensor:
        """Largest probability, (n,) float64."""
        return 1 - self.rest / (1 + self.rest)

    @property
    def logsumexp(self) -> Tensor:
        """Log of the sum of exponentials, (n,) float64."""
        return self.largest.double() + torch.log1p(self.rest)

    @shared
    def entropy(self) -> Tensor:
        """Shannon entropy in nats, (n,) float64: log(1 + r) + sum_j others_j (z_max - z_j) / (1 + r)."""
        spread = torch.linalg.vecdot(self.others, self.shifted).double()
        return torch.log1p(self.rest) - spread / (1 + self.rest)

    @property
    def variance(self) -> Tensor:
        """Population variance of the probabilities over the classes, (n,) float64; from the distances to their mean."""
        mean = ((1 + self.rest) / self.logits.shape[1]).to(self.logits)[:, None]
        apart = (self.others - mean).scatter_(1, self.index[:, None], 1 - mean)
        spread = torch.linalg.vecdot(apart, apart).double()
        return spread / self.logits.shape[1] / (1 + self.rest).square()

    @shared
    def probs(self) -> Tensor:
        """Probabilities, (n, k), in the precision of the logits."""
        whole = (1 + self.rest).to(self.logits)
        return (self.others / whole[:, None]).scatter_(1, self.index[:, None], whole.reciprocal()[:, None])

    @shared
    def log_probs(self) -> Tensor:
        """Log probabilities, (n, k), in the precision of the logits."""
        return self.shifted - torch.log1p(self.rest).to(self.logits)[:, None]


def largest(rows: Tensor, count: int) -> Tensor:
    """Give the `count` largest numbers (n, count) of rows (n, k), the largest first."""
    if rows.device.type != "cpu" or count <= FEW or len(rows) == 0:
        return rows.topk(count, dim=1).values
    array, rest = rows.detach().numpy(), rows.shape[1] - count
    if rest:
        array = np.partition(array, rest, axis=1)[:, rest:]
    # One thread: torch's own still spin after the product before, so a second one gains nothing.
    return torch.from_numpy(np.sort(array, axis=1)[:, ::-1].copy())
