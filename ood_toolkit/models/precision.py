"""How a network computes: its device, its precision and its memory layout."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ood_toolkit.errors import ModelError

__all__ = ["autocast", "check_device", "lay_out"]

REASON = 120
"""Letters of torch's own words in a message."""


def autocast(device: torch.device, precision: str) -> Any:
    """Make the context in which a network computes in bf16 or fp16 where that is safe; for fp32, one that does nothing.

    Half-precision weights would need another treatment for each library and each kind of layer.
    """
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    if dtype is torch.float32:
        return torch.autocast(device.type, enabled=False)
    return torch.autocast(device.type, dtype=dtype)


def lay_out(net: nn.Module) -> nn.Module:
    """Put a network for encoding: eval mode, float32, no gradients, and channels last where it convolves.

    With channels last a ResNet-50 takes a tenth less time on a CPU; a transformer's one convolution gains nothing.
    """
    net = net.float().eval().requires_grad_(False)
    convolutions = sum(isinstance(part, nn.Conv2d) for part in net.modules())
    return net.to(memory_format=torch.channels_last) if convolutions > 1 else net


def check_device(name: str) -> None:
    """Refuse a device that torch does not know or that is not there."""
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        why = str(error).splitlines()[0].partition(". ")[0]  # torch goes on with the names of all its back ends
        why = why if len(why) <= REASON else f"{why[:REASON]}..."
        raise ModelError(f"--device: {name!r} cannot be used here: {why}; cpu always can") from None
