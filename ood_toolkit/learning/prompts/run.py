"""A run of context learning: labelled pictures in, context vectors and the head of their class texts out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ood_toolkit.api.dataset import Pictures
from ood_toolkit.api.model import Model
from ood_toolkit.api.scorer import Prompts
from ood_toolkit.benchmark.head_files import HEAD
from ood_toolkit.encode.images import Encoded, encode_pictures
from ood_toolkit.encode.options import Effort
from ood_toolkit.encode.texts import zero_shot_head
from ood_toolkit.errors import DataError, TrainingError
from ood_toolkit.learning.checkpoint import begun, finished
from ood_toolkit.learning.loop import Epoch, Plan, check_plan, learn
from ood_toolkit.learning.pictures import PictureLoader
from ood_toolkit.learning.prompts.frozen import FrozenTower, Known, Seen, patches_of
from ood_toolkit.learning.prompts.shots import few
from ood_toolkit.learning.prompts.task import CROP, ContextRecipe, Contexts, Examples, check_learnable, with_warmup
from ood_toolkit.learning.ranks import Ranks
from ood_toolkit.learning.record import Record, data_fingerprint
from ood_toolkit.models.contexts import read_context, write_context
from ood_toolkit.outputs.head import Head
from ood_toolkit.store.head_file import save_head
from ood_toolkit.store.listings import Listing

__all__ = ["CONTEXT", "HEAD", "ContextRun", "Lesson"]

CONTEXT = "context.npz"
VAL_SHOTS = 4
"""At most so many validation images of each class where shots are few, as in CoOp."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """The labelled pictures of a split that are learnt from, with what the store has of them."""

    name: str
    split: str
    pictures: Pictures
    encoded: Encoded

    @property
    def labels(self) -> Tensor:
        """(n,) int64, of the pictures that could be read."""
        assert self.pictures.labels is not None  # `few` refuses others
        return torch.from_numpy(self.pictures.labels[self.encoded.rows])

    @property
    def features(self) -> Tensor:
        """(n, d) float32."""
        return torch.from_numpy(self.encoded.outputs["features"])

    def about(self) -> dict[str, Any]:
        """Say which pictures these are."""
        return {
            "set": self.name,
            "split": self.split,
            "images": len(self.encoded.rows),
            "encoded": self.encoded.fresh,
            "unreadable": dict(self.encoded.unreadable),
            "notes": list(self.pictures.notes),
            "fingerprint": data_fingerprint(self.encoded.keys, self.labels.numpy(), self.pictures.classes),
        }


@dataclass(frozen=True, eq=False)
class ContextRun:
    """What context vectors are learnt of, and how."""

    model: Model
    recipe: ContextRecipe
    plan: Plan
    store: Path
    effort: Effort
    origin: Mapping[str, Any]
    """What the rows of the head are of, as `Sets.origin` says it."""
    shots: int | None = None
    """Images of each class; None for all."""
    crop: bool = True
    """Whether a random part of each picture is taken anew in every epoch."""
    flip: bool = True
    """Whether every other such part is mirrored."""
    warmup: int | None = None
    """Steps at the low rate; None for one epoch."""
    progress: Callable[[str, int, int], None] = lambda what, done, of: None

    def lesson(self, name: str, split: str, pictures: Pictures | Listing) -> Lesson:
        """Draw the shots of a split and encode those that the store lacks."""
        if not isinstance(pictures, Pictures):
            raise DataError(f"{name}: its {split} pictures are gone; expected them where they were")
        learnt = split == "train"
        shots = self.shots if learnt or self.shots is None else min(self.shots, VAL_SHOTS)
        drawn = few(pictures, shots, self.recipe.seed, every=learnt)
        if learnt:
            check_learnable(self.model, drawn.classes, self.recipe)
        told = lambda done, of: self.progress(f"encoding {name} {split}", done, of)  # noqa: E731
        return Lesson(
            name, split, drawn, encode_pictures(self.model, drawn, self.store, effort=self.effort, progress=told)
        )

    def learn(
        self,
        train: Lesson,
        val: Lesson | None,
        folder: Path,
        *,
        resume: bool = False,
        report: Callable[[Epoch], None] = lambda epoch: None,
        passed_over: Callable[[Path], None] = lambda folder: None,
    ) -> Mapping[str, float] | None:
        """Learn, and write context vectors and the record into a folder.

        Gives what the last epoch ended with; None in a process of `torchrun` that is not the first. With `resume` a
        run on its way is taken up. A finished one is told to `passed_over`, and None is given.
        """
        classes, ranks = train.pictures.classes, Ranks.joined(self.effort.own_device)
        if val is not None and val.pictures.classes != classes:
            raise TrainingError(f"{val.name}: its val split has other classes than its train split; mend the set")
        self.model.to(ranks.device)
        plan = with_warmup(self.plan, len(train.labels), self.warmup)
        check_plan(plan, len(train.labels), ranks.world)
        record = self._record(train, val, plan)
        try:
            (done,) = begun([folder], ranks, resume=resume)
            if done:
                record.read(folder)
                if ranks.first:
                    finished(folder)  # it may have been killed as it ended
                    passed_over(folder)
                return None
            held = None if val is None else (val.features, val.labels)
            examples = Examples(self._tower(train), train.labels)
            task = Contexts(self.model, classes, self.recipe, examples, held, plan.precision)
            # as checkpoints of all versions have it
            identity = repr((sorted(record.config.items()), record.data["train"]["fingerprint"], record.model))
            epochs = learn(
                task, plan, ranks, folder=folder, identity=identity, resume=resume,
                progress=self.progress if ranks.first else lambda what, done, of: None,
                report=report if ranks.first else lambda epoch: None,
            )  # fmt: skip
            return self._write(folder, train, task.vectors, record, epochs) if ranks.first else None
        finally:
            ranks.leave()

    def _write(
        self, folder: Path, train: Lesson, vectors: Tensor, record: Record, epochs: list[Epoch]
    ) -> Mapping[str, float]:
        """Write all that was learnt, the record last: with it a run counts as finished."""
        classes, result = train.pictures.classes, {key: value for key, value in epochs[-1].items() if key != "epoch"}
        write_context(folder / CONTEXT, vectors, classes)
        data = {split: {k: v for k, v in said.items() if k != "encoded"} for split, said in record.data.items()}
        about = {"id": train.name, "data": data, "recipe": record.config, "result": result}  # the same in every run
        save_head(folder / HEAD, self._head(folder, classes), None, self.origin, about)
        record.write(folder, epochs, result)
        finished(folder)
        return result

    def _head(self, folder: Path, class_names: tuple[str, ...]) -> Head:
        """Make the head of the class texts under the vectors of a folder, as `--model NAME:context=FILE` makes it."""
        model: Any = self.model
        model.put_context(read_context(str(folder / CONTEXT), model.clip, model.name))
        return zero_shot_head(model, class_names, Prompts(model.templates))

    def _tower(self, train: Lesson) -> FrozenTower:
        """Take from the store, or keep in memory, what stays the same; else let pictures through in every epoch."""
        items = [train.pictures.items[row] for row in train.encoded.rows]
        local = self.recipe.method == "locoop"
        if not self.crop and not local:
            return Known({"features": train.features})
        if not self.crop and (held := patches_of(self.model, items, self.effort.threads)) is not None:
            return Known(held)
        loader = PictureLoader(
            self.model, items, self.recipe.seed, crop=self.crop, threads=self.effort.threads, scale=CROP, flip=self.flip
        )
        return Seen(self.model, loader, local=local)

    def _record(self, train: Lesson, val: Lesson | None, plan: Plan) -> Record:
        own = {
            "shots": self.shots,
            "crop": self.crop,
            "flip": self.crop and self.flip,
            "classes": list(train.pictures.classes),
        }
        config = {
            **self.recipe.__dict__,
            "top": self.recipe.top_of(len(train.pictures.classes)),
            **own,
            **plan.__dict__,
        }
        model = self.model
        return Record(
            kind="prompts",
            config=config,
            data={one.split: one.about() for one in (train, val) if one is not None},
            model={"name": model.name, "fingerprint": model.fingerprint, "precision": model.precision},
            seed=self.recipe.seed,
        )
