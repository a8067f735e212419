"""DICE, directed sparsification: Sun and Li, ECCV 2022, arXiv 2111.09805."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from ood_toolkit.api.scorer import given
from ood_toolkit.scorers.families.activations import Shaped, check_percentile

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs
    from ood_toolkit.outputs.head import Head


@dataclass
class DICE(Shaped):
    """Energy of a sparse head, logsumexp((W * M) h + b), with h (n, d), W and M (k, d), b (k,).

    The contribution of a weight is V_cj = W_cj mean(h_j) over the ID training features; M keeps those above the
    percentile over all k d contributions, as in OpenOOD. The authors take 90 on CIFAR and 70 on ImageNet.
    """

    percentile: float = 90.0
    """Share of the weights that is left out, in percent."""

    name = "dice"
    fits_on = frozenset({"train"})
    grid: ClassVar = {"percentile": (70.0, 90.0)}
    """The authors' two values, for ImageNet and CIFAR."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_percentile(self, "percentile")

    def fit(self, val: Outputs, train: Outputs | None = None) -> DICE:
        """Find the weights that contribute most."""
        from numpy import percentile

        train = given(self, train, "train")
        mean = sum(self.rows(chunk).double().sum(dim=0) for chunk in train.chunks()) / len(train)  # (d,)
        matrix = cast("Head", train.head).matrix
        part = matrix.double() * mean  # (k, d)
        self.matrix_ = matrix.where(part > float(percentile(part.cpu().numpy(), self.percentile)), 0.0)
        return self

    def logits(self, rows: Tensor, head: Head) -> Tensor:
        """Give the logits of the sparse head."""
        return rows @ self.matrix_.to(rows).T + head.bias.to(rows)
