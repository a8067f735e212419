"""Context vectors in place of a prompt: CoOp, Zhou et al., IJCV 2022, arXiv 2109.01134; LoCoOp, arXiv 2306.01293."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ood_toolkit.api.model import Model
from ood_toolkit.errors import ModelError, TrainingError
from ood_toolkit.learning.loop import Batch, Epoch, Plan, Task, seeded
from ood_toolkit.learning.prompts.frozen import FrozenTower
from ood_toolkit.learning.prompts.loss import is_outside, patch_entropy
from ood_toolkit.models.contexts import Context
from ood_toolkit.models.precision import autocast
from ood_toolkit.models.text_tower import embed_with_context, is_plain
from ood_toolkit.outputs.head import normalise

__all__ = ["CROP", "PLAN", "ContextRecipe", "Contexts", "Examples", "check_learnable", "with_warmup"]

PLAN = Plan(epochs=50, batch=32, learning_rate=2e-3, optimizer="sgd", momentum=0.9, weight_decay=5e-4, warmup_rate=1e-5)
"""Of both papers; the weight decay is the default of the trainer that their code is built on."""
CROP = (0.08, 1.0)
"""Share of a picture's area that a crop keeps, as in that trainer."""
DEVIATION = 0.02
"""Of the vectors at the start."""
TOP_SHARE = 5
"""K is a fifth of the classes unless it is given: LoCoOp's 200 of ImageNet's 1,000."""


@dataclass(frozen=True)
class ContextRecipe:
    """What is learnt; the defaults are the papers'."""

    method: Literal["coop", "locoop"] = "coop"
    length: int = 16
    """Context vectors before a class name, n."""
    class_specific: bool = False
    """Whether each class has vectors of its own."""
    entropy_weight: float = 0.25
    """LoCoOp's lambda."""
    top: int | None = None
    """LoCoOp's K; None for a fifth of the classes, at least 1."""
    seed: int = 0

    def top_of(self, classes: int) -> int:
        """Give K for so many classes; `TrainingError` where it does not lie below their number."""
        top = max(1, classes // TOP_SHARE) if self.top is None else self.top
        if self.method == "locoop" and not 0 < top < classes:
            raise TrainingError(
                f"--topk: expected a number below the {classes} classes, got {top}; leave it out for a fifth"
            )
        return top


@dataclass(frozen=True, eq=False)
class Examples:
    """Images with labels: n of them, through a frozen tower."""

    tower: FrozenTower
    labels: Tensor
    """(n,) int64."""


def with_warmup(plan: Plan, rows: int, warmup: int | None) -> Plan:
    """Let a plan warm up for one epoch of so many examples, or for the steps that are given."""
    return replace(plan, warmup=rows // min(plan.batch, rows) if warmup is None else warmup)


def check_learnable(model: Any, class_names: Sequence[str], recipe: ContextRecipe) -> None:
    """Refuse a model that context vectors cannot be learnt for, and vectors of classes that share a name."""
    fits = hasattr(model, "put_context") and not model.has_no_tower and is_plain(model.clip)
    if not fits or "SimpleTokenizer" not in model.tokenizer:
        raise ModelError(
            f"{model.name}: expected a text tower like OpenAI's CLIP with open_clip's tokenizer, for context vectors "
            "take the place of its tokens; name another model"
        )
    most = len(model.clip.positional_embedding) - 3  # the start, the end, and at least one token of a name
    if recipe.length > most:
        raise TrainingError(f"--context: expected at most {most} vectors before a class name, got {recipe.length}")
    if model.learned_prompt:
        raise ModelError(f"{model.name}: its prompt is learned already; leave out context=")
    if recipe.method == "locoop" and "local" not in model.kinds:
        raise ModelError(
            f"{model.name}: has no patch embeddings (it gives {', '.join(model.kinds)}); use --method coop"
        )
    if len(class_names) < 2:
        raise TrainingError(f"expected at least 2 classes to tell apart, got {len(class_names)}")
    if recipe.class_specific and len(set(class_names)) < len(class_names):
        twice = next(name for name in class_names if class_names.count(name) > 1)
        raise TrainingError(
            f"--class-specific: class name {twice!r} occurs twice, so vectors cannot go by name; leave it out"
        )


class Contexts(Task):
    """Context vectors by the images of each class; both towers stay as they are.

    CoOp: L = CE(z, y) with z = scale * v . t of the image embedding v and the class embeddings t, unit rows, which the
    text tower gives of "V1 ... Vn class name.". LoCoOp: L = CE(z, y) - lambda * H, with H the mean entropy of
    softmax(scale * l . t) over the patches l of the batch whose label is not among the K most probable classes.
    """

    def __init__(
        self,
        model: Model,
        class_names: Sequence[str],
        recipe: ContextRecipe,
        train: Examples,
        val: tuple[Tensor, Tensor] | None = None,
        precision: str = "fp32",
    ) -> None:
        check_learnable(model, class_names, recipe)
        self.model, self.recipe, self.train, self.val, self.precision = model, recipe, train, val, precision
        self.rows, self.scale = len(train.labels), model.scale
        self.top = recipe.top_of(len(class_names))
        self.clip: Any = model.clip  # type: ignore[attr-defined]
        self.device = self.clip.logit_scale.device
        width = self.clip.positional_embedding.shape[1]
        shape = (len(class_names), recipe.length, width) if recipe.class_specific else (recipe.length, width)
        drawn = torch.randn(shape, generator=seeded("context", recipe.seed)) * DEVIATION
        self.vectors = nn.Parameter(drawn.to(self.device))
        self.tokens = _tokens(model, class_names, recipe.length).to(self.device)

    def parameters(self) -> Mapping[str, nn.Parameter]:
        """Name the vectors as the authors' checkpoints do."""
        return {"ctx": self.vectors}

    def prepare(self, rows: Sequence[int], epoch: int) -> Batch:
        """Load some images with their labels."""
        batch = self.train.tower.prepare(rows, epoch)
        return {**batch, "labels": self.train.labels[batch["rows"]]}

    def embed(self, batch: Batch) -> Batch:
        """Run the frozen image tower."""
        return {**self.train.tower.embed(batch), "labels": batch["labels"]}

    def texts(self) -> Tensor:
        """Embed the classes under the vectors as they are, (k, d) unit rows."""
        with autocast(self.device, self.precision):
            rows = embed_with_context(self.clip, self.tokens, self.vectors)
        return F.normalize(rows.float(), dim=-1)

    def loss(self, held: Batch) -> dict[str, Tensor]:
        """Give the loss of a batch, its parts and the accuracy."""
        texts, labels = self.texts(), held["labels"]
        logits = self.scale * normalise(held["features"]) @ texts.T
        match = F.cross_entropy(logits, labels)
        shown = {"accuracy": (logits.detach().argmax(dim=1) == labels).float().mean()}
        if self.recipe.method == "coop":
            return {"loss": match, **shown}
        patches = self.scale * normalise(held["local"]) @ texts.T  # (b, r, k)
        outside = is_outside(patches.detach(), labels, self.top)
        entropy = patch_entropy(patches, outside)
        loss = match - self.recipe.entropy_weight * entropy
        return {"loss": loss, "match": match, "entropy": entropy, "outside": outside.float().mean(), **shown}

    def validate(self) -> Epoch:
        """Give the accuracy on images that are not learnt from."""
        if self.val is None:
            return {}
        features, labels = self.val
        with torch.no_grad():
            found = (normalise(features.to(self.device)) @ self.texts().T).argmax(dim=1)
        return {"val_accuracy": float((found.cpu() == labels).double().mean())}


def _tokens(model: Any, class_names: Sequence[str], length: int) -> Tensor:
    """Write the texts whose tokens 1 to n the vectors replace, (k, t), without the padding behind the longest."""
    tokens = model.tokenize(Context(torch.zeros(length, 1), (), ".", "").sentences(class_names))
    return tokens[:, : int(tokens.argmax(dim=-1).max()) + 1]
