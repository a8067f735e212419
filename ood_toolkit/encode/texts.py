"""Prompts through a text tower: heads that classify features, their embeddings kept in the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ood_toolkit.head import Head, normalise
from ood_toolkit.models.model import Model
from ood_toolkit.scorer import Prompts
from ood_toolkit.store.texts import Texts

__all__ = ["class_texts", "zero_shot_head"]

TEXTS_PER_BATCH = 256


def zero_shot_head(model: Model, class_names: Sequence[str], prompts: Prompts, store: Path | None = None) -> Head:
    """Encode the prompts of all classes to a head, with a bank of "no" texts where the model knows such.

    With a store, embeddings are taken from it, or kept in it. A recipe that averages scores needs the embeddings of
    each template: they are the bank `prompts` (p, k, d).
    """
    head = Head.zero_shot(class_texts(model, class_names, prompts, store), class_names, model.scale, model.bias)
    banks: dict[str, Any] = {}
    if model.no_templates:
        no = Prompts(model.no_templates, prompts.recipe)
        banks["no"] = class_texts(model, class_names, no, store)
    if prompts.views:
        banks["prompts"] = torch.stack(
            [class_texts(model, class_names, Prompts((template,)), store) for template in prompts.templates]
        )
    return head.with_banks(banks) if banks else head


def class_texts(model: Model, class_names: Sequence[str], prompts: Prompts, store: Path | None = None) -> Tensor:
    """Embed each class under all templates and merge them by the recipe: (k, d) unit rows."""
    texts = None if store is None else Texts(store)
    key = text_identity(model, class_names, prompts)
    held = None if texts is None else texts.read(key)
    if held is not None:
        return torch.from_numpy(held)
    made = _encoded(model, class_names, prompts)
    if texts is not None:
        texts.write(key, made.numpy())
    return made


def text_identity(model: Model, class_names: Sequence[str], prompts: Prompts) -> Mapping[str, Any]:
    """Say all that decides the embeddings of class texts."""
    return {
        "weights": model.fingerprint,
        "architecture": model.architecture,
        "tokenizer": model.tokenizer,
        "precision": model.precision,
        "classes": list(class_names),
        "templates": list(prompts.templates),
        "recipe": prompts.recipe,
    }


def _encoded(model: Model, class_names: Sequence[str], prompts: Prompts) -> Tensor:
    texts = [template.replace("{}", name) for template in prompts.templates for name in class_names]
    with torch.inference_mode():
        parts = [
            model.encode_texts(texts[i : i + TEXTS_PER_BATCH]).float() for i in range(0, len(texts), TEXTS_PER_BATCH)
        ]
    rows = torch.cat(parts).clone().reshape(len(prompts.templates), len(class_names), -1)  # (p, k, d)
    if prompts.recipe == "normalise-sum-normalise":
        rows = normalise(rows)
    return normalise(rows.mean(dim=0)).cpu()
