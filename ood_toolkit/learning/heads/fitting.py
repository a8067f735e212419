"""`Part`: what a head is trained and validated on: rows of the training outputs, and outputs that it has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ood_toolkit.errors import OutputsError, TrainingError
from ood_toolkit.learning.heads.recipe import HeadRecipe
from ood_toolkit.learning.heads.steps import TrainingRows
from ood_toolkit.outputs import Outputs

__all__ = ["Part", "parts_of"]


@dataclass(frozen=True, eq=False)
class Part:
    """Rows to train on, and outputs to validate on."""

    rows: TrainingRows
    val: Outputs
    seen: Tensor
    """The rows (m, d) of `val` as the layer takes them."""
    truth: Tensor
    """The class (m,) of each."""


def parts_of(
    recipe: HeadRecipe, train: Outputs, val: Outputs | None, names: tuple[str, ...]
) -> tuple[list[Part], TrainingRows, str]:
    """Give what is trained and validated on, the rows of the final head, and in words what serves for validation."""
    x, y = _taken(recipe, train, names, "train")
    whole = TrainingRows(x, y, len(names))
    if val is not None:
        seen, truth = _taken(recipe, val, names, "val")
        if seen.shape[1] != x.shape[1]:
            raise OutputsError(f"val: expected width {x.shape[1]} as train has, got {seen.shape[1]}")
        return [Part(whole, _bare(val, truth), seen, truth)], whole, "given"
    folds = _folds(y, recipe)
    if recipe.val_split is not None:
        kept = torch.nonzero(~folds[0]).squeeze(1)
        part = _part(whole, train, kept, torch.nonzero(folds[0]).squeeze(1))
        said = f"stratified {100 * recipe.val_split:g} % of the training split, seed {recipe.seed}"
        return [part], part.rows, said
    places = [(torch.nonzero(~fold).squeeze(1), torch.nonzero(fold).squeeze(1)) for fold in folds]
    said = f"{recipe.folds} stratified folds of the training split, seed {recipe.seed}"
    return [_part(whole, train, *place) for place in places], whole, said


def _part(whole: TrainingRows, train: Outputs, kept: Tensor, held: Tensor) -> Part:
    rows = TrainingRows(whole.x[kept], whole.y[kept], whole.classes)
    return Part(rows, _bare(train[held], whole.y[held]), whole.x[held], whole.y[held])


def _bare(x: Outputs, labels: Tensor) -> Outputs:
    return Outputs(features=x.features, labels=labels)


def _taken(recipe: HeadRecipe, x: Outputs, names: tuple[str, ...], what: str) -> tuple[Tensor, Tensor]:
    """Give the rows (n, d) as the layer takes them, and their labels (n,)."""
    if x.features is None or x.labels is None:
        raise OutputsError(
            f"{what}: expected features and labels, got {'no' if x.features is None else 'only'} features"
        )
    strange = int(((x.labels < 0) | (x.labels >= len(names))).sum())
    if strange:
        raise OutputsError(
            f"{what}: expected labels 0 ... {len(names) - 1}, one of {len(names)} classes, got {strange} rows of none "
            "of them; leave those out"
        )
    rows = x.embeddings if recipe.input == "embeddings" else x.features
    return (rows.float() * recipe.scale).contiguous(), x.labels


def _folds(labels: Tensor, recipe: HeadRecipe) -> list[Tensor]:
    """Give masks (n,) of the rows that are validated on, so that each class is spread evenly over them."""
    rng, truth = np.random.default_rng(recipe.seed), labels.cpu().numpy()
    count = recipe.folds if recipe.val_split is None else 1
    if len(truth) < 2 * count:
        raise TrainingError(f"train: expected at least {2 * count} rows to validate on some of them, got {len(truth)}")
    places = [rng.permutation(np.flatnonzero(truth == value)) for value in np.unique(truth)]
    order = np.concatenate([places[i] for i in rng.permutation(len(places))])
    numbers = np.empty(len(truth), dtype=np.int64)
    if recipe.val_split is None:
        numbers[order] = np.arange(len(order)) % count
    else:
        steps = np.floor(np.arange(len(order) + 1) * recipe.val_split + 0.5)
        numbers[order] = 1 - np.diff(steps).astype(np.int64)
    masks = [torch.from_numpy(numbers == fold).to(labels.device) for fold in range(count)]
    if not all(bool(mask.any()) and not bool(mask.all()) for mask in masks):
        raise TrainingError(
            f"train: {len(truth)} rows are too few to hold out {recipe.val_split} of them for validation"
        )
    return masks
