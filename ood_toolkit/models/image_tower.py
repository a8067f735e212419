"""Several kinds of output of an open_clip image tower from one pass: features, what is projected, and local ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import get_ident
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import Tensor, nn

from ood_toolkit.errors import ModelError
from ood_toolkit.outputs.head import Head, normalise

__all__ = ["Towered", "asked_of", "kinds_of", "largest_local_softmax", "run_tower"]

COSINES_AT_ONCE = 1 << 24
"""Of patches with classes; bounds the memory of local scores."""


class Towered(Protocol):
    """A model whose image tower `run_tower` can run."""

    name: str
    kinds: tuple[str, ...]

    def run(self, batch: Tensor, kinds: Sequence[str]) -> dict[str, Tensor]:
        """Give what `run_tower` gives of a batch of inputs."""


def asked_of(model: Towered, batch: Tensor, kinds: Sequence[str], head: Head | None) -> dict[str, Tensor]:
    """Give the features and other kinds of output of one pass, float32, as `Model.encode` says."""
    for kind in kinds:
        if kind not in model.kinds:
            raise ModelError(f"{model.name}: cannot give {kind!r}; it has {', '.join(model.kinds)}")
    if "local" in kinds and head is None:
        raise ModelError(f"{model.name}: local scores are of patches with class texts; give a head")
    found = model.run(batch, kinds)
    if "local" in kinds and head is not None:
        found["local"] = largest_local_softmax(found["local"], head)
    return {kind: found[kind].float() for kind in dict.fromkeys(["features", *kinds])}


def kinds_of(visual: nn.Module) -> tuple[str, ...]:
    """Say what `run_tower` can give of a tower."""
    if isinstance(visual, VisionTransformer):
        last = visual.transformer.resblocks[-1]
        plain = visual.attn_pool is None and visual.pool_type == "tok" and visual.proj is not None
        if plain and not visual.output_tokens and isinstance(last, ResidualAttentionBlock):
            return ("features", "pre_projection", "local")
    if isinstance(visual, ModifiedResNet):
        return ("features", "local")
    if isinstance(visual, TimmModel) and _projection(visual) is not None:
        return ("features", "pre_projection")
    return ("features",)


def run_tower(visual: Any, batch: Tensor, kinds: Sequence[str]) -> dict[str, Tensor]:
    """Run a tower once; `local` is (b, r, d) embeddings of the r patches, the others are (b, width) rows."""
    if isinstance(visual, VisionTransformer):
        return _run_transformer(visual, batch, kinds)
    if isinstance(visual, ModifiedResNet):
        with _kept(visual.layer4) as (_, left):
            features = visual(batch)
        pool, cells = visual.attnpool, left[0].flatten(2).transpose(1, 2)  # (b, r, w)
        return {"features": features, "local": pool.c_proj(pool.v_proj(cells))}
    with _kept(_projection(visual)) as (entered, _):
        features = visual(batch)
    return {"features": features, "pre_projection": entered[0]}


def largest_local_softmax(local: Tensor, head: Head) -> Tensor:
    """Give max over patches and classes of softmax at temperature 1 of cosines, (b,) float32, of (b, r, d)."""
    images = max(1, COSINES_AT_ONCE // (local.shape[1] * head.classes))
    parts = []
    for some in torch.split(local.float(), images):
        cosine = head.cosine(normalise(some.flatten(0, 1)))  # (b r, k)
        share = (cosine.amax(dim=1) - cosine.logsumexp(dim=1)).exp()
        parts.append(share.view(len(some), -1).amax(dim=1))
    return torch.cat(parts)


def _run_transformer(visual: Any, batch: Tensor, kinds: Sequence[str]) -> dict[str, Tensor]:
    """Run a vision transformer as its `forward` does, and the last block again where each patch sees itself alone."""
    last = visual.transformer.resblocks[-1]
    with _kept(last) as (entered, _):
        pooled, _ = visual._pool(visual.transformer(visual._embeds(batch)))
    found = {"features": pooled @ visual.proj, "pre_projection": pooled}
    if "local" in kinds:
        x = entered[0] if visual.transformer.batch_first else entered[0].transpose(0, 1)
        x = x[:, 1:]  # (b, r, w), the class token left out
        attention, width = last.attn, x.shape[-1]
        values = F.linear(last.ln_1(x), attention.in_proj_weight[-width:], attention.in_proj_bias[-width:])
        u = x + last.ls_1(attention.out_proj(values))
        u = u + last.ls_2(last.mlp(last.ln_2(u)))
        found["local"] = visual.ln_post(u) @ visual.proj
    return found


def _projection(visual: Any) -> nn.Module | None:
    """Find the projection of a timm tower: its last layer, unless the trunk projects by itself."""
    return getattr(visual.head, "proj", None) or getattr(visual.head, "mlp", None)


@contextmanager
def _kept(module: nn.Module | None) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Keep what enters a module and what leaves it in this thread."""
    entered: list[Tensor] = []
    left: list[Tensor] = []
    thread = get_ident()

    def keep(_: nn.Module, args: tuple[Any, ...], out: Any) -> None:
        if get_ident() == thread:
            entered.append(args[0])
            left.append(out)

    assert module is not None
    handle = module.register_forward_hook(keep)
    try:
        yield entered, left
    finally:
        handle.remove()
