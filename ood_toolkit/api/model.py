"""`Model`: an image tower with a text tower or a linear head, whatever library they come from."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ood_toolkit.errors import ModelError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from ood_toolkit.outputs.head import Head

__all__ = ["Model", "ModelEntry"]


class Model(ABC):
    """A loaded model in eval mode."""

    name: str
    """As typed after `--model`, in canonical form."""
    scale: float = 1.0
    """exp(logit_scale): what cosines are multiplied by to give logits."""
    bias: float = 0.0
    """Added to the logits (SigLIP); 0 for CLIP."""
    fingerprint: str
    """SHA-256 of the weights: which weights these are."""
    architecture: str = ""
    """What is built before the weights are loaded, as text; equal texts are equal networks."""
    preprocessing: Mapping[str, Any]
    """All that decides what `preprocess` gives, as numbers and strings: size, resize, interpolation, mean, std."""
    tokenizer: str = ""
    """Which tokenizer reads the prompts; "" without a text tower."""
    precision: str = "fp32"
    """What the towers compute in: fp32, bf16 or fp16."""
    licence: str = "unknown"
    """Of the weights."""
    image_size: int = 0
    """Shorter side, in pixels, that `preprocess` resizes pictures to."""
    kinds: tuple[str, ...] = ("features",)
    """What `encode` can give of an image: features always; pre_projection and local where the network has them."""
    head: Head | None = None
    """The linear head of a classifier; None for a model with a text tower."""
    label_space: str = ""
    """The numbering of the head's classes that data sets share, such as `imagenet-1k`; "" if there is none."""
    assumed_names: bool = False
    """Whether the names of the head's classes follow from the name of the model and not from its weights file, so that
    WordNet ids are not looked up among them."""
    templates: tuple[str, ...] = ()
    """Prompts that the model was trained with, in place of a data set's default; empty where any will do."""
    no_templates: tuple[str, ...] = ()
    """Prompts that the model was trained to read as "not this class"; empty if it was not."""
    has_no_tower: bool = False
    """Whether `encode_no_texts` is another tower than `encode_texts`."""
    notes: tuple[str, ...] = ()
    """What a reader of a result should know of the weights, such as which of several in a file were taken."""
    learned_prompt: bool = False
    """Whether learned vectors are the prompt, so that texts are class names and other prompts have no meaning."""

    @abstractmethod
    def preprocess(self, image: Image) -> Tensor:
        """Turn one image, of any mode and size, into the (c, h, w) float32 input of `encode`."""

    @abstractmethod
    def encode_images(self, batch: Tensor) -> Tensor:
        """Embed a batch (b, c, h, w) as (b, d) float32 rows, not normalised."""

    def encode(self, batch: Tensor, kinds: Sequence[str], head: Head | None = None) -> dict[str, Tensor]:
        """Give several kinds of output of a batch (b, c, h, w) from one pass through the network, float32.

        `features` (b, d): what `encode_images` gives. `pre_projection` (b, w): what the last projection takes.
        `local` (b,): the largest softmax at temperature 1, over all patches and classes, of the cosines between
        patch embeddings and the class texts of `head`, as GL-MCM needs it. `ModelError` for a kind that the network
        does not have.
        """
        for kind in kinds:
            if kind != "features":
                raise ModelError(f"{self.name}: cannot give {kind!r}; it has {', '.join(self.kinds)}")
        return {"features": self.encode_images(batch)}

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed m texts, prompts, as (m, d) float32 rows, not normalised; `ModelError` where there is no text tower."""
        raise ModelError(f"{self.name}: has a linear head and no text tower, so it reads no prompts")

    def encode_no_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed m texts, prompts that say "not this class", as (m, d) float32 rows; `encode_texts` where it reads both.

        `ModelError` where there is no text tower.
        """
        return self.encode_texts(texts)

    def overlong(self, texts: Sequence[str]) -> tuple[int, ...]:
        """Give the places of the texts whose end the tokenizer cuts off; none where that is not known."""
        return ()

    @abstractmethod
    def to(self, device: str) -> Model:
        """Move the network to a device and return this model."""


@dataclass(frozen=True)
class ModelEntry:
    """A model, or a family of them, as the listing knows it before anything heavy is loaded.

    `--model NAME` loads one model; `--model NAME:ARGUMENT`, where `argument` says what that is, one of a family.
    Options follow as `:key=value` and are given to `load` as keyword arguments.
    """

    name: str
    """Unique slug, as typed after `--model`."""
    description: str
    """One line for people."""
    load: Callable[..., Model]
    """`load(**options)`, or `load(argument, **options)` for a family; `ModelError` where it cannot be had."""
    argument: str = ""
    """What stands after the name of a family, such as PATH; "" for a single model."""
    check: Callable[..., None] | None = None
    """Takes what `load` takes and raises `ModelError` where that would need a download that was not asked for, or
    would fail; it must import nothing heavy."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Keyword arguments of `load` with what they mean."""
    files: Callable[..., Sequence[os.PathLike[str]] | None] | None = None
    """Takes what `load` takes, imports nothing heavy, and names every file that decides what `load` gives, those that
    may come to be there among them, the weights first; None where a download is to come. While these files and the
    versions of the libraries stay as they are, the store remembers what the model is, and it is loaded only to encode.
    An entry without this is loaded in every run."""
    embedded: bool = False
    """Whether the weights come with this package, so that it loads offline."""
    licence: str = "unknown"
    """Of the weights."""
    notes: tuple[str, ...] = ()
    """What else `oodkit models show` tells of the model, a sentence each."""
