"""From names of ID sets to trained heads: what they learn from, and the folder that they are written to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ood_toolkit.benchmark.head_files import HEAD
from ood_toolkit.benchmark.settings import Settings
from ood_toolkit.encode.sets import Sets, drawn
from ood_toolkit.errors import DataError
from ood_toolkit.learning.heads.curves import plot_head
from ood_toolkit.learning.heads.train import HeadRecipe, TrainedHead, train_head
from ood_toolkit.learning.record import Record, data_fingerprint
from ood_toolkit.outputs import Outputs
from ood_toolkit.report.results import name_on_disk
from ood_toolkit.store.files import replaced_folder
from ood_toolkit.store.head_file import save_head

__all__ = ["CURVES", "HeadRun", "Material", "material", "train_heads", "write_heads"]

CURVES = "curves.png"
Progress = Callable[..., None]


@dataclass(frozen=True, eq=False)
class Material:
    """What a head of one ID set is trained and validated on."""

    name: str
    classes: tuple[str, ...]
    train: Outputs
    val: Outputs | None
    """The set's own validation; None where it has none or a share of the training images is to serve."""
    data: dict[str, dict[str, Any]]
    """By part: name of the set, its split, how many images, and their fingerprint."""


@dataclass(frozen=True, eq=False)
class HeadRun:
    """The trained head of one ID set."""

    material: Material
    trained: TrainedHead
    encoder: dict[str, Any]
    record: Record


def material(settings: Settings, sets: Sets, name: str) -> Material:
    """Take the training images of an ID set, and its own validation images unless a share of the others is to serve."""
    if not sets.has(name, "train", download=True):
        try:
            sets.look_for([name], "train")
            why = f"{name}: has no train split"
        except DataError as error:
            why = str(error)
        raise DataError(f"{why}; a head learns from a train split, never from test images: {sets.train_hint(name)}")
    splits = ["train"]
    if settings.val_split is None and sets.has(name, "val", download=True):
        splits.append("val")
    found, data = {}, {}
    for split in splits:
        x = sets.bare(name, split)
        rows = drawn(len(x), settings.limit, settings.seed)
        found[split] = x = x if rows is None else x[rows]
        data[split] = {"set": name, "split": split, "images": len(x), "fingerprint": _fingerprint(sets, name, split, x)}
    return Material(name, sets.classes(name), found["train"], found.get("val"), data)


def _fingerprint(sets: Sets, name: str, split: str, x: Outputs) -> str:
    keys = sets.keys(name, split)
    labels = None if x.labels is None else x.labels.cpu().numpy()
    if keys is not None and len(keys) == len(x):
        return data_fingerprint(keys, labels)
    if x.features is None:
        raise DataError(f"{name}: expected embeddings in its {split} split, got ready logits alone")
    return data_fingerprint([], x.features.float().cpu().contiguous().numpy(), labels)


def train_heads(
    recipe: HeadRecipe,
    settings: Settings,
    sets: Sets,
    progress: Progress = lambda *told: None,
) -> list[HeadRun]:
    """Train one head for each ID set of the settings; every set is looked for before the first is trained."""
    if settings.val_split is not None:
        recipe = recipe.changed(val_split=settings.val_split)
    found = [material(settings, sets, name) for name in settings.ids]
    runs = []
    for one in found:
        about = {"name": sets.label, "fingerprint": sets.fingerprint, "encoder": sets.origin()}
        record = Record("head", asdict(recipe), one.data, about, recipe.seed)
        told = lambda what, *more, name=one.name: progress(f"{name}: {what}", *more)  # noqa: E731
        trained = train_head(recipe, one.train, one.val, class_names=one.classes, progress=told)
        runs.append(HeadRun(one, trained, sets.origin(), record))
    return runs


def write_heads(runs: Sequence[HeadRun], folder: Path, *, plot: bool = False) -> list[Path]:
    """Write `<id>/head.safetensors`, `training.json`, `epochs.csv` and the curves of each run, all or nothing.

    Gives the head files, in the order of the runs.
    """
    with replaced_folder(folder) as partial:
        for run in runs:
            _write(run, partial / name_on_disk(run.material.name), plot=plot)
    return [folder / name_on_disk(run.material.name) / HEAD for run in runs]


def _write(run: HeadRun, folder: Path, *, plot: bool) -> None:
    trained, classes = run.trained, run.material.classes
    folder.mkdir(parents=True)
    result = {
        "epoch": trained.epoch,
        "weight_decay": trained.weight_decay,
        "searched": [{"weight_decay": decay, "val_accuracy": accuracy} for decay, accuracy in trained.searched],
        "validation": trained.validation,
        "head": trained.head.fingerprint,
        "classes": list(classes),
        "notes": list(trained.notes),
    }
    recipe = asdict(trained.recipe)
    about = {"id": run.material.name, "data": run.material.data, "recipe": recipe, **result}
    save_head(folder / HEAD, trained.head, torch.from_numpy(trained.thresholds), run.encoder, about)
    run.record.write(folder, [epoch.flat(classes) for epoch in trained.history], result)
    if plot:
        plot_head(trained.history, classes, folder / CURVES)
