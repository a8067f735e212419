"""`EncodedSets`: data sets with pictures, each image encoded once and then taken from the store."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ood_toolkit.api.dataset import DataSet, Pictures
from ood_toolkit.api.model import Model
from ood_toolkit.api.scorer import Prompts
from ood_toolkit.encode.banks import furnished
from ood_toolkit.encode.drawn import drawing, drawn_before
from ood_toolkit.encode.images import Encoded, encode_pictures, is_stored, stored
from ood_toolkit.encode.labels import Labelled, labels_among
from ood_toolkit.encode.noise import with_noise
from ood_toolkit.encode.sets import Place, Sets, drawn
from ood_toolkit.encode.texts import zero_shot_head
from ood_toolkit.errors import AbsentError, DataError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.outputs.outputs import SOURCE_LABELS
from ood_toolkit.store.listings import Listing, Listings

__all__ = ["EncodedSets"]

Encoder = Callable[..., Encoded]
ASSUMED = (
    "a weights file does not say whose classes it has; add classes=imagenet-1k to the model if they are ImageNet's"
)
GONE = "its pictures are gone; this is as it was when it was encoded"


class EncodedSets(Sets):
    """Data sets with pictures, each encoded once; `kinds` are the outputs kept beside the features."""

    def __init__(
        self,
        model: Model,
        find: Callable[[str], DataSet | None],
        place: Place,
        kinds: Sequence[str] = (),
        progress: Callable[..., None] = lambda *told: None,
        encoder: Encoder = encode_pictures,
    ) -> None:
        self.model, self.find, self.place, self.progress = model.to(place.effort.own_device), find, place, progress
        self.kinds, self.encoder = tuple(kinds), encoder
        self.label, self.fingerprint = model.name, model.fingerprint
        self._pictures: dict[tuple[str, str], Pictures | Listing] = {}
        self._encoded: dict[tuple[str, str], dict[str, Encoded]] = {}
        self._heads: dict[tuple[tuple[str, ...], Prompts], Head] = {}
        self._local: dict[str, Head] = {}
        self._notes = [f"model {model.name}: {note}" for note in model.notes]

    @property
    def store(self) -> Path:
        """Where the encodings lie."""
        return self.place.store

    def has(self, name: str, split: str, *, download: bool = False) -> bool:
        """Tell whether a split is here, or remembered from when it was encoded."""
        if split not in self._dataset(name).counts:
            return False
        try:
            self.pictures(name, split, download=download)
        except AbsentError:
            return False
        return True

    def splits(self, name: str) -> tuple[str, ...]:
        """Name the splits of a data set that are here."""
        return tuple(split for split in self._dataset(name).counts if self.has(name, split))

    def keys(self, name: str, split: str) -> np.ndarray | None:
        """Give the row keys (n, 32) of the images that were read."""
        return next(iter(self._encoded[name, split].values())).keys

    def head(self, name: str, prompts: Prompts | None) -> Head:
        """Give the model's linear head, or encode the classes of a data set under its own prompts, or under these."""
        if self.model.head is not None:
            return self.model.head
        classes = self.classes(name)
        key = (classes, self._readable(prompts or Prompts(self.default_templates(name))))
        if key not in self._heads:
            told = lambda done, of: self.progress("encoding words", done, of, "words")  # noqa: E731
            bare = zero_shot_head(self.model, *key, self.place.store)
            made = furnished(self.model, bare, key[1], self.place.store, told)
            self._heads[key] = with_noise(
                self.model, made, key[1].noise, self.place.effort.own_device, self.place.store
            )
        return self._heads[key]

    def outputs(self, name: str, split: str, head: Head | None, *, own: bool = True) -> Outputs:
        """Take a split from the store, encoding what it lacks."""
        return self._taken(name, split, name, head, own=own)

    def ood(self, name: str, head: Head | None, split: str = "test") -> Outputs:
        """Take a split of an OOD set from the store, encoding what it lacks; its labels stay its own."""
        return self._taken(name, split, "", head)

    def bare(self, name: str, split: str) -> Outputs:
        """Take features and labels of a split from the store, encoding what it lacks."""
        x = self._taken(name, split, name, None)
        if x.labels is None:
            raise DataError(f"{name}: its {split} images have no labels, so nothing can be learnt from them")
        return x

    def classes(self, name: str) -> tuple[str, ...]:
        """Name the classes of a data set."""
        classes = self._classes(name)
        if not classes:
            why = self.pictures(name, "test").unlabelled if "test" in self._dataset(name).counts else ""
            hint = f"its images have no labels: {why}" if why else "name another after --id"
            raise DataError(f"{name}: has no classes, so it can only be an OOD set; {hint}")
        return classes

    def origin(self) -> dict[str, Any]:
        """Give name, weights, architecture and preprocessing of the model."""
        model = self.model
        said = {
            "model": model.name,
            "weights": model.fingerprint,
            "architecture": model.architecture,
            "preprocessing": dict(model.preprocessing),
        }
        plain: dict[str, Any] = json.loads(json.dumps(said, default=str))  # as it is read from a file
        return plain

    def train_hint(self, name: str) -> str:
        """Name the data sets that have one, and how a folder gets one."""
        return "oodkit datasets lists sets with a train split; of a folder's pictures, put some below train/"

    def shifted(self, name: str, of: str, head: Head | None) -> Outputs:
        """Take the test split of a covariate-shifted set; labels go by name to the ID set's classes."""
        return self._taken(name, "test", of, head, own=False)

    def _taken(self, name: str, split: str, of: str, head: Head | None, *, own: bool = True) -> Outputs:
        """Take a split, its labels as those of the classes of an ID set `of`; none where that is ""."""
        pictures = self.pictures(name, split)
        extras: dict[str, Any] = {}
        texts = head if head is None else self._local.get(head.fingerprint, head)  # those that `local` is of
        made = self.encoded(name, split, "features", texts)
        if not len(made.rows):
            lost = f", such as {': '.join(made.unreadable[0])}" if made.unreadable else ""
            raise DataError(f"{name}: none of its {len(pictures.ids)} {split} images can be read{lost}")
        for kind in self.kinds:
            if isinstance(pictures, Listing) and not is_stored(self.model, pictures, self.place.store, kind, texts):
                continue  # its pictures are gone: who needs it is skipped
            more = self.encoded(name, split, kind, texts)
            if more.rows.tolist() != made.rows.tolist():
                raise DataError(f"{name}: its pictures changed while they were encoded; run it again")
            extras[kind] = more.outputs[kind]
        labels = None if pictures.labels is None else pictures.labels[made.rows]
        if labels is not None:
            extras[SOURCE_LABELS] = labels
            labels = self._labels(head, name, of, labels, pictures.classes, own=own) if of else None
        ids = np.array(pictures.ids)[made.rows] if len(made.rows) < len(pictures.ids) else pictures.ids
        x = Outputs(made.outputs["features"], labels=labels, ids=ids, extras=extras, head=head)
        device = self.place.effort.own_device
        return x if device == "cpu" else x.to(device)

    def encoded(self, name: str, split: str, kind: str, head: Head | None) -> Encoded:
        """Encode a split, with every kind of output in one pass; or take it from the memory of this run."""
        held = self._encoded.setdefault((name, split), {})
        key = _held_key(kind, head)
        if key not in held:
            pictures = self.pictures(name, split)
            alone = "features" in held or isinstance(pictures, Listing)
            wanted = (kind,) if alone else ("features", *self.kinds)
            told = lambda done, of: self.progress(f"encoding {name} {split}", done, of)  # noqa: E731
            made = self._encode(pictures, wanted, head, told)
            held |= {_held_key(part, head): made for part in wanted}
            if isinstance(pictures, Pictures):
                self._list(name, split, pictures, made)
        return held[key]

    def _encode(self, pictures: Pictures | Listing, kinds: Sequence[str], head: Head | None, told: Any) -> Encoded:
        place = self.place
        if isinstance(pictures, Pictures):
            return self.encoder(self.model, pictures, place.store, kinds, head, place.effort, told)
        return stored(self.model, pictures, place.store, kinds, head)

    def _list(self, name: str, split: str, pictures: Pictures, made: Encoded) -> None:
        rows, labels = made.rows, pictures.labels
        ids = tuple(pictures.ids[row] for row in rows)
        labels = None if labels is None else labels[rows]
        whole = len(rows) == len(pictures.ids) and not pictures.unlabelled
        drawn = drawing(self._dataset(name)) if whole else None
        listing = Listing(
            self._listed_as(name), split, made.keys, ids, labels, pictures.classes, pictures.notes, drawn or {}
        )
        Listings(self.place.store).write(listing)

    def _listed_as(self, name: str) -> str:
        """Name the listing of a set: a part of one has its own."""
        limit, seed = self.place.limit, self.place.seed
        return name if limit is None else f"{name} (limit {limit}, seed {seed})"

    def pictures(self, name: str, split: str, *, download: bool = True) -> Pictures | Listing:
        """Find the pictures of a split; where they are gone, what the store knows of them; else download them."""
        if (name, split) not in self._pictures:
            self._pictures[name, split] = self._found(name, split, download and self.place.download)
        return self._pictures[name, split]

    def _found(self, name: str, split: str, download: bool) -> Pictures | Listing:
        dataset, place = self._dataset(name), self.place
        if not (place.needs_pictures or place.effort.rehash):
            drawn = lambda: self._limited(dataset.open(split, place.data_root))  # noqa: E731
            known = drawn_before(dataset, split, place.store, self._listed_as(name), drawn)
            if known is not None:
                return known
        try:
            pictures = dataset.open(split, place.data_root)
        except AbsentError:
            if (listing := self._remembered(name, split)) is not None:
                return listing
            if not download or dataset.download is None:
                raise
            self.progress(f"downloading {name}", 0, 0)
            dataset.download(place.data_root)
            pictures = dataset.open(split, place.data_root)
        return self._limited(pictures)

    def _limited(self, pictures: Pictures) -> Pictures:
        limit = self.place.limit
        return pictures if limit is None else _drawn(pictures, limit, self.place.seed)

    def _remembered(self, name: str, split: str) -> Listing | None:
        """Give what the store knows of a split whose pictures are gone; None where that is not enough."""
        place = self.place
        if place.needs_pictures or place.effort.strict or place.effort.rehash:
            return None
        listing = Listings(place.store).read(self._listed_as(name), split)
        if listing is None or not is_stored(self.model, listing, place.store):
            return None
        return replace(listing, notes=(*listing.notes, GONE))

    def pictures_of(self, name: str) -> Pictures | None:
        """Give the pictures of a set's test split; None where only what was encoded of them is left."""
        pictures = self.pictures(name, "test", download=False)
        return pictures if isinstance(pictures, Pictures) else None

    def look_for(self, names: Sequence[str], *splits: str) -> None:
        """Find the pictures of all sets, and say in one message which are not here."""
        missing = []
        for name, split in [(name, split) for name in names for split in splits or ("test",)]:
            try:
                self.pictures(name, split)
            except DataError as error:
                missing.append(str(error))
        if missing:
            raise DataError("\n  ".join(missing))

    def templates(self, name: str) -> tuple[str, ...]:
        """Give a data set's templates; none for a model with a linear head."""
        return self._dataset(name).templates if self.model.head is None else ()

    def default_templates(self, name: str) -> tuple[str, ...]:
        """Give the templates that the model was trained with, else the data set's first."""
        return self.model.templates or super().default_templates(name)

    def has_text_tower(self) -> bool:
        """Tell whether the model reads prompts; it does not where its prompt is learned."""
        return self.model.head is None and not self.model.learned_prompt

    def encodes_words(self) -> bool:
        """Tell whether there is a text tower, be its prompt learned or not."""
        return self.model.head is None

    def take_local_under(self, head: Head | None, local: Head) -> None:
        """Remember under which texts `extra:local` is taken for a head."""
        if head is not None:
            self._local[head.fingerprint] = local

    def _readable(self, prompts: Prompts) -> Prompts:
        """Leave of prompts what the model reads: a learned prompt takes the place of all templates."""
        if not self.model.learned_prompt:
            return prompts
        banks = tuple(replace(bank, templates=(), adjectives=()) for bank in prompts.banks)
        return replace(prompts, templates=self.model.templates, shuffles=0, banks=banks)

    def notes(self) -> list[str]:
        """Say what is to be known of the weights, and whose labels could not be matched."""
        return list(self._notes)

    def about(self) -> dict[str, Any]:
        """Count, for each split, its images, those encoded now and those that could not be read; with notes."""
        counts: dict[str, Any] = {}
        for (name, split), made in self._encoded.items():
            first, pictures = next(iter(made.values())), self._pictures[name, split]
            counts[f"{name}/{split}"] = {
                "images": len(pictures.ids),
                "encoded": sum(one.fresh for one in {id(one): one for one in made.values()}.values()),
                "unreadable": dict(first.unreadable),
                "repaired": list(first.damaged),
                "notes": list(pictures.notes),
            }
        model = self.model
        return {
            "encoder": {
                "precision": model.precision,
                "preprocessing": dict(model.preprocessing),
                "device": self.place.effort.device,
                "batch": self.place.effort.batch_size,
            },
            "encoding": counts,
        }

    def _dataset(self, name: str) -> DataSet:
        dataset = self.find(name)
        if dataset is None:
            raise DataError(f"unknown data set {name!r}; oodkit datasets lists them")
        return dataset

    def _classes(self, name: str) -> tuple[str, ...]:
        return self._dataset(name).classes or self.pictures(name, "test").classes

    def _labels(
        self, head: Head | None, name: str, of: str, labels: np.ndarray, classes: tuple[str, ...], *, own: bool
    ) -> np.ndarray | None:
        """Renumber labels to the classes of a head: by name, or as they are where both follow one numbering."""
        model, space = self.model, self._dataset(of).label_space
        if of != name:  # a covariate-shifted set, whose classes are those of its ID set
            labels, classes = labels_among(self._classes(of), labels, classes, name, space), self._classes(of)
        is_model_head = head is not None and head is model.head
        if is_model_head and space == model.label_space != "":
            return labels
        ids_of = model.label_space if is_model_head and not model.assumed_names else ""
        said = Labelled(name, labels, classes, ids_of, ASSUMED if model.assumed_names else "")
        found, note = said.under(head, own=own)
        if note and note not in self._notes:
            self._notes.append(note)
        return found


def _held_key(kind: str, head: Head | None) -> str:
    """Name what is held of a kind of output; `local` is of one head."""
    return f"{kind} {head.fingerprint}" if kind == "local" and head is not None else kind


def _drawn(pictures: Pictures, limit: int, seed: int) -> Pictures:
    """Draw at most `limit` pictures with a seed, in their order."""
    rows = drawn(len(pictures), limit, seed)
    if rows is None:
        return pictures
    note = f"{limit:,} of its {len(pictures):,} images are drawn, seed {seed}"
    return replace(
        pictures,
        notes=(*pictures.notes, note),
        items=[pictures.items[row] for row in rows],
        ids=tuple(pictures.ids[row] for row in rows),
        labels=None if pictures.labels is None else pictures.labels[rows],
    )
