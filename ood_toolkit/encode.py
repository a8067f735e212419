"""Pictures and prompts through a model: features, and the heads that classify them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ood_toolkit.data.dataset import DataSet, Pictures
from ood_toolkit.errors import DataError
from ood_toolkit.head import Head, normalise
from ood_toolkit.models.model import Model
from ood_toolkit.scorer import Prompts

__all__ = ["class_texts", "encode_set", "zero_shot_head"]

IMAGES_PER_BATCH = 256
TEXTS_PER_BATCH = 256
Progress = Callable[[int, int], None]


def encode_set(
    model: Model, dataset: DataSet, split: str, device: str = "cpu", progress: Progress | None = None
) -> tuple[Tensor, Pictures]:
    """Encode a split of a data set once, in batches: features (n, d) float32 and the pictures they are of."""
    if split not in dataset.counts:
        raise DataError(f"{dataset.name}: no split {split!r}; it has {', '.join(dataset.counts)}")
    pictures = dataset.open(split, Path("data"))
    parts = []
    with torch.inference_mode():
        for start in range(0, len(pictures), IMAGES_PER_BATCH):
            images = pictures.images[start : start + IMAGES_PER_BATCH]
            batch = torch.stack([model.preprocess(image) for image in images]).to(device)
            parts.append(model.encode_images(batch).float())
            if progress is not None:
                progress(min(start + IMAGES_PER_BATCH, len(pictures)), len(pictures))
    return torch.cat(parts).clone(), pictures  # a clone made outside is no inference tensor


def zero_shot_head(model: Model, class_names: Sequence[str], prompts: Prompts) -> Head:
    """Encode the prompts of all classes to a head, with a bank of "no" texts where the model knows such."""
    head = Head.zero_shot(class_texts(model, class_names, prompts), class_names, model.scale, model.bias)
    if model.no_templates:
        no = Prompts(model.no_templates, prompts.recipe)
        head = head.with_banks({"no": class_texts(model, class_names, no)})
    return head


def class_texts(model: Model, class_names: Sequence[str], prompts: Prompts) -> Tensor:
    """Embed each class under all templates and merge them by the recipe: (k, d) unit rows."""
    texts = [template.replace("{}", name) for template in prompts.templates for name in class_names]
    with torch.inference_mode():
        parts = [
            model.encode_texts(texts[i : i + TEXTS_PER_BATCH]).float() for i in range(0, len(texts), TEXTS_PER_BATCH)
        ]
    rows = torch.cat(parts).clone().reshape(len(prompts.templates), len(class_names), -1)  # (p, k, d)
    if prompts.recipe == "normalise-sum-normalise":
        rows = normalise(rows)
    return normalise(rows.mean(dim=0))
