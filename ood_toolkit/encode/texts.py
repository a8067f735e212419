"""Prompts through a text tower: heads that classify features, their embeddings kept in the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ood_toolkit.api.model import Model
from ood_toolkit.api.scorer import Prompts
from ood_toolkit.errors import DataError
from ood_toolkit.outputs.head import Head, normalise
from ood_toolkit.store.texts import Texts

__all__ = ["Asked", "Embedded", "class_texts", "zero_shot_head"]

TEXTS_PER_BATCH = 256


def zero_shot_head(model: Model, class_names: Sequence[str], prompts: Prompts, store: Path | None = None) -> Head:
    """Encode the prompts of all classes to a head, with a bank of "no" texts where the model knows such.

    With a store, embeddings are taken from it, or kept in it. A recipe that averages scores needs the embeddings of
    each template: they are the bank `prompts` (p, k, d). `DataError` names a prompt that the tokenizer would cut.
    """
    asked = Asked(model, tuple(class_names), prompts)
    banks: dict[str, Any] = {}
    if prompts.views:
        views = asked.apart(store, _refuse_cut).rows
        texts = _merged(views, prompts.recipe)
        banks["prompts"] = normalise(views)
    else:
        texts = asked.merged(store, _refuse_cut).rows
    head = Head.zero_shot(texts, class_names, model.scale, model.bias)
    if model.no_templates:
        no = Prompts(model.no_templates, prompts.recipe)
        banks["no"] = Asked(model, tuple(class_names), no, no=True).merged(store, _refuse_cut).rows
    return head.with_banks(banks) if banks else head


def class_texts(
    model: Model, class_names: Sequence[str], prompts: Prompts, store: Path | None = None, *, no: bool = False
) -> Tensor:
    """Embed each class under all templates, with the "no" tower where `no`, and merge them: (k, d) unit rows."""
    return Asked(model, tuple(class_names), prompts, no).merged(store).rows


@dataclass(frozen=True, eq=False)
class Embedded:
    """Embeddings of prompts."""

    rows: Tensor
    cut: tuple[int, ...]
    """Places of the prompts, template after template, whose end the tokenizer cuts."""


@dataclass(frozen=True, eq=False)
class Asked:
    """Classes, or other words, under templates, of which a model's embeddings are asked for.

    A store keeps with embeddings which prompts are cut, so that no tokenizer is needed to tell it again.
    """

    model: Model
    names: tuple[str, ...]
    prompts: Prompts
    no: bool = False
    """Whether it is the "no" tower that reads them."""

    def merged(self, store: Path | None, check: Check = lambda asked, cut: None) -> Embedded:
        """Embed each name under all templates and merge them: (k, d) unit rows; `check` sees first what is cut."""
        about = text_identity(self.model, self.names, self.prompts, no=self.no)
        return self._kept(store, about, lambda: _merged(self._encoded(), self.prompts.recipe), check)

    def apart(self, store: Path | None, check: Check = lambda asked, cut: None) -> Embedded:
        """Embed each name under each template: (p, k, d) as the tower gives them, not normalised."""
        about = {**text_identity(self.model, self.names, Prompts(self.prompts.templates)), "recipe": "none"}
        return self._kept(store, about, self._encoded, check)

    def _kept(self, store: Path | None, about: Mapping[str, Any], make: Callable[[], Tensor], check: Check) -> Embedded:
        """Take embeddings from the store, or make them and keep them there."""
        texts = None if store is None else Texts(store)
        held = None if texts is None else texts.read(about)
        known = None if held is None else held.cut
        cut = self.model.overlong(self._texts) if known is None else known
        check(self, cut)
        rows = make() if held is None else torch.from_numpy(held.rows)
        if texts is not None and known is None:
            texts.write(about, rows.numpy(), cut)
        return Embedded(rows, cut)

    @property
    def _texts(self) -> list[str]:
        return [template.replace("{}", name) for template in self.prompts.templates for name in self.names]

    def _encoded(self) -> Tensor:
        """Embed all prompts, (p, k, d)."""
        embed = self.model.encode_no_texts if self.no else self.model.encode_texts
        texts = self._texts
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))  # texts of one length: least padding
        with torch.inference_mode():
            batches = [order[i : i + TEXTS_PER_BATCH] for i in range(0, len(order), TEXTS_PER_BATCH)]
            rows = torch.cat([embed([texts[place] for place in batch]).float().cpu() for batch in batches])
        made = torch.empty_like(rows)
        made[torch.tensor(order)] = rows
        return made.reshape(len(self.prompts.templates), len(self.names), -1)


Check = Callable[[Asked, Sequence[int]], None]


def _refuse_cut(asked: Asked, cut: Sequence[int]) -> None:
    """Refuse prompts whose end, most often with the name of the class, would be cut off."""
    if cut:
        templates, names = asked.prompts.templates, asked.names
        template, name = templates[cut[0] // len(names)], names[cut[0] % len(names)]
        raise DataError(
            f"the prompt {_short(template)!r} with the class {name!r} has more tokens than the text tower of "
            f"{asked.model.name} takes, as {len(cut):,} of {len(templates) * len(names):,} prompts have; shorten the "
            "template or the name"
        )


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most // 2]} ... {text[-most // 2 :]}"


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


def _merged(rows: Tensor, recipe: str) -> Tensor:
    """Merge the embeddings (p, k, d) of all templates to unit rows (k, d)."""
    return normalise((normalise(rows) if recipe == "normalise-sum-normalise" else rows).mean(dim=0))
