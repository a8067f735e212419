"""A run of CLIPN: pictures with captions in; a checkpoint, the class texts of both towers and a record out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ood_toolkit.api.dataset import Pictures
from ood_toolkit.api.model import Model
from ood_toolkit.api.scorer import Prompts
from ood_toolkit.data.readers.captions import Pairs
from ood_toolkit.encode.images import encode_pictures
from ood_toolkit.encode.options import Effort
from ood_toolkit.encode.texts import zero_shot_head
from ood_toolkit.errors import DataError, TrainingError
from ood_toolkit.learning.checkpoint import CHECKPOINT, begun, finished
from ood_toolkit.learning.clipn.task import ClipnTask, Wording, double_text_tower
from ood_toolkit.learning.loop import Epoch, Plan, learn
from ood_toolkit.learning.pictures import PictureLoader, picture_keys
from ood_toolkit.learning.ranks import Ranks
from ood_toolkit.learning.record import Record, data_fingerprint
from ood_toolkit.models.clipn import load_clipn, save_clipn
from ood_toolkit.models.saving import check_savable
from ood_toolkit.models.templates import clipn_templates
from ood_toolkit.store.files import replaced_file

__all__ = ["CLASSIFIER", "ClipnRun", "Source", "Taught"]

CLASSIFIER = "no_classifier.npz"


@dataclass(frozen=True, eq=False)
class Source:
    """Pictures with captions, and where they are from."""

    name: str
    pairs: Pairs
    labelled: bool = False
    """Whether captions are class names in templates, and no sentences of their own."""


@dataclass(frozen=True)
class Taught:
    """What a run wrote."""

    model: str
    """What `--model` takes."""
    classifier: Path | None
    """What `--texts no=` takes; None where no classes were named."""
    epochs: Sequence[Epoch] = field(default_factory=list)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Pictures that were left out, or that others stood in for, by id."""


@dataclass(eq=False)
class ClipnRun:
    """What the "no" tower of a model is taught, and how."""

    model: Model
    sources: Sequence[Source]
    plan: Plan
    store: Path
    effort: Effort
    classes: Sequence[str] = ()
    """Whose texts the light file holds."""
    crafted: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    """Templates, and the ones that say "no" to them, of the hand-crafted variant; None: "no" prompts are learnt."""
    crop: bool = True
    """Whether a random part of each picture is taken anew in every epoch; else images come from the store."""
    skip_alike: bool = True
    """Whether pairs of two pictures with one caption or class stay out of the loss of "no"."""
    progress: Callable[[str, int, int], None] = lambda what, done, of: None
    unreadable: dict[str, str] = field(default_factory=dict)

    def learn(
        self,
        folder: Path,
        *,
        resume: bool = False,
        report: Callable[[Epoch], None] = lambda epoch: None,
        passed_over: Callable[[Path], None] = lambda folder: None,
    ) -> Taught | None:
        """Learn, and write everything into a folder; None in a process of `torchrun` that is not the first.

        With `resume` a run on its way is taken up. A finished one is told to `passed_over`, and None is given.
        """
        ranks = Ranks.joined(self.effort.own_device)
        try:
            return self._through(ranks, folder, resume, report, passed_over)
        finally:
            ranks.leave()

    def _through(
        self,
        ranks: Ranks,
        folder: Path,
        resume: bool,
        report: Callable[[Epoch], None],
        passed_over: Callable[[Path], None],
    ) -> Taught | None:
        about = {"name": self.model.name, "fingerprint": self.model.fingerprint}
        (done,) = begun([folder], ranks, resume=resume)
        self.model.to(ranks.device)
        pairs, images, keys = self._examples()
        data = {"train": self._said(pairs, keys)}
        record = Record("clipn", self._config(), data, about, self.plan.seed)
        if done:
            record.read(folder)
            if ranks.first:
                finished(folder)  # it may have been killed as it ended
                passed_over(folder)
            return None
        double_text_tower(self.model, learned_prompts=self.crafted is None)
        task = ClipnTask(self.model, pairs, self._wordings(pairs), images, self.plan.seed, skip_alike=self.skip_alike)
        identity = repr((record.config, data, about))  # as checkpoints of all versions have it
        epochs = learn(
            task, self.plan, ranks, folder=folder, identity=identity, resume=resume,
            progress=self.progress if ranks.first else lambda what, done, of: None,
            report=report if ranks.first else lambda epoch: None,
        )  # fmt: skip
        if isinstance(images, PictureLoader):
            self.unreadable |= {pairs.ids[row]: why for row, why in sorted(images.unreadable.items())}
        if not ranks.first:
            return None
        return self._write(folder, record, epochs)

    def _examples(self) -> tuple[Pairs, Tensor | PictureLoader, Sequence[Any]]:
        """Give all pairs, their images, known already or to be loaded, and the row keys of the pictures."""
        pairs = joined([source.pairs for source in self.sources])
        if self.crop:
            threads = self.effort.threads
            loader = PictureLoader(self.model, pairs.items, self.plan.seed, crop=True, threads=threads)
            return pairs, loader, picture_keys(pairs.items, self.store, threads)
        told = lambda done, of: self.progress("encoding", done, of)  # noqa: E731
        made = encode_pictures(
            self.model, Pictures(pairs.items, pairs.ids), self.store, effort=self.effort, progress=told
        )
        self.unreadable = dict(made.unreadable)
        rows = made.rows.tolist()
        if not rows:
            raise DataError("train clipn: none of the pictures can be read")
        kept = Pairs(
            [pairs.items[r] for r in rows], *(tuple(one[r] for r in rows) for one in (pairs.ids, pairs.subjects))
        )
        return kept, torch.from_numpy(made.outputs["features"]), list(made.keys)

    def _wordings(self, pairs: Pairs) -> list[Wording]:
        """Say how the caption of each pair is written."""
        crafted = None if self.crafted is None else Wording(*self.crafted)
        by_source = [crafted or Wording(source.pairs.templates) for source in self.sources]
        return [by_source[int(name.partition("/")[0])] for name in pairs.ids]

    def _said(self, pairs: Pairs, keys: Sequence[Any]) -> dict[str, Any]:
        templates = [source.pairs.templates for source in self.sources]
        return {
            "name": " + ".join(source.name for source in self.sources),
            "images": len(pairs),
            "fingerprint": data_fingerprint(keys, pairs.subjects, templates),
        }

    def _config(self) -> dict[str, Any]:
        yes, no = self._templates()
        about = {"variant": "learned prompts" if self.crafted is None else "hand-crafted", "crop": self.crop}
        more = {"skip_alike": self.skip_alike, "classes": list(self.classes)}
        return {**about, **more, "templates": list(yes), "no_templates": list(no), **self.plan.__dict__}

    def _templates(self) -> tuple[Sequence[str], Sequence[str]]:
        """Give the templates of class names, and those of the "no" tower; CLIPN's where only captions were read."""
        if self.crafted is not None:
            return self.crafted
        own = [source.pairs.templates for source in self.sources if source.labelled] or [clipn_templates()[0]]
        return own[0], own[0]

    def _write(self, folder: Path, record: Record, epochs: list[Epoch]) -> Taught:
        """Write the checkpoint, the light file and the record; the run is done then."""
        number = self.plan.epochs
        file = folder / f"epoch_{number}.pt"
        optimizer = torch.load(folder / CHECKPOINT, "cpu", weights_only=True)["optimizer"]
        name = save_clipn(check_savable(self.model), file, number, optimizer, self._templates())
        light = None
        if self.classes:
            light = folder / CLASSIFIER
            write_classifier(load_clipn(name.removeprefix("clipn:")), self.classes, light)
        last = {key: value for key, value in epochs[-1].items() if key != "epoch"}
        record.write(folder, epochs, {**last, "model": name, "unreadable": dict(self.unreadable)})
        finished(folder)
        return Taught(name, light, epochs, self.unreadable)


def joined(parts: Sequence[Pairs]) -> Pairs:
    """Put pairs of several sources together; ids begin with the number of the source."""
    items = [item for part in parts for item in part.items]
    ids = tuple(f"{number}/{name}" for number, part in enumerate(parts) for name in part.ids)
    subjects = tuple(subject for part in parts for subject in part.subjects)
    if len(items) < 2:
        raise TrainingError(f"train clipn: expected at least two pictures with captions, got {len(items)}")
    return Pairs(items, ids, subjects)


def write_classifier(model: Any, classes: Sequence[str], file: Path) -> None:
    """Write the unit rows (k, d) of the class texts of both towers, as `yes` and `no`, and the class names."""
    head = zero_shot_head(model, classes, Prompts(model.templates or ("a photo of a {}",)))
    yes, no = head.weight.numpy(), head.bank("no").rows.numpy()
    with replaced_file(file) as partial, partial.open("wb") as out:
        np.savez(out, classes=np.array(list(classes)), scale=np.float32(model.scale), yes=yes, no=no)
