"""LoCoOp's term: Miyai, Yu, Irie and Aizawa, NeurIPS 2023, arXiv 2306.01293; patches that show no class are unsure."""

from __future__ import annotations

import torch
from torch import Tensor

from ood_toolkit.errors import OutputsError

__all__ = ["is_outside", "patch_entropy"]

INSIDE_LOG = 1e-5
"""What the authors' code adds to a probability before its logarithm."""


def is_outside(logits: Tensor, labels: Tensor, top: int) -> Tensor:
    """Tell, (b, r), for which patches the label (b,) of their image is not among the `top` largest of (b, r, k)."""
    if not 0 < top < logits.shape[-1]:
        raise OutputsError(
            f"top: expected a number from 1 to {logits.shape[-1] - 1}, fewer than the classes, got {top}"
        )
    own = logits.gather(2, labels[:, None, None].expand(-1, logits.shape[1], 1))  # (b, r, 1)
    return (logits > own).sum(dim=2) >= top


def patch_entropy(logits: Tensor, outside: Tensor) -> Tensor:
    """Give the mean entropy, in nats, of the softmax of logits (b, r, k) over the patches (b, r) that lie outside.

    H = -sum_k p_k log(p_k + 1e-5); the mean is over all such patches of the batch, 0 where there is none.
    """
    if not bool(outside.any()):
        return logits.new_zeros(())
    p = torch.softmax(logits[outside], dim=1)
    return -(p * (p + INSIDE_LOG).log()).sum(dim=1).mean()
