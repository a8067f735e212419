"""`Model`: an image tower, a text tower and their temperature, whatever library they come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

__all__ = ["Model", "ModelEntry"]


class Model(ABC):
    """A loaded CLIP-type model in eval mode, float32."""

    name: str
    scale: float
    """exp(logit_scale): what cosines are multiplied by to give logits."""
    bias: float = 0.0
    """Added to the logits (SigLIP); 0 for CLIP."""
    fingerprint: str
    """SHA-256 of the weights file: which weights these are."""
    no_templates: tuple[str, ...] = ()
    """Prompts that the text tower was trained to read as "not this class"; empty if it was not."""

    @abstractmethod
    def preprocess(self, image: Image) -> Tensor:
        """Turn one picture into the (c, h, w) float32 input of `encode_images`."""

    @abstractmethod
    def encode_images(self, batch: Tensor) -> Tensor:
        """Embed (b, c, h, w) inputs as (b, d) float32 rows, not normalised."""

    @abstractmethod
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed m prompts as (m, d) float32 rows, not normalised."""

    @abstractmethod
    def to(self, device: str) -> Model:
        """Move the towers to a device and return this model."""


@dataclass(frozen=True)
class ModelEntry:
    """A model as the listing knows it, before anything heavy is loaded."""

    name: str
    description: str
    load: Callable[[], Model]
    embedded: bool = False
    """Whether the weights come with this package, so that it loads offline."""
    licence: str = "unknown"
    notes: tuple[str, ...] = ()
