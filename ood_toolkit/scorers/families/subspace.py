"""`Subspace`: what ViM and Residual share: how far features lie from the principal subspace of training features.

`principal` gives the subspace of those that choose its dimension by a share of the variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING

from ood_toolkit.api.scorer import Scorer, given
from ood_toolkit.errors import ScorerError

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class Subspace(Scorer):
    """The D directions in which training features lie furthest from the origin of the head, and what they leave out.

    The origin u = -pinv(W) b (d,) is where the head W (k, d), b (k,) gives logits as near 0 as it can. The directions
    are the leading eigenvectors of the mean of (h - u)(h - u)', which is not centred; N (d, d - D) are the others.
    """

    dim: int | None = None
    """D; none: the rule of the ViM authors' code, 1000 where d is 2048 or more, 512 from 768 on, else half of d."""

    group = "classical"
    needs = frozenset({"features", "head", "train"})

    def __post_init__(self) -> None:
        check_dim(self, self.dim)

    def fit(self, val: Outputs, train: Outputs | None = None) -> Subspace:
        """Learn the origin and the directions off the principal subspace."""
        self._learn(given(self, train, "train"))
        return self

    def _learn(self, train: Outputs) -> None:
        import torch

        head = train.head
        if head is None:
            raise ScorerError(f"{self.name}: needs head, got training outputs without one; put them under that of x")
        matrix = head.matrix.double()
        self.origin_ = -torch.linalg.pinv(matrix) @ head.bias.double()  # (d,)
        left = head.width - self.dimension(head.width)
        moment = torch.zeros(head.width, head.width, dtype=torch.float64, device=train.device)
        for chunk in train.chunks():
            apart = chunk.head_input.double() - self.origin_
            moment += apart.T @ apart
        self.off_ = torch.linalg.eigh(moment / len(train)).eigenvectors[:, :left].contiguous()  # (d, d - D)

    def _distance(self, x: Outputs) -> Tensor:
        """Give ||N' (h - u)||, (n,) float64."""
        return ((x.head_input.double() - self.origin_) @ self.off_).norm(dim=1)

    def dimension(self, width: int) -> int:
        """Give D for features of this width: `dim`, or the rule of the papers; `ScorerError` where it is too large."""
        usual = 1000 if width >= 2048 else 512 if width >= 768 else width // 2
        dim = usual if self.dim is None else self.dim
        if dim >= width:
            raise ScorerError(f"{self.name}: dim={dim}: expected less than the width of the features, {width}")
        return dim


def centre(train: Outputs) -> Tensor:
    """Give the mean of `head_input`, (d,) float64, in one walk."""
    import torch

    return torch.stack([chunk.head_input.double().sum(dim=0) for chunk in train.chunks()]).sum(dim=0) / len(train)


def principal(scatter: Tensor, share: float, dim: int | None = None) -> Tensor:
    """Give the leading eigenvectors (d, q) of a scatter (d, d): `dim`, or the fewest that have a share of its trace."""
    import torch

    values, vectors = torch.linalg.eigh(scatter)  # ascending
    explained = values.clamp(min=0).flip(0).cumsum(dim=0)
    least = int((explained < share * explained[-1]).sum()) + 1
    return vectors[:, -(dim or least) :].contiguous()


def check_dim(scorer: Scorer, dim: object) -> None:
    """Refuse a number of directions that is neither none nor a whole number above 0."""
    if dim is not None and (isinstance(dim, bool) or not isinstance(dim, Integral) or dim < 1):
        raise ScorerError(f"{scorer.name}: dim: expected a whole number above 0 or none, got {dim!r}")
