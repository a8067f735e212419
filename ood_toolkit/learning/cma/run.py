"""`fine_tune`: CMA with one lambda or several, each to a folder of its own with the model, its record and its table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ood_toolkit.api.dataset import Pictures
from ood_toolkit.api.model import Model
from ood_toolkit.data.readers.captions import Pairs, labelled_pairs
from ood_toolkit.errors import DataError, TrainingError
from ood_toolkit.learning.checkpoint import begun, finished
from ood_toolkit.learning.cma.gap import plot_gaps
from ood_toolkit.learning.cma.task import CMARecipe, CMATask
from ood_toolkit.learning.cma.watch import Watched, measured
from ood_toolkit.learning.loop import Epoch, check_plan, learn
from ood_toolkit.learning.pictures import picture_keys
from ood_toolkit.learning.ranks import Ranks
from ood_toolkit.learning.record import RECORD, Record, data_fingerprint
from ood_toolkit.models.saving import check_savable, save_model
from ood_toolkit.store.foreign.guard import reason

__all__ = ["MODEL", "PLOT", "Material", "Tuned", "fine_tune", "material_of"]

MODEL, PLOT = "model", "gap.png"
"""What a run's folder holds beside its record."""


@dataclass(frozen=True, eq=False)
class Material:
    """What is learnt from, and what is watched meanwhile."""

    pairs: Pairs
    watched: Watched
    data: Mapping[str, Mapping[str, Any]]
    """By part: name, images, fingerprint."""
    threads: int


@dataclass(frozen=True)
class Tuned:
    """What came of one lambda."""

    weight: float
    folder: Path
    """Its `model` is what `local-dir:` takes."""
    before: Mapping[str, float]
    after: Mapping[str, float]
    """Gap, alignment, uniformities and, for labelled pictures, accuracy; see `measured`."""
    split: str
    """On which split: val, else train."""
    epochs: Sequence[Epoch] = field(default_factory=list)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Pictures that others stood in for, by id, with the reason."""

    @property
    def course(self) -> list[dict[str, Any]]:
        """What each epoch ended with, epoch 0 being how it was before."""
        return [{"epoch": 0, **self.before}, *self.epochs]


def material_of(
    name: str | None,
    train: Pictures | None,
    val: Pictures | None,
    templates: Sequence[str],
    *,
    pairs: tuple[str, Pairs] | None = None,
    store: Path,
    seed: int,
    threads: int,
) -> Material:
    """Put together what a run learns from: `pairs`, with their place, else the train split of a labelled set.

    Watched is the set's val split, else what is learnt from.
    """
    if pairs is not None:
        source, learnt = pairs
        labelled = False
    elif name is not None and train is not None:
        source, learnt, labelled = name, labelled_pairs(train, templates), True
    else:
        raise TrainingError("cma: expected a labelled set with a train split, or image-caption pairs; got neither")
    if len(learnt) < 2:
        raise DataError(f"{source}: expected at least two pictures with captions to learn from, got {len(learnt)}")
    seen = None if val is None else labelled_pairs(val, templates)
    if seen is not None and len(seen):
        watched = Watched.of(seen, "val", seed, labelled=True)
    else:
        watched = Watched.of(learnt, "train", seed, labelled=labelled)
    data = {"train": _said(source, learnt, store, threads)}
    if watched.split == "val" and seen is not None:
        data["val"] = _said(str(name), seen, store, threads)
    return Material(learnt, watched, data, threads)


def _said(name: str, pairs: Pairs, store: Path, threads: int) -> dict[str, Any]:
    keys = picture_keys(pairs.items, store, threads)
    fingerprint = data_fingerprint(keys, pairs.subjects, pairs.templates)
    return {"name": name, "images": len(pairs), "fingerprint": fingerprint}


def fine_tune(
    model: Model,
    material: Material,
    recipes: Sequence[CMARecipe],
    folder: Path,
    *,
    ranks: Ranks | None = None,
    resume: bool = False,
    plot: bool = False,
    progress: Callable[[str, int, int], None] = lambda what, done, of: None,
    report: Callable[[CMARecipe, Epoch], None] = lambda recipe, epoch: None,
    passed_over: Callable[[Path], None] = lambda folder: None,
) -> list[Tuned]:
    """Fine-tune a model once with each recipe, always from the weights that it has now.

    One recipe's files are in `folder`, those of several in a folder `lambda-X` for each: `model`, `training.json`,
    `epochs.csv`, and with `plot` a picture of the gap's course. With `resume`, recipes that are done are read and their
    folders told to `passed_over`; one on its way is taken up. The model ends with the weights that it had, for its
    fingerprint is theirs.
    """
    ranks = ranks or Ranks()
    model.to(ranks.device)
    clip: Any = check_savable(model).clip
    first = {name: weight.detach().clone() for name, weight in clip.state_dict().items()}
    places = _folders(folder, recipes)
    for recipe in recipes:
        check_plan(recipe.plan, len(material.pairs), ranks.world)
    made = []
    try:
        for recipe, place, already in zip(recipes, places, begun(places, ranks, resume=resume), strict=True):
            clip.load_state_dict(first)
            run = _Run(model, material, recipe, place, ranks)
            tuned = run.read() if already else run.through(resume, progress, report)
            if already:
                passed_over(place)
            ranks.wait()
            made.append(tuned)
            if plot and ranks.first:
                plot_gaps({recipe.weight: tuned.course}, place / PLOT)
    finally:
        clip.load_state_dict(first)
        _settle(model)
    if plot and ranks.first and len(made) > 1:
        plot_gaps({tuned.weight: tuned.course for tuned in made}, folder / PLOT)
    return made


def _folders(folder: Path, recipes: Sequence[CMARecipe]) -> list[Path]:
    weights = [recipe.weight for recipe in recipes]
    places = [folder / f"lambda-{weight:g}" for weight in weights]
    if not weights or len(set(places)) < len(weights):
        raise TrainingError(f"lambda: expected one or several different values, got {', '.join(map(str, weights))}")
    return [folder] if len(weights) == 1 else places


def _settle(model: Model) -> None:
    """Make the model one that encodes again."""
    clip: Any = check_savable(model).clip
    clip.requires_grad_(False)
    clip.zero_grad(set_to_none=True)
    model.scale = float(clip.logit_scale.exp())


class _Run:
    """One recipe, from start to end."""

    def __init__(self, model: Model, material: Material, recipe: CMARecipe, folder: Path, ranks: Ranks) -> None:
        self.model, self.material, self.recipe, self.folder, self.ranks = model, material, recipe, folder, ranks
        about = {"name": model.name, "fingerprint": model.fingerprint}
        config = {**recipe.about(), "templates": list(material.pairs.templates)}
        self.record = Record("cma", config, material.data, about, recipe.plan.seed)

    def through(
        self, resume: bool, progress: Callable[[str, int, int], None], report: Callable[[CMARecipe, Epoch], None]
    ) -> Tuned:
        """Learn, measure, write."""
        material = self.material
        task = CMATask(self.model, material.pairs, self.recipe, material.watched, material.threads)
        before = measured(self.model, material.watched, material.threads)
        parts = [self.record.config, material.data, self.record.model]
        epochs = learn(
            task,
            self.recipe.plan,
            self.ranks,
            folder=self.folder,
            identity=json.dumps(parts, sort_keys=True),  # as checkpoints of all versions have it
            resume=resume,
            progress=progress,
            report=lambda epoch: report(self.recipe, epoch),
        )
        _settle(self.model)
        after = {name: epochs[-1][name] for name in before}
        lost = {material.pairs.ids[row]: why for row, why in sorted(task.loader.unreadable.items())}
        tuned = Tuned(self.recipe.weight, self.folder, before, after, material.watched.split, epochs, lost)
        if self.ranks.first:
            self._write(tuned)
        return tuned

    def _write(self, tuned: Tuned) -> None:
        save_model(self.model, self.folder / MODEL)
        result = {
            "split": tuned.split,
            "images": len(self.material.watched.items),
            "before": dict(tuned.before),
            "after": dict(tuned.after),
            "scale": self.model.scale,
            "unreadable": dict(tuned.unreadable),
        }
        self.record.write(self.folder, tuned.epochs, result)
        finished(self.folder)

    def read(self) -> Tuned:
        """Take what a finished run wrote; `TrainingError` where it is another run's."""
        held = self.record.read(self.folder)
        try:
            result, epochs = held["result"], held["epochs"]
            before, after, split, lost = (result[name] for name in ("before", "after", "split", "unreadable"))
            course = [{str(name): float(value) for name, value in one.items()} for one in (before, after, *epochs)]
            if not isinstance(split, str) or not isinstance(lost, dict) or course[0].keys() != course[1].keys():
                raise TypeError("its result is none")
        except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
            raise TrainingError(f"{self.folder / RECORD}: not a record of a training run: {reason(error)}") from None
        if self.ranks.first:
            finished(self.folder)  # it may have been killed as it ended
        return Tuned(self.recipe.weight, self.folder, before, after, split, epochs, lost)
