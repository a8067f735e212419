"""Sets of Hugging Face `datasets`, an extra: by name from its cache or hub, or a folder of `save_to_disk`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

from ood_toolkit.api.dataset import DataSet, Pictures
from ood_toolkit.api.picture import LARGEST, Picture
from ood_toolkit.errors import DataError, one_line
from ood_toolkit.store.foreign.guard import read_bytes, reason
from ood_toolkit.store.foreign.places import place_of

__all__ = ["huggingface_set"]

SPLITS = {"train": "train", "validation": "val", "valid": "val", "val": "val", "test": "test"}
"""What `datasets` calls a split, and what we do."""


class ColumnPicture(Picture):
    """One picture of a column, read from the data set's own files when it is asked for."""

    def __init__(self, column: Any, row: int) -> None:
        self.column, self.row = column, row

    def read(self) -> bytes:
        """Give the encoded bytes as they are stored, from inside or from the file they name."""
        try:
            held = self.column[self.row]
            held = next(iter(held.values())) if set(held) != {"bytes", "path"} else held
            found = held["bytes"], held["path"]
        except Exception as error:  # the library raises what its file formats raise
            raise OSError(reason(error)) from error
        return bytes(found[0]) if found[0] is not None else read_bytes(found[1], LARGEST)


class ColumnPictures(Sequence[Picture]):
    """The pictures of a column."""

    def __init__(self, column: Any, rows: range) -> None:
        self.column, self.rows = column, rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: int) -> Picture: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Picture]: ...
    def __getitem__(self, place: int | slice) -> Picture | Sequence[Picture]:
        if isinstance(place, slice):
            return ColumnPictures(self.column, self.rows[place])
        return ColumnPicture(self.column, self.rows[place])


def huggingface_set(text: str, name: str) -> DataSet:
    """Make a set of a data set's splits; `DataError` where `datasets` is missing or cannot give it."""
    try:
        import datasets
    except ImportError as error:
        raise DataError(f"{name}: needs Hugging Face datasets; pip install 'ood-toolkit[hf]'") from error
    try:
        held = datasets.load_from_disk(str(place_of(text))) if place_of(text).is_dir() else datasets.load_dataset(text)
    except Exception as error:  # the library raises what its file systems and servers raise
        raise DataError(f"{name}: datasets cannot give it: {one_line(error)}") from error
    held = held if hasattr(held, "keys") else {"test": held}
    splits = {SPLITS[theirs]: held[theirs] for theirs in held if theirs in SPLITS}
    if not splits:
        raise DataError(f"{name}: expected a split train, validation or test, got {', '.join(held)}")
    splits = {split: splits[split] for split in ("train", "val", "test") if split in splits}
    features = next(iter(splits.values())).features
    image = _column(features, datasets.Image)
    label = _column(features, datasets.ClassLabel)
    if image is None:
        raise DataError(f"{name}: expected a column of images, got {', '.join(features)}")
    classes = tuple(text.replace("_", " ") for text in features[label].names) if label else ()

    def open_split(split: str, root: Path) -> Pictures:
        if split not in splits:
            raise DataError(f"{name} has no split {split!r}: use {' or '.join(splits)}")
        import numpy as np

        table = splits[split]
        column = table.select_columns([image]).cast_column(image, datasets.Image(decode=False))
        return Pictures(
            items=ColumnPictures(column, range(len(table))),
            ids=tuple(f"{split}/{row:07d}" for row in range(len(table))),
            labels=np.asarray(table[label], dtype=np.int64) if label else None,
            classes=classes,
        )

    return DataSet(
        name=name,
        description=f"Hugging Face data set {text}.",
        open=open_split,
        counts={split: len(table) for split, table in splits.items()},
        classes=classes,
        class_count=len(classes),
        layout=(f"{text}: a data set on the hub or in its cache, or a folder of save_to_disk",),
    )


def _column(features: Any, kind: type) -> str | None:
    return next((column for column, feature in features.items() if isinstance(feature, kind)), None)
