"""ViM, virtual-logit matching: Wang, Li, Feng and Zhang, CVPR 2022, arXiv 2203.10807."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ood_toolkit.api.scorer import given
from ood_toolkit.errors import ScorerError
from ood_toolkit.scorers.families.subspace import Subspace

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs

NONE_LEFT = 1e-6
"""Mean distance from the subspace, relative to that from the origin, which may be rounding of float32 features."""


@dataclass
class ViM(Subspace):
    """Energy of the logits z less a virtual logit, LSE(z) - alpha ||N' (h - u)||, of any sign.

    u = -pinv(W) b (d,) is the origin of the head W (k, d), b (k,), and N (d, d - D) the eigenvectors of the mean of
    (h - u)(h - u)' over training images beyond the leading D; alpha = mean(max z) / mean(||N' (h - u)||) over them
    brings the virtual logit to the size of the others. h is what the head multiplies: features under a linear head,
    unit rows under a zero-shot one. Eigenvectors by `eigh` in float64; the reference code takes the general `eig`,
    whose numbers may come out complex. OpenOOD takes D = 256.
    """

    name = "vim"
    grid: ClassVar = {"dim": (None, 256, 1000)}
    """What OpenOOD searches, beside the rule."""

    def fit(self, val: Outputs, train: Outputs | None = None) -> ViM:
        """Learn the subspace, and alpha from the largest logits."""
        train = given(self, train, "train")
        self._learn(train)
        left = float(train.map(self._distance).mean())
        length = float(train.map(lambda chunk: (chunk.head_input.double() - self.origin_).norm(dim=1)).mean())
        largest = float(train.max_logit.double().mean())
        if left <= NONE_LEFT * length:
            raise ScorerError("vim: the training features lie within the subspace; lower dim or give more images")
        if largest <= 0:
            raise ScorerError(
                f"vim: expected training images whose largest logits are above 0 on average, got {largest:.4g}: "
                "alpha would turn the sign; use residual"
            )
        self.alpha_ = largest / left
        return self

    def score(self, x: Outputs) -> Tensor:
        """Give energy less virtual logit (n,)."""
        return x.map(lambda chunk: chunk.logsumexp - self.alpha_ * self._distance(chunk))
