"""`Softmax`: what is derived from exponentiated logits, from the complement so that nothing saturates; `largest`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ood_toolkit.outputs.ledger import shared

__all__ = ["Softmax", "in_blocks", "largest"]


BLOCK = 2**18
"""Numbers of a block of rows: what is made of it and forgotten stays in a core's own cache."""
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
        return _Cooled(self, temperature)

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
        others = self.others
        return in_blocks(lambda rows: others[rows].sum(dim=1), others).double()

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
        others, shifted = self.others, self.shifted
        spread = in_blocks(lambda rows: torch.linalg.vecdot(others[rows], shifted[rows]), others).double()
        return torch.log1p(self.rest) - spread / (1 + self.rest)

    @property
    def variance(self) -> Tensor:
        """Population variance of the probabilities over the classes, (n,) float64; from the distances to their mean."""
        others, index = self.others, self.index[:, None]
        mean = ((1 + self.rest) / others.shape[1]).to(others)[:, None]

        def spread_of(rows: slice) -> Tensor:
            apart = (others[rows] - mean[rows]).scatter_(1, index[rows], 1 - mean[rows])
            return apart.square_().sum(dim=1)

        spread = in_blocks(spread_of, others).double()
        return spread / others.shape[1] / (1 + self.rest).square()

    @shared
    def probs(self) -> Tensor:
        """Probabilities, (n, k), in the precision of the logits."""
        whole = (1 + self.rest).to(self.logits)
        return (self.others / whole[:, None]).scatter_(1, self.index[:, None], whole.reciprocal()[:, None])

    @shared
    def log_probs(self) -> Tensor:
        """Log probabilities, (n, k), in the precision of the logits."""
        return self.shifted - torch.log1p(self.rest).to(self.logits)[:, None]


class _Cooled(Softmax):
    """The softmax of logits divided by a temperature; the largest and the distances to it are those of the others."""

    def __init__(self, warm: Softmax, temperature: float) -> None:
        self._warm, self._temperature = warm, temperature
        self.__dict__["_max"] = (warm.largest / temperature, warm.index)

    @shared
    def logits(self) -> Tensor:  # type: ignore[override]
        """The distances below: the same softmax, as a common shift does not matter."""
        return self.shifted

    @shared
    def shifted(self) -> Tensor:
        """(z - z_max) / T, (n, k), 0 at the largest."""
        return self._warm.shifted / self._temperature

    @shared
    def others(self) -> Tensor:
        """exp((z - z_max) / T), (n, k), with 0 at the largest."""
        return self._others(slice(None))

    @shared
    def rest(self) -> Tensor:
        """r, the sum of `others`, (n,) float64; they are not kept for it."""
        return in_blocks(lambda rows: self._others(rows).sum(dim=1), self._warm.shifted).double()

    def _others(self, rows: slice) -> Tensor:
        return (self._warm.shifted[rows] / self._temperature).exp_().scatter_(1, self.index[rows, None], 0.0)


def in_blocks(per_row: Callable[[slice], Tensor], rows: Tensor) -> Tensor:
    """Give what a function says of each row (n,) of an array (n, k), a block of rows after the other on a CPU."""
    step = max(1, BLOCK // rows.shape[1])
    if rows.device.type != "cpu" or len(rows) <= step:
        return per_row(slice(None))
    return torch.cat([per_row(slice(start, start + step)) for start in range(0, len(rows), step)])


def largest(rows: Tensor, count: int) -> Tensor:
    """Give the `count` largest numbers (n, count) of rows (n, k), the largest first."""
    if rows.device.type != "cpu" or count <= FEW or len(rows) == 0:
        return rows.topk(count, dim=1).values
    array, rest = rows.detach().numpy(), rows.shape[1] - count
    if rest:
        array = np.partition(array, rest, axis=1)[:, rest:]
    # One thread: torch's own still spin after the product before, so a second one gains nothing.
    return torch.from_numpy(np.sort(array, axis=1)[:, ::-1].copy())
