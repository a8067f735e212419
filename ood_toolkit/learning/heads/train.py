"""`train_head`: a linear head on the rows of a frozen model, with class-wise confidence thresholds from validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ood_toolkit.errors import OutputsError
from ood_toolkit.learning.heads.fitting import Part, parts_of
from ood_toolkit.learning.heads.recipe import RECIPES, HeadRecipe
from ood_toolkit.learning.heads.steps import CLOSE, EXACT, ROUGH, Layer, TrainingRows, one_thread
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.thresholds import class_thresholds

__all__ = ["RECIPES", "HeadEpoch", "HeadRecipe", "TrainedHead", "train_head"]

Progress = Callable[..., None]


@dataclass(frozen=True, eq=False)
class HeadEpoch:
    """What held at the end of an epoch; epoch 0 is before the first."""

    epoch: int
    loss: float
    """Mean cross-entropy on the training rows, without weight decay."""
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    thresholds: np.ndarray
    """(k,) float64: confidence from which an image of that predicted class is taken for in-distribution."""

    def flat(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Give everything in one level, each class's threshold as `threshold NAME`."""
        values = {k: v for k, v in self.__dict__.items() if k != "thresholds"}
        named = zip(class_names, self.thresholds.tolist(), strict=True)
        return values | {f"threshold {name}": cut if np.isfinite(cut) else None for name, cut in named}


@dataclass(frozen=True, eq=False)
class TrainedHead:
    """A linear head and how it came about."""

    head: Head
    """Takes unit rows if the recipe's input is embeddings; what rows were multiplied by is in its weight."""
    thresholds: np.ndarray
    """(k,) float64: those of the epoch that was kept."""
    history: tuple[HeadEpoch, ...]
    epoch: int
    """The epoch that was kept."""
    weight_decay: float
    searched: tuple[tuple[float, float], ...]
    """Weight decays that were tried, each with its validation accuracy; empty where it was given."""
    validation: str
    """Which rows were validated on, in words."""
    recipe: HeadRecipe
    notes: tuple[str, ...] = ()

    @property
    def kept(self) -> HeadEpoch:
        """What held at the end of the epoch that was kept."""
        return self.history[self.epoch]


@dataclass(frozen=True, eq=False)
class _Trial:
    """What one weight decay gave on validation."""

    decay: float
    watched: tuple[tuple[float, float, np.ndarray], ...]
    """Accuracy, loss and class-wise thresholds on validation before the first epoch and after each."""
    layers: tuple[Layer, ...]
    """Of the only part, before the first epoch and after each; empty where there are several parts."""
    best: int

    @property
    def merit(self) -> tuple[float, float]:
        """Accuracy and, since a weak decay often ties with a strong one that is sure of nothing, the loss."""
        accuracy, loss, _ = self.watched[self.best]
        return accuracy, -loss


def train_head(
    recipe: HeadRecipe,
    train: Outputs,
    val: Outputs | None = None,
    *,
    class_names: Sequence[str] | None = None,
    progress: Progress = lambda *told: None,
) -> TrainedHead:
    """Train a linear head on the features of ID training outputs; the model that gave them is not touched.

    `train` and `val` need features and labels; their heads, if any, are not looked at but for class names. Without
    `val`, the recipe's folds, or its share of the rows, serve for validation. With folds the head is trained on all
    rows with what the folds chose; validation columns of the history, and the thresholds, are then of the folds'
    heads, each on rows that it has not seen. Same recipe, rows and machine: same bytes (small problems are computed in
    one thread; for large ones the number of threads must be the same too). `class_names` (k,) are what labels stand for
    where the outputs do not say; `progress` is told what is done, how much of it, and of how much.
    Raises `OutputsError` where features or labels are missing or of another width, `TrainingError` for too few rows.
    """
    names = _names(train, class_names)
    parts, whole, where = parts_of(recipe, train, val, names)
    with one_thread(whole):
        decays = whole.decays(recipe)
        tried = _search(recipe, parts, decays, progress) if len(decays) > 1 else []
        decay = max(tried, key=lambda one: one.merit).decay if tried else decays[0]
        trial = _try(recipe, parts, decay, EXACT if len(parts) == 1 else CLOSE, progress)
        stopped = None if recipe.patience is None else len(trial.watched) - 1
        layers = trial.layers or _followed(whole.epochs(recipe, decay), recipe, stopped, progress)
        history = tuple(_history(whole, layers, trial.watched))
    last = trial.best if trial.layers or recipe.patience is not None else len(history) - 1
    chosen = layers[min(last, len(layers) - 1)]
    head = Head.linear(chosen.weight * recipe.scale, chosen.bias, names, unit_rows=recipe.input == "embeddings")
    searched = tuple((one.decay, one.merit[0]) for one in tried)
    return TrainedHead(
        head, history[last].thresholds, history, last, decay, searched, where, recipe, _notes(whole, names)
    )


def _names(train: Outputs, given: Sequence[str] | None) -> tuple[str, ...]:
    names = given if given is not None else train.class_names
    if names is None:
        raise OutputsError("train_head: expected class_names, got outputs that have none; pass class_names")
    if len(names) < 2:
        raise OutputsError(f"train_head: expected at least 2 classes, got {len(names)}")
    return tuple(str(name) for name in names)


# -- trials -----------------------------------------------------------------------------------------------------------


def _search(recipe: HeadRecipe, parts: Sequence[Part], decays: Sequence[float], progress: Progress) -> list[_Trial]:
    """Try weight decays; the best is that of the highest validation accuracy, a tie going to the lower loss."""
    tried: dict[float, _Trial] = {}

    def best(of: Sequence[float]) -> float:
        for decay in of:
            if decay not in tried:
                progress("searching weight decay", len(tried), 0)
                tried[decay] = _try(recipe, parts, decay, ROUGH)
        return max(of, key=lambda decay: tried[decay].merit)

    if recipe.optimizer != "lbfgs":
        best(decays)
    else:
        first, last = len(decays) // 2 - 1, len(decays) // 2 + 2
        while (found := best(decays[first:last])) in (decays[first], decays[last - 1]):
            beyond = (first - (found == decays[first]), last + (found == decays[last - 1]))
            if beyond[0] < 0 or beyond[1] > len(decays):
                break
            first, last = beyond
        best([found * 10**0.5, found * 10**-0.5])
    return sorted(tried.values(), key=lambda one: -one.decay)


def _try(
    recipe: HeadRecipe,
    parts: Sequence[Part],
    decay: float,
    tolerance: float,
    progress: Progress = lambda *told: None,
) -> _Trial:
    """Train on all parts side by side; what is seen of them on validation is put together, epoch by epoch."""
    runs = [part.rows.epochs(recipe, decay, tolerance) for part in parts]
    searching = tolerance == ROUGH
    watched: list[tuple[float, float, np.ndarray]] = []
    kept: list[Layer] = []
    held = [next(run) for run in runs]
    thresholds = np.full(parts[0].rows.classes, recipe.initial_threshold)
    best = 0
    for epoch, layers in enumerate(_side_by_side(held, runs)):
        accuracy, loss = _seen(parts, layers)
        if epoch and not searching:
            thresholds = _mixed(recipe.ema, thresholds, _thresholds(recipe, parts, layers))
        watched.append((accuracy, loss, thresholds))
        if not searching:
            kept += layers if len(parts) == 1 else []
            progress("training", epoch, recipe.epochs, "epochs")
        if recipe.patience is None or (accuracy, -loss) > (watched[best][0], -watched[best][1]):
            best = epoch
        elif epoch - best >= recipe.patience:
            break
    return _Trial(decay, tuple(watched), tuple(kept), best)


def _side_by_side(first: list[Layer], runs: Sequence[Iterator[Layer]]) -> Iterator[list[Layer]]:
    """Walk several runs epoch by epoch; one that has converged stays where it is."""
    yield first
    for layers in zip_longest(*runs):
        first = [old if new is None else new for old, new in zip(first, layers, strict=True)]
        yield first


def _seen(parts: Sequence[Part], layers: Sequence[Layer]) -> tuple[float, float]:
    """Give accuracy and mean cross-entropy on the validation rows of all parts."""
    right, loss, rows = 0, 0.0, 0
    for part, layer in zip(parts, layers, strict=True):
        a, b = _told(layer, part.seen, part.truth)
        right, loss, rows = right + a, loss + b, rows + len(part.seen)
    return right / rows, loss / rows


def _told(layer: Layer, rows: Tensor, labels: Tensor) -> tuple[int, float]:
    """Count the rows that a layer puts right, and sum its cross-entropy."""
    logits = layer.logits(rows)
    return int((logits.argmax(dim=1) == labels).sum()), float(cross_entropy(logits.double(), labels, reduction="sum"))


def _thresholds(recipe: HeadRecipe, parts: Sequence[Part], layers: Sequence[Layer]) -> np.ndarray:
    """Apply the rule to the confidences on the validation rows of all parts, as the scorer `classwise` does."""
    found = []
    for part, layer in zip(parts, layers, strict=True):
        head = Head.linear(layer.weight * recipe.scale, layer.bias, unit_rows=recipe.input == "embeddings")
        x = Outputs(part.val.features, labels=part.val.labels, head=head)
        found.append((x.confidence, x.prediction, x.right))
    confidence, prediction, right = (torch.cat(list(column)) for column in zip(*found, strict=True))
    return class_thresholds(recipe.rule, confidence, prediction, parts[0].rows.classes, right, recipe.target).values


def _mixed(share: float, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Keep a share of the old thresholds; minus infinity, which promises nothing, is no number to keep a share of."""
    return new if share == 0 else np.where(np.isfinite(old), share * old + (1 - share) * new, new)


def _followed(run: Iterator[Layer], recipe: HeadRecipe, epochs: int | None, progress: Progress) -> tuple[Layer, ...]:
    """Train on all rows, for as many epochs as the folds were where these stopped early."""
    layers = []
    for epoch, layer in enumerate(islice(run, None if epochs is None else epochs + 1)):
        layers.append(layer)
        progress("training on all rows", epoch, recipe.epochs, "epochs")
    return tuple(layers)


def _history(
    rows: TrainingRows, layers: Sequence[Layer], watched: Sequence[tuple[float, float, np.ndarray]]
) -> Iterator[HeadEpoch]:
    """Put training and validation side by side; what converged earlier stays as it was."""
    for epoch in range(max(len(layers), len(watched))):
        if epoch < len(layers):
            right, loss = _told(layers[epoch], rows.x, rows.y)
        accuracy, val_loss, thresholds = watched[min(epoch, len(watched) - 1)]
        yield HeadEpoch(epoch, loss / len(rows.x), right / len(rows.x), val_loss, accuracy, thresholds)


def _notes(rows: TrainingRows, names: Sequence[str]) -> tuple[str, ...]:
    counts = torch.bincount(rows.y, minlength=len(names))
    empty = [name for name, count in zip(names, counts.tolist(), strict=True) if not count]
    if not empty:
        return ()
    return (f"{len(empty)} of {len(names)} classes have no training image, such as {empty[0]!r}",)
