"""open_clip's own text tower, run from embedded tokens, and the second one that CLIPN puts beside it."""

from __future__ import annotations

import copy
from typing import Any

import torch
from open_clip.model import CLIP
from torch import Tensor, nn

__all__ = ["add_no_tower", "embed_no", "embed_texts", "embed_with_context", "is_plain"]

NO = "_no"
"""What the names of CLIPN's second tower end in."""


def is_plain(clip: Any) -> bool:
    """Tell whether a network's text tower is that of OpenAI's CLIP: causal, pooled where the text ends, projected."""
    return (
        isinstance(clip, CLIP)
        and clip.text_pool_type == "argmax"
        and isinstance(clip.text_projection, nn.Parameter)
        and clip.attn_mask is not None
        and len(clip.positional_embedding) == clip.context_length
    )


def embed_with_context(clip: Any, tokens: Tensor, vectors: Tensor) -> Tensor:
    """Embed texts (m, t) with learned vectors (n, w) or (m, n, w) for their tokens 1 to n: (m, d) rows."""
    n = vectors.shape[-2]
    held = clip.token_embedding(tokens)  # (m, t, w)
    learned = vectors.to(held).expand(len(tokens), -1, -1)
    return _run(clip, torch.cat([held[:, :1], learned, held[:, 1 + n :]], dim=1), tokens)


def embed_texts(clip: Any, tokens: Tensor) -> Tensor:
    """Embed texts (m, t) without the padding behind the longest: (m, d) rows."""
    tokens = _without_padding(tokens)
    return _run(clip, clip.token_embedding(tokens), tokens)


def add_no_tower(clip: Any, prompts: int | None) -> None:
    """Put a second text tower into a network under CLIPN's names, and `prompt_no` (prompts, t, w) where it learnt such.

    Its weights are those of the first until others are loaded.
    """
    for name in ("token_embedding", "positional_embedding", "transformer", "ln_final", "text_projection"):
        setattr(clip, name + NO, copy.deepcopy(getattr(clip, name)))
    clip.prompt_no = None
    if prompts is not None:
        clip.prompt_no = nn.Parameter(torch.zeros(prompts, *clip.positional_embedding.shape))


def embed_no(clip: Any, tokens: Tensor, drawn: Tensor | None = None) -> Tensor:
    """Embed texts (m, t) with CLIPN's second tower, its learned prompts added everywhere: (m, d) rows.

    What is added is their mean, or, in training, for each text the one that was `drawn` (m,): 0 to p - 1 for one of the
    p prompts, p for the mean.
    """
    tokens = _without_padding(tokens)
    held = clip.token_embedding_no(tokens)  # (m, t, w)
    if clip.prompt_no is not None:
        added = clip.prompt_no[:, : tokens.shape[1]]  # (p, t, w)
        mean = added.mean(dim=0, keepdim=True)
        held = held + (mean if drawn is None else torch.cat([added, mean])[drawn])
    return _run(clip, held, tokens, NO)


def _without_padding(tokens: Tensor) -> Tensor:
    """Leave out the padding behind the longest text, which a causal tower never looks at."""
    return tokens[:, : int(tokens.argmax(dim=-1).max()) + 1]


def _run(clip: Any, held: Tensor, tokens: Tensor, tower: str = "") -> Tensor:
    """Run a text tower as open_clip's `encode_text` does, from embedded tokens (m, t, w) on."""
    length = held.shape[1]
    held = held + getattr(clip, f"positional_embedding{tower}")[:length]
    held = getattr(clip, f"transformer{tower}")(held, attn_mask=clip.attn_mask[:length, :length])
    held = getattr(clip, f"ln_final{tower}")(held)
    last = held[
        torch.arange(len(tokens), device=held.device), tokens.argmax(dim=-1)
    ]  # the end token has the highest id
    return last @ getattr(clip, f"text_projection{tower}")
