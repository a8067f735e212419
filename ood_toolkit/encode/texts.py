"""Prompts through a text tower: heads that classify features, their embeddings kept in the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ood_toolkit.api.model import Model
from ood_toolkit.api.scorer import Prompts
from ood_toolkit.errors import DataError
from ood_toolkit.outputs.head import Head, normalise
from ood_toolkit.store.texts import Texts

__all__ = ["class_texts", "template_texts", "zero_shot_head"]

TEXTS_PER_BATCH = 256


def zero_shot_head(model: Model, class_names: Sequence[str], prompts: Prompts, store: Path | None = None) -> Head:
    """Encode the prompts of all classes to a head, with a bank of "no" texts where the model knows such.

    With a store, embeddings are taken from it, or kept in it. A recipe that averages scores needs the embeddings of
    each template: they are the bank `prompts` (p, k, d). `DataError` names a prompt that the tokenizer would cut.
    """
    for templates in (prompts.templates, model.no_templates):
        _refuse_cut(model, class_names, templates)
    banks: dict[str, Any] = {}
    if prompts.views:
        views = template_texts(model, class_names, prompts.templates, store)
        texts = _merged(views, prompts.recipe)
        banks["prompts"] = normalise(views)
    else:
        texts = class_texts(model, class_names, prompts, store)
    head = Head.zero_shot(texts, class_names, model.scale, model.bias)
    if model.no_templates:
        no = Prompts(model.no_templates, prompts.recipe)
        banks["no"] = class_texts(model, class_names, no, store, no=True)
    return head.with_banks(banks) if banks else head


def _refuse_cut(model: Model, class_names: Sequence[str], templates: Sequence[str]) -> None:
    """Refuse prompts whose end, most often with the name of the class, would be cut off."""
    texts = [template.replace("{}", name) for template in templates for name in class_names]
    cut = model.overlong(texts)
    if cut:
        template, name = templates[cut[0] // len(class_names)], class_names[cut[0] % len(class_names)]
        raise DataError(
            f"the prompt {_short(template)!r} with the class {name!r} has more tokens than the text tower of "
            f"{model.name} takes, as {len(cut):,} of {len(texts):,} prompts have; shorten the template or the name"
        )


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most // 2]} ... {text[-most // 2 :]}"


def class_texts(
    model: Model, class_names: Sequence[str], prompts: Prompts, store: Path | None = None, *, no: bool = False
) -> Tensor:
    """Embed each class under all templates, with the "no" tower where `no`, and merge them: (k, d) unit rows."""

    def make() -> Tensor:
        return _merged(_encoded(model, class_names, prompts.templates, no=no), prompts.recipe)

    return _kept(store, text_identity(model, class_names, prompts, no=no), make)


def template_texts(
    model: Model, class_names: Sequence[str], templates: Sequence[str], store: Path | None = None
) -> Tensor:
    """Embed each class under each template: (p, k, d) as the tower gives them, not normalised."""
    about = {**text_identity(model, class_names, Prompts(tuple(templates))), "recipe": "none"}
    return _kept(store, about, lambda: _encoded(model, class_names, templates))


def _kept(store: Path | None, identity: Mapping[str, Any], make: Callable[[], Tensor]) -> Tensor:
    """Take embeddings from the store, or make them and keep them there."""
    if store is None:
        return make()
    texts = Texts(store)
    held = texts.read(identity)
    if held is not None:
        return torch.from_numpy(held)
    made = make()
    texts.write(identity, made.numpy())
    return made


def text_identity(model: Model, class_names: Sequence[str], prompts: Prompts, *, no: bool = False) -> Mapping[str, Any]:
    """Say all that decides the embeddings of class texts; a "no" tower of its own gives others of equal texts."""
    tower = {"tower": "no"} if no and model.has_no_tower else {}
    return tower | {
        "weights": model.fingerprint,
        "architecture": model.architecture,
        "tokenizer": model.tokenizer,
        "precision": model.precision,
        "classes": list(class_names),
        "templates": list(prompts.templates),
        "recipe": prompts.recipe,
    }


def _encoded(model: Model, class_names: Sequence[str], templates: Sequence[str], *, no: bool = False) -> Tensor:
    embed = model.encode_no_texts if no else model.encode_texts
    texts = [template.replace("{}", name) for template in templates for name in class_names]
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))  # texts of one length need the least padding
    with torch.inference_mode():
        batches = [order[i : i + TEXTS_PER_BATCH] for i in range(0, len(order), TEXTS_PER_BATCH)]
        rows = torch.cat([embed([texts[place] for place in batch]).float().cpu() for batch in batches])
    made = torch.empty_like(rows)
    made[torch.tensor(order)] = rows
    return made.reshape(len(templates), len(class_names), -1)  # (p, k, d)


def _merged(rows: Tensor, recipe: str) -> Tensor:
    """Merge the embeddings (p, k, d) of all templates to unit rows (k, d)."""
    return normalise((normalise(rows) if recipe == "normalise-sum-normalise" else rows).mean(dim=0))
