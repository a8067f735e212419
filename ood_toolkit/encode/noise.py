"""Pictures of noise through the image tower: what TANL knows of images that are of no class before it saw any."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ood_toolkit.api.model import Model
from ood_toolkit.outputs.head import Head
from ood_toolkit.store.texts import Texts

__all__ = ["KINDS", "noise_pictures", "with_noise"]

KINDS = ("gaussian", "uniform", "poisson", "gamma", "salt and pepper")
SEED = 0
"""The pictures are the same for every model with inputs of one size."""


def with_noise(model: Model, head: Head, each: int, device: str = "cpu", store: Path | None = None) -> Head:
    """Give the head with the embeddings of `each` pictures of each kind of noise as the bank `noise`; 0: none.

    As in TANL's reference code (Zhang et al., CVPR 2026) the pictures enter the network as numbers in [0, 1], without
    the model's mean and standard deviation. `device` is where the network is. With a store, they are kept there.
    """
    if each == 0:
        return head
    kept, about = None if store is None else Texts(store), noise_identity(model, each)
    if kept is not None and (held := kept.read(about)) is not None:
        return head.with_banks({"noise": held.rows})
    batch = noise_pictures(_input_shape(model), each)
    with torch.inference_mode():
        rows = model.encode_images(batch.to(device)).float().cpu().clone()
    if kept is not None:
        kept.write(about, rows.numpy())
    return head.with_banks({"noise": rows})


def noise_identity(model: Model, each: int) -> Mapping[str, Any]:
    """Say all that decides the embeddings of the pictures of noise; their size follows from the preprocessing."""
    return {
        "noise": {"kinds": KINDS, "each": each, "seed": SEED},
        "weights": model.fingerprint,
        "architecture": model.architecture,
        "preprocessing": dict(model.preprocessing),
        "precision": model.precision,
    }


def noise_pictures(shape: tuple[int, ...], each: int) -> Tensor:
    """Draw (5 each, *shape) in [0, 1], kind after kind; those of open range are stretched from least to largest.

    Normal; uniform; Poisson of mean 5; gamma of shape 2, which is the sum of two exponential variables; 0 or 1.
    """
    draw, size = torch.Generator().manual_seed(SEED), (each, *shape)
    made = {
        "gaussian": _stretched(torch.randn(size, generator=draw)),
        "uniform": torch.rand(size, generator=draw),
        "poisson": _stretched(torch.poisson(torch.full(size, 5.0), generator=draw)),
        "gamma": _stretched(-(1 - torch.rand(2, *size, generator=draw)).log().sum(dim=0)),
        "salt and pepper": (torch.rand(size, generator=draw) >= 0.5).float(),
    }
    return torch.cat([made[kind] for kind in KINDS])


def _stretched(values: Tensor) -> Tensor:
    return (values - values.min()) / (values.max() - values.min())


def _input_shape(model: Model) -> tuple[int, ...]:
    """Ask the preprocessing for the shape (c, h, w) that the network takes."""
    from PIL import Image

    size = max(model.image_size, 1)
    return tuple(model.preprocess(Image.new("RGB", (size, size))).shape)
