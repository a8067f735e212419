"""CMA, cross-modal alignment: Kim and Hwang, CVPR 2025, arXiv 2503.18817: both towers, drawn together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ood_toolkit.api.model import Model
from ood_toolkit.data.readers.captions import Pairs
from ood_toolkit.errors import OutputsError
from ood_toolkit.learning.cma.watch import Watched, measured
from ood_toolkit.learning.loop import Batch, Plan, Task, seeded
from ood_toolkit.learning.pictures import PictureLoader
from ood_toolkit.models.saving import check_savable

__all__ = ["PLAN", "CMARecipe", "CMATask", "cma_loss"]

PLAN = Plan(epochs=10, batch=512, learning_rate=1e-5, weight_decay=0.1, decay_vectors=True, warmup=500)
"""The reference code's, on ImageNet: AdamW that decays all parameters, a rise of 500 steps, then half a cosine."""
WEIGHT = 0.001
"""Lambda of the command in its README."""
NOT_LEARNT = ("logit_bias", "text_decoder.")
"""What of a network has no part in the loss: SigLIP's bias, CoCa's decoder."""


def cma_loss(images: Tensor, texts: Tensor, scale: Tensor | float, weight: float) -> Tensor:
    """Give the loss of n matched pairs, row i of images (n, d) with row i of texts (n, d), all unit rows.

    With S = scale * images @ texts.T, and CE the cross-entropy against the matching row:
    L = 1/2 [CE(S) + weight * mean_i(-LSE_j S_ij)] + 1/2 [CE(S.T) + weight * mean_j(-LSE_i S_ij)]
      = -mean_i S_ii + (1 - weight) / 2 * [mean_i LSE_j S_ij + mean_j LSE_i S_ij].
    The second term of each half rewards a large sum over all pairs, which draws the two kinds of rows together;
    weight = 0 is the loss of CLIP, and fine-tuning with it is FLYP (Goyal et al., CVPR 2023, arXiv 2212.00638).

    All other rows are negatives, also those of the same class. Where rows of one class have the same text that is not
    a fault: both halves are then equal, values and gradients, to the cross-entropies against all rows of the class.
    """
    if images.shape != texts.shape or images.ndim != 2:
        raise OutputsError(f"cma_loss: expected two (n, d), got {tuple(images.shape)} and {tuple(texts.shape)}")
    logits = scale * images @ texts.T  # (n, n)
    spread = logits.logsumexp(1).mean() + logits.logsumexp(0).mean()
    return (1 - weight) / 2 * spread - logits.diagonal().mean()


@dataclass(frozen=True)
class CMARecipe:
    """What decides a run beside its data and the model it begins with."""

    weight: float = WEIGHT
    """Lambda; 0 is FLYP."""
    plan: Plan = PLAN
    crop: bool = True
    """Whether a random part of each picture is taken, 0.9 to 1 of its area."""

    def about(self) -> dict[str, Any]:
        """Give every choice as plain values."""
        return {"lambda": self.weight, "crop": self.crop, **self.plan.__dict__}


class CMATask(Task):
    """Both towers of a model, and its scale, by image-caption pairs.

    The network stays in eval mode: no dropout, and batch norms keep the statistics they have. CLIP's own networks have
    neither, but for the ResNets' batch norms. `ModelError` for a model that is not of open_clip or digits-clip.
    """

    def __init__(self, model: Model, pairs: Pairs, recipe: CMARecipe, watched: Watched, threads: int) -> None:
        self.model, self.pairs, self.recipe, self.watched, self.threads = model, pairs, recipe, watched, threads
        self.clip: Any = check_savable(model).clip
        self.rows = len(pairs)
        self.loader = PictureLoader(model, pairs.items, recipe.plan.seed, crop=recipe.crop, threads=threads)

    def parameters(self) -> Mapping[str, nn.Parameter]:
        """Name all weights of both towers, and the scale."""
        named = {name: one for name, one in self.clip.named_parameters() if not name.startswith(NOT_LEARNT)}
        for parameter in named.values():
            parameter.requires_grad_(True)
        return named

    def prepare(self, rows: Sequence[int], epoch: int) -> Batch:
        """Load pictures, and draw a template for the caption of each where there are several."""
        pixels, found = self.loader.load(rows, epoch)
        count = len(self.pairs.templates)
        chosen = [self._template(row, epoch) if count > 1 else 0 for row in found]
        return {"pixels": pixels, "row": torch.tensor(found), "template": torch.tensor(chosen)}

    def _template(self, row: int, epoch: int) -> int:
        draw = seeded("template", self.recipe.plan.seed, epoch, row)
        return int(torch.randint(len(self.pairs.templates), (), generator=draw))

    def embed(self, batch: Batch) -> Batch:
        """Embed pictures and captions as unit rows, a caption that comes more than once only once."""
        asked = zip(batch["row"].tolist(), batch["template"].tolist(), strict=True)
        captions = [self.pairs.caption(row, template) for row, template in asked]
        different = {caption: place for place, caption in enumerate(dict.fromkeys(captions))}
        own, self.model.precision = self.model.precision, self.recipe.plan.precision  # to learn and to encode in
        try:
            images = self.model.encode_images(batch["pixels"]).float()
            texts = self.model.encode_texts(list(different)).float()
        finally:
            self.model.precision = own
        places = torch.tensor([different[caption] for caption in captions], device=texts.device)
        return {"images": F.normalize(images, dim=-1), "texts": F.normalize(texts, dim=-1)[places]}

    def loss(self, held: Batch) -> dict[str, Tensor]:
        """Give the loss, beside it that of CLIP on the same rows, and the scale."""
        scale = self.clip.logit_scale.exp()
        loss = cma_loss(held["images"], held["texts"], scale, self.recipe.weight)
        with torch.no_grad():
            contrast = cma_loss(held["images"], held["texts"], scale, 0.0)
        return {"loss": loss, "contrast": contrast, "scale": scale.detach()}

    def validate(self) -> dict[str, float]:
        """Measure gap, alignment and accuracy."""
        return measured(self.model, self.watched, self.threads)
