"""`Preprocessing`: from a picture to the input of an image tower, as numbers that can be told and compared."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ood_toolkit.errors import ModelError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

__all__ = ["INTERPOLATIONS", "Preprocessing", "whole_number"]

MOST_PIXELS = 1 << 26
"""Of a resized picture; of one that would have more, such as a line of 20,000 x 1, only what is cropped is resized."""
REACH = 3
"""How many pixels away the widest filter, Lanczos', looks."""
INTERPOLATIONS = ("bilinear", "bicubic")
"""What `:interpolation=` takes; a model's own may be any of Pillow's."""


@dataclass(frozen=True)
class Preprocessing:
    """Convert to RGB, resize with antialiasing, crop the centre, then (x / 255 - mean) / std.

    For RGB pictures equal to the bit to open_clip's `image_transform_v2` and to the evaluation presets of torchvision
    and timm. Unlike open_clip's it converts to RGB before it resizes, so that palettes are interpolated too. A picture
    whose resized form would have more than `MOST_PIXELS` costs no more than its crop.
    """

    crop: tuple[int, int]
    """(h, w) of the input."""
    resize: int | tuple[int, int]
    """The shorter side is resized to this; or both are, to (h, w), whatever the picture's proportions."""
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @classmethod
    def square(cls, size: Any, resize_mode: str, interpolation: str, mean: Any, std: Any) -> Preprocessing:
        """Make open_clip's preprocessing of a size, `size` or (h, w), and of mode `shortest` or `squash`."""
        h, w = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        if resize_mode not in ("shortest", "squash") or (resize_mode == "shortest" and h != w):
            raise ModelError(f"preprocessing: cannot do resize_mode {resize_mode!r} to {h}x{w}; know shortest, squash")
        if interpolation == "random":  # open_clip's word for training; it evaluates with bicubic
            interpolation = "bicubic"
        resize = h if resize_mode == "shortest" else (h, w)
        return cls((h, w), resize, interpolation, _three(mean), _three(std))

    def __post_init__(self) -> None:
        sides = (self.resize,) if isinstance(self.resize, int) else self.resize
        if min(sides) < min(self.crop):
            raise ModelError(f"resize: expected at least {min(self.crop)}, what is cropped, got {min(sides)}")
        if self.interpolation not in ("nearest", "bilinear", "bicubic", "lanczos", "hamming", "box"):
            raise ModelError(f"interpolation: expected {' or '.join(INTERPOLATIONS)}, got {self.interpolation!r}")

    def __call__(self, image: Image) -> Tensor:
        """Turn one picture, of any mode and size, into a (3, h, w) float32 tensor on the CPU."""
        import numpy as np
        import torch
        from PIL import Image as Images

        image = image if image.mode == "RGB" else image.convert("RGB")
        size = self._resized(*image.size)
        h, w = self.crop
        left, top = round((size[0] - w) / 2), round((size[1] - h) / 2)
        resampling = Images.Resampling[self.interpolation.upper()]
        if size[0] * size[1] > MOST_PIXELS and size != image.size:
            x0, x1, across = _span(left, w, size[0], image.width)
            y0, y1, down = _span(top, h, size[1], image.height)
            image = image.crop((x0, y0, x1, y1)).resize((w, h), resampling, box=(
                across[0] - x0, down[0] - y0, across[1] - x0, down[1] - y0
            ))  # fmt: skip
        else:
            image = image if size == image.size else image.resize(size, resampling)
            image = image if size == (w, h) else image.crop((left, top, left + w, top + h))
        mean, std = _constants(self.mean, self.std)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
        return pixels.to(torch.float32).div_(255).sub_(mean).div_(std)

    @property
    def image_size(self) -> int:
        """Shorter side, in pixels, that pictures are resized to."""
        return self.resize if isinstance(self.resize, int) else min(self.resize)

    def about(self) -> dict[str, Any]:
        """Give all that decides the outcome as plain values."""
        return {
            "resize": self.resize if isinstance(self.resize, int) else list(self.resize),
            "resize_mode": "shortest" if isinstance(self.resize, int) else "squash",
            "crop": list(self.crop),
            "interpolation": self.interpolation,
            "mode": "RGB",
            "mean": list(self.mean),
            "std": list(self.std),
        }

    def changed(self, resize: str | int | None = None, interpolation: str | None = None) -> Preprocessing:
        """Give the same with another resize or interpolation, as the options of a model name ask."""
        changed = self
        if resize is not None:
            if not isinstance(self.resize, int):
                raise ModelError("resize: this model resizes both sides to its input size, so there is none to choose")
            changed = replace(changed, resize=whole_number(resize, "resize"))
        if interpolation is not None:
            if interpolation not in INTERPOLATIONS:
                raise ModelError(f"interpolation: expected {' or '.join(INTERPOLATIONS)}, got {interpolation!r}")
            changed = replace(changed, interpolation=interpolation)
        return changed

    def _resized(self, width: int, height: int) -> tuple[int, int]:
        if not isinstance(self.resize, int):
            return self.resize[1], self.resize[0]
        if width <= height:
            return self.resize, int(self.resize * height / width)
        return int(self.resize * width / height), self.resize


def _span(start: int, length: int, of: int, size: int) -> tuple[int, int, tuple[float, float]]:
    """Return which pixels of a side, from and to, a part of its resized form is made of, and that part among them."""
    scale = size / of
    first, last = start * scale, min((start + length) * scale, size)
    margin = math.ceil(REACH * max(1.0, scale)) + 1
    return max(0, math.floor(first) - margin), min(size, math.ceil(last) + margin), (first, last)


def whole_number(text: str | int, what: str) -> int:
    """Read a positive whole number of an option."""
    if not str(text).isdecimal() or int(text) < 1:
        raise ModelError(f"{what}: expected a number of pixels such as 256, got {text!r}")
    return int(text)


@lru_cache(maxsize=32)
def _constants(mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    import torch

    return torch.tensor(mean).view(-1, 1, 1), torch.tensor(std).view(-1, 1, 1)


def _three(value: Any) -> tuple[float, float, float]:
    r, g, b = (value, value, value) if isinstance(value, int | float) else value
    return float(r), float(g), float(b)
