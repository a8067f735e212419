"""`TwoTowers`: a model around a network of open_clip with an image and a text tower."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

from ood_toolkit.api.model import Model

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.models.contexts import Context
    from ood_toolkit.outputs.head import Head

__all__ = ["TwoTowers"]


class TwoTowers(Model):
    """A network `clip` of open_clip in eval mode, float32, which computes in `precision`, and its tokenizer."""

    clip: Any
    tokenize: Callable[..., Tensor]
    context: Context | None = None
    """Learned vectors that stand before each class name, in place of a prompt."""

    def inputs(self, batch: Tensor) -> Tensor:
        """Put a batch of `preprocess` into the form, and on the device, of the image tower."""
        return batch.to(self.clip.logit_scale)

    def encode_images(self, batch: Tensor) -> Tensor:
        """Embed (b, c, h, w) inputs as (b, d) float32 rows, not normalised, on the model's device."""
        with self._autocast():
            return self.clip.encode_image(self.inputs(batch), normalize=False).float()

    def encode(self, batch: Tensor, kinds: Sequence[str], head: Head | None = None) -> dict[str, Tensor]:
        """Give several kinds of output of (b, c, h, w) inputs from one pass; see `Model.encode`."""
        from ood_toolkit.models.image_tower import asked_of

        if set(kinds) <= {"features"}:
            return {"features": self.encode_images(batch)}
        return asked_of(self, batch, kinds, head)

    def run(self, batch: Tensor, kinds: Sequence[str]) -> dict[str, Tensor]:
        """Give what the image tower makes of (b, c, h, w) inputs; `local` is (b, r, d) embeddings of patches."""
        from ood_toolkit.models.image_tower import run_tower

        with self._autocast():
            return run_tower(self.clip.visual, self.inputs(batch), kinds)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed m prompts, or class names where the prompt is learned, as (m, d) float32 rows, not normalised."""
        from ood_toolkit.models.text_tower import embed_texts, embed_with_context, is_plain

        tokens = self._tokens(self._sentences(texts))
        with self._autocast():
            if self.context is None:
                embed = embed_texts if is_plain(self.clip) else type(self.clip).encode_text
                return embed(self.clip, tokens).float()
            return embed_with_context(self.clip, tokens, self.context.vectors_of(texts)).float()

    def encode_no_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed m sentences as (m, d) float32 rows, not normalised, with the "no" tower where there is one."""
        from ood_toolkit.models.text_tower import embed_no

        if not self.has_no_tower:
            return super().encode_no_texts(texts)
        tokens = self._tokens(texts)
        with self._autocast():
            return embed_no(self.clip, tokens).float()

    def overlong(self, texts: Sequence[str]) -> tuple[int, ...]:
        """Give the places of the texts that do not fit the context of the text tower, and are cut."""
        from ood_toolkit.models.tokens import overlong

        return overlong(self.tokenize, self._sentences(texts))

    def put_context(self, context: Context) -> None:
        """Let learned vectors stand before each class name from now on, in place of a prompt."""
        self.context, self.templates, self.learned_prompt = context, ("{}",), True
        self.tokenizer = f"{self.tokenizer}, {context.length} learned vectors of sha256 {context.sha256}"

    def to(self, device: str) -> Self:
        """Move the towers to a device and return this model."""
        self.clip.to(device)
        return self

    def _sentences(self, texts: Sequence[str]) -> list[str]:
        """Give what the tokenizer reads of texts: with a learned prompt, class names with room for its vectors."""
        return list(texts if self.context is None else self.context.sentences(texts))

    def _tokens(self, texts: Sequence[str]) -> Tensor:
        return self.tokenize(list(texts)).to(self.clip.logit_scale.device)

    def _autocast(self) -> Any:
        from ood_toolkit.models.precision import autocast

        return autocast(self.clip.logit_scale.device, self.precision)
