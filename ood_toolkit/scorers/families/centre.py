"""`centre`: the mean of what the head multiplies, over training images."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


def centre(train: Outputs) -> Tensor:
    """Give the mean of `head_input`, (d,) float64, in one walk."""
    import torch

    return torch.stack([chunk.head_input.double().sum(dim=0) for chunk in train.chunks()]).sum(dim=0) / len(train)
