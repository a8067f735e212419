"""Train `digits-clip`: `python -m ood_toolkit.learning.digits_clip.train --output FILE`.

The images are the train split of `digits`, turned, shifted and scaled, and shapes drawn here; the prompts are
composed at random around a class name. A step has three losses:

* contrast: each image against prompts of all classes and of things that are in no image, and each prompt
  against all images;
* "no" prompts, as in CLIPN (arXiv 2308.12213): sigmoid(yes - no) tells whether an image is of the class;
* outliers, as in outlier exposure (arXiv 1812.04606): a shape is equally near to all digits.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch
import torch.nn.functional as F
from torch import Tensor

from ood_toolkit.data.catalogue.digits import DIGITS
from ood_toolkit.learning.digits_clip.sentences import Sentences
from ood_toolkit.learning.digits_clip.shapes import SHAPES, draw_shape
from ood_toolkit.models.digits_clip import (
    GREY_DEVIATION,
    GREY_MEAN,
    build_clip,
    build_tokenizer,
    image_to_tensor,
    save_digits_clip,
)

__all__ = ["DigitsClipRecipe", "Progress", "Trainer"]


@dataclass(frozen=True)
class DigitsClipRecipe:
    """How to train; the defaults made the shipped weights."""

    classes: tuple[str, ...] = DIGITS.classes
    """Digits to learn; the others are seen neither as images nor as names."""
    seed: int = 0
    epochs: int = 90
    """Passes over the train split."""
    batch: int = 64
    """Digits in a step; half as many shapes come along."""
    shapes: int = 300
    """Images drawn of each shape."""
    prompts: int = 3
    """Sentences of each class in a step, besides one "no" prompt."""
    others: int = 12
    """Sentences in a step of things that are in no image."""
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    smoothing: float = 0.02
    """Share of a contrast target that is spread over all classes."""
    no_weight: float = 1.5
    outlier_weight: float = 0.3


@dataclass(frozen=True)
class Progress:
    """What an epoch ended with."""

    epoch: int
    loss: float
    """Mean over the epoch's steps."""
    accuracy: float
    """On the validation images of the classes learnt, with the default prompt; 0 to 1."""


def augment(images: Tensor, rng: torch.Generator) -> Tensor:
    """Turn, slant, scale, shift and dim four of five (b, 1, 16, 16) images, filling up with black."""
    spread = torch.rand(7, len(images), generator=rng) * 2 - 1  # (7, b) in -1..1
    angle, size, narrow, slant = 0.3 * spread[0], 1 + 0.15 * spread[1], 1 + 0.1 * spread[2], 0.15 * spread[3]
    cos, sin = angle.cos() * size, angle.sin() * size
    rows = [cos * narrow, slant - sin, 0.15 * spread[4], sin, cos, 0.15 * spread[5]]
    grid = F.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(images.shape), align_corners=False)
    black = GREY_MEAN / GREY_DEVIATION
    moved = F.grid_sample(images + black, grid, align_corners=False)
    moved = moved * (0.9 + 0.15 * spread[6]).view(-1, 1, 1, 1) - black
    return torch.where(torch.rand(len(images), 1, 1, 1, generator=rng) < 0.8, moved, images)


def digit_images(split: str, classes: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Give the (n, 1, 16, 16) inputs of some digits in a split and their (n,) places in `classes`."""
    pictures = DIGITS.open(split, Path())
    assert pictures.labels is not None
    names = [DIGITS.classes[int(label)] for label in pictures.labels]
    rows = [row for row, name in enumerate(names) if name in classes]
    images = torch.stack([image_to_tensor(pictures.images[row]) for row in rows])
    return images, torch.tensor([classes.index(names[row]) for row in rows])


def shape_images(count: int, seed: int) -> Tensor:
    """Draw the (7, count, 1, 16, 16) inputs of all shapes."""
    rng = random.Random(seed)
    return torch.stack(
        [torch.stack([image_to_tensor(draw_shape(shape, rng)) for _ in range(count)]) for shape in SHAPES]
    )


class Trainer:
    """Trains one model by a recipe; the same recipe gives the same weights on the same machine."""

    def __init__(self, recipe: DigitsClipRecipe) -> None:
        self.recipe = recipe
        self.names = (*recipe.classes, *SHAPES)
        self.prompts = Sentences(recipe.seed)
        self.rng = torch.Generator().manual_seed(recipe.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.clip = build_clip()
        self.tokenizer = build_tokenizer()
        self.images, self.labels = digit_images("train", recipe.classes)
        self.shapes = shape_images(recipe.shapes, recipe.seed).flatten(0, 1)
        self.steps = recipe.epochs * math.ceil(len(self.images) / recipe.batch)
        matrices = [weight for weight in self.clip.parameters() if weight.ndim >= 2]
        vectors = [weight for weight in self.clip.parameters() if weight.ndim < 2]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": recipe.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=recipe.learning_rate,
            betas=(0.9, 0.98),
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self.rate)

    def rate(self, step: int) -> float:
        """Give the share of the learning rate at a step: a short rise, then half a cosine."""
        return min(1.0, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.steps)))

    def train(self, report: Callable[[Progress], None] = lambda progress: None) -> Any:
        """Train the `open_clip.CLIP`, telling of each epoch, and return it."""
        val_images, val_labels = digit_images("val", self.recipe.classes)
        for epoch in range(1, self.recipe.epochs + 1):
            self.clip.train()
            losses = [self.step(rows) for rows in self.batches()]
            accuracy = self.accuracy(val_images, val_labels)
            report(Progress(epoch, sum(losses) / len(losses), accuracy))
        return self.clip

    def batches(self) -> Iterator[Tensor]:
        """Give the train rows of an epoch's steps, shuffled."""
        order = torch.randperm(len(self.images), generator=self.rng)
        for start in range(0, len(order), self.recipe.batch):
            yield order[start : start + self.recipe.batch]

    def step(self, rows: Tensor) -> float:
        """Learn from some digits and half as many shapes, and return the loss."""
        drawn = torch.randint(len(self.shapes), (len(rows) // 2,), generator=self.rng)
        labels = torch.cat([self.labels[rows], drawn // self.recipe.shapes + len(self.recipe.classes)])
        images = augment(torch.cat([self.images[rows], self.shapes[drawn]]), self.rng)
        image_rows = F.normalize(self.clip.encode_image(images.expand(-1, 3, -1, -1)), dim=-1)
        loss = self.loss(image_rows, labels, len(rows), *self.text_rows())
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.clip.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        with torch.no_grad():
            self.clip.logit_scale.clamp_(0, math.log(100))
        return loss.item()

    def text_rows(self) -> tuple[Tensor, Tensor, Tensor]:
        """Embed fresh prompts as unit rows: yes (p, k, d), no (k, d), others (r, d)."""
        progress = self.schedule.last_epoch / self.steps
        self.prompts.bare = max(0.1, 1 - 5 * progress)  # names are learnt alone, then among other words
        words = 8 if torch.rand((), generator=self.rng) < 0.15 else 3
        names = self.names * self.recipe.prompts
        texts = [self.prompts.yes(name, words) for name in names]
        texts += [self.prompts.no(name, words) for name in self.names]
        texts += [self.prompts.other(words) for _ in range(self.recipe.others)]
        rows = F.normalize(encode_short(self.clip, self.tokenizer(texts)), dim=-1)
        yes, no = rows[: len(names)], rows[len(names) : -self.recipe.others]
        return yes.view(self.recipe.prompts, len(self.names), -1), no, rows[-self.recipe.others :]

    def loss(self, images: Tensor, labels: Tensor, digits: int, yes: Tensor, no: Tensor, others: Tensor) -> Tensor:
        """Sum the losses of (b, d) image rows with (b,) labels, of which the first `digits` are digits."""
        scale = self.clip.logit_scale.exp()
        yes_logits, no_logits = scale * (images @ yes.mT), scale * (images @ no.mT)  # (p, b, k), (b, k)
        right = F.one_hot(labels, len(self.names)).float()  # (b, k)

        target = labels.expand(len(yes), -1)
        other_logits = (scale * images[:digits] @ others.T).expand(len(yes), -1, -1)
        beside = torch.cat([yes_logits[:, :digits], other_logits], dim=2)
        to_text = F.cross_entropy(yes_logits.mT, target, label_smoothing=self.recipe.smoothing)
        to_others = F.cross_entropy(beside.mT, target[:, :digits])
        to_image = -(yes_logits.log_softmax(1) * right).sum(1).div(right.sum(0).clamp(min=1)).mean()

        unsure = F.softplus(no_logits - yes_logits).mean(0)  # -log sigmoid(yes - no), (b, k)
        sure = F.softplus(yes_logits - no_logits).mean(0)
        no_loss = (unsure * right).sum() / right.sum() + (sure * (1 - right)).sum() / (1 - right).sum()

        outlier_loss = -yes_logits[:, digits:, : len(self.recipe.classes)].log_softmax(2).mean()
        total: Tensor = to_text + 0.5 * to_others + 0.5 * to_image + self.recipe.no_weight * no_loss
        total += self.recipe.outlier_weight * outlier_loss
        return total

    def accuracy(self, images: Tensor, labels: Tensor) -> float:
        """Give the share of images that are nearest to their own class, with the default prompt."""
        self.clip.eval()
        tokens = self.tokenizer([DIGITS.templates[0].format(name) for name in self.recipe.classes])
        with torch.no_grad():
            texts = F.normalize(encode_short(self.clip, tokens), dim=-1)
            nearest = (self.clip.encode_image(images.expand(-1, 3, -1, -1)) @ texts.T).argmax(1)
        return float((nearest == labels).float().mean())


def encode_short(clip: Any, tokens: Tensor) -> Tensor:
    """Do what `clip.encode_text` does with (m, 77) tokens, but without the padding, which is most of them."""
    last = tokens.argmax(1)
    length = int(last.max()) + 1
    x = clip.token_embedding(tokens[:, :length]) + clip.positional_embedding[:length]
    x = clip.ln_final(clip.transformer(x, attn_mask=clip.attn_mask[:length, :length]))
    rows: Tensor = x[torch.arange(len(x)), last] @ clip.text_projection
    return rows


@click.command()
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to write.")
@click.option("--classes", default=",".join(DIGITS.classes), show_default=True, help="Digits to learn.")
@click.option("--seed", default=DigitsClipRecipe.seed, show_default=True, help="Of weights, shapes, prompts and order.")
@click.option(
    "--epochs", default=DigitsClipRecipe.epochs, show_default=True, type=click.IntRange(1), help="Passes to make."
)
def main(output: Path, classes: str, seed: int, epochs: int) -> None:
    """Train digits-clip on the train split and write its weights; progress goes to stderr."""
    wanted = {name.strip() for name in classes.split(",")}
    if unknown := wanted - set(DIGITS.classes):
        raise click.BadParameter(f"no digit is called {', '.join(sorted(unknown))}", param_hint="--classes")
    if len(wanted) < 2:
        raise click.BadParameter("at least two digits are needed", param_hint="--classes")
    names = tuple(name for name in DIGITS.classes if name in wanted)
    recipe = DigitsClipRecipe(classes=names, seed=seed, epochs=epochs)

    def report(progress: Progress) -> None:
        result = f"loss {progress.loss:.3f}  val accuracy {progress.accuracy:.3f}"
        click.echo(f"epoch {progress.epoch}/{epochs}  {result}", err=True)

    clip = Trainer(recipe).train(report)
    save_digits_clip(clip, output, classes=names, seed=seed, epochs=epochs)


if __name__ == "__main__":
    main()
