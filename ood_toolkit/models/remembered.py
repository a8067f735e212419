"""`RememberedModel`: a model that answers from the store what it is, and is loaded when it has to run."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np

from ood_toolkit.api.model import Model
from ood_toolkit.errors import ModelError
from ood_toolkit.models.names import Choice
from ood_toolkit.store.cards import Card, Cards, state_of_files
from ood_toolkit.store.versions import code_of, version_of

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from ood_toolkit.outputs.head import Head

__all__ = ["RememberedModel", "remembered"]

FACTS: Mapping[str, Callable[[Any], Any]] = {
    "fingerprint": str,
    "architecture": str,
    "preprocessing": dict,
    "tokenizer": str,
    "precision": str,
    "scale": float,
    "bias": float,
    "licence": str,
    "image_size": int,
    "kinds": tuple,
    "label_space": str,
    "assumed_names": bool,
    "templates": tuple,
    "no_templates": tuple,
    "has_no_tower": bool,
    "notes": tuple,
    "learned_prompt": bool,
}
"""Attributes of a model that are asked for without running it, with what makes each of its plain form."""
LIBRARIES = ("ood-toolkit", "torch", "open_clip_torch", "torchvision", "timm", "transformers", "tokenizers", "pillow")
"""What configurations, preprocessing and tokenizers are from."""


def remembered(choice: Choice, store: Path, *, again: bool = False) -> Model:
    """Give a model as the store remembers it, else load it and have the store remember it.

    It is loaded where a file or a version that decided it has changed, where its family does not tell which files
    decide, or `again`. A card is kept only of files that stayed as they were while the model was loaded.
    """
    files = choice.files()
    if not files:
        return choice.load()
    cards, versions, before = Cards(store), _versions(choice), state_of_files(files)
    card = None if again else cards.read(choice.name, list(before))
    if card is not None and card.files == before and card.versions == versions:
        try:
            return RememberedModel(choice, card, cards)
        except (LookupError, TypeError, ValueError):  # a card of other facts than this version asks for
            pass
    model = choice.load()
    facts = _facts(model)
    if facts is not None and before == state_of_files(choice.files() or ()):
        cards.write(Card(choice.name, before, versions, *facts))
    return model


class RememberedModel(Model):
    """A model of which a card is known; what needs its network loads it, once, and must find what the card says."""

    def __init__(self, choice: Choice, card: Card, cards: Cards) -> None:
        self.name, self._choice, self._card, self._cards = choice.name, choice, card, cards
        for name, kind in FACTS.items():
            setattr(self, name, kind(card.facts[name]))
        self.head = _head(card)
        self._device, self._lock = "cpu", RLock()
        self._real: Model | None = None

    def preprocess(self, image: Image) -> Tensor:
        """Turn one picture into the input of `encode`."""
        return self.loaded().preprocess(image)

    def encode_images(self, batch: Tensor) -> Tensor:
        """Embed inputs as (b, d) float32 rows."""
        return self.loaded().encode_images(batch)

    def encode(self, batch: Tensor, kinds: Sequence[str], head: Head | None = None) -> dict[str, Tensor]:
        """Give several kinds of output of inputs."""
        return self.loaded().encode(batch, kinds, head)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed m prompts as (m, d) float32 rows."""
        return self.loaded().encode_texts(texts)

    def encode_no_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed m prompts that say "not this class" as (m, d) float32 rows."""
        return self.loaded().encode_no_texts(texts)

    def overlong(self, texts: Sequence[str]) -> tuple[int, ...]:
        """Give the places of the texts whose end the tokenizer cuts off."""
        return self.loaded().overlong(texts)

    def to(self, device: str) -> RememberedModel:
        """Have the network on a device, now or when it is loaded, and return this model."""
        with self._lock:
            self._device = device
            if self._real is not None:
                self._real.to(device)
            if self.head is not None:
                self.head = self.head.to(device)
        return self

    def loaded(self) -> Model:
        """Load the model at the first call; `ModelError` where it is not what the card says."""
        import torch

        with self._lock, torch.inference_mode(False):  # who asks may be inferring, and weights are to be learnt from
            if self._real is None:
                real = self._choice.load()
                self._check(real)
                self._real = real.to(self._device)
            return self._real

    def _check(self, real: Model) -> None:
        """Refuse a model that changed since its card was read, and forget the card."""
        facts, arrays = _facts(real) or ({}, {})
        known = self._card
        apart = [name for name in FACTS if facts.get(name) != known.facts[name]]
        same_head = arrays.keys() == known.arrays.keys() and all(
            np.array_equal(array, known.arrays[name], equal_nan=True) for name, array in arrays.items()
        )
        apart += [] if same_head else ["head"]
        if apart:
            self._cards.forget(known)
            raise ModelError(
                f"{self.name}: its {apart[0]} is not what the store remembers of it, so it was changed just now; run "
                "this again"
            )


def _facts(model: Model) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """Take down what a model is, as a file gives it back; None where that is not all plain values and a linear head."""
    import json

    from ood_toolkit.outputs.arrays import to_numpy

    head = model.head
    if head is not None and (head.kind != "linear" or head.banks):
        return None
    try:
        facts: dict[str, Any] = json.loads(
            json.dumps({name: kind(getattr(model, name)) for name, kind in FACTS.items()})
        )
    except (TypeError, ValueError):
        return None
    if head is None:
        return facts, {}
    facts |= {"classes": list(head.class_names), "unit_rows": head.unit_rows}
    return facts, {"weight": to_numpy(head.weight), "bias": to_numpy(head.bias)}


def _head(card: Card) -> Head | None:
    """Make the linear head of a card, to the bit."""
    if "weight" not in card.arrays:
        return None
    import torch

    from ood_toolkit.outputs.head import Head

    weight, bias = (torch.from_numpy(card.arrays[name]) for name in ("weight", "bias"))
    return Head.linear(weight, bias, card.facts["classes"], card.facts["unit_rows"])


def _versions(choice: Choice) -> dict[str, Any]:
    """Name the versions of libraries, and of the code that loads a model, where its source is here."""
    known: dict[str, Any] = {name: version_of(name) for name in LIBRARIES}
    module = sys.modules.get(getattr(inspect.unwrap(choice.entry.load), "__module__", ""))
    file = Path(os.path.realpath(getattr(module, "__file__", None) or ""))
    if not file.is_file():
        return known | {"code": None}
    return known | {"code": code_of(file.parent if getattr(module, "__package__", "") else file)}
