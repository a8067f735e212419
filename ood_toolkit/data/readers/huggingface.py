"""Sets of Hugging Face `datasets`, an extra: by name from its cache or hub, or a folder of `save_to_disk`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from ood_toolkit.api.dataset import DataSet, Pictures
from ood_toolkit.api.picture import LARGEST, Picture
from ood_toolkit.data.readers.splits import named_splits
from ood_toolkit.errors import DataError, one_line
from ood_toolkit.store.foreign.guard import guarded, read_bytes, reason
from ood_toolkit.store.foreign.places import place_of

if TYPE_CHECKING:
    from numpy import ndarray

__all__ = ["huggingface_set"]

IMAGE_COLUMNS, LABEL_COLUMNS = ("image", "img"), ("label", "labels")
"""Names of columns that are taken first where there are several."""
EXPECTED = "a data set of datasets"
TRUTH = re.compile("label|class|target|category", re.IGNORECASE)
"""What the names of columns hold that are most likely labels."""


class ColumnPicture(Picture):
    """One picture of a column, read from the data set's own files when it is asked for."""

    def __init__(self, column: Any, row: int) -> None:
        self.column, self.row = column, row

    def read(self) -> bytes:
        """Give the encoded bytes as they are stored, from inside or from the file they name."""
        try:
            held = self.column[self.row]
            held = next(iter(held.values())) if set(held) != {"bytes", "path"} else held
            content, file = (None, None) if held is None else (held["bytes"], held["path"])
        except Exception as error:  # the library raises what its file formats raise
            raise OSError(reason(error)) from error
        if content is not None:
            return bytes(content)
        if file is None:
            raise DataError("the row holds no picture")
        return read_bytes(file, LARGEST)


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
    folder = place_of(text)
    try:
        held = datasets.load_from_disk(str(folder)) if folder.is_dir() else datasets.load_dataset(text)
    except Exception as error:  # the library raises what its file systems and servers raise
        why = reason(error) if folder.is_dir() else one_line(error)
        raise DataError(f"{name}: datasets cannot give it: {why}") from error
    with guarded(name, EXPECTED):
        return _set_of(held if hasattr(held, "keys") else {"test": held}, text, name)


def _set_of(held: Any, text: str, name: str) -> DataSet:
    import datasets

    named = named_splits(held, name)
    if not named:
        raise DataError(f"{name}: expected a split train, validation or test, got {', '.join(held)}")
    splits = {split: held[theirs] for split, theirs in named.items()}
    features = next(iter(splits.values())).features
    image, more_images = _column(features, datasets.Image, IMAGE_COLUMNS)
    label, more_labels = _column(features, datasets.ClassLabel, LABEL_COLUMNS)
    if image is None:
        raise DataError(f"{name}: expected a column of images, got {', '.join(features)}")
    classes = tuple(text.replace("_", " ") for text in features[label].names) if label else ()
    notes = [*_others("images", image, more_images), *_others("labels", label, more_labels)]
    left = [f"{theirs} ({len(held[theirs]):,} rows)" for theirs in held if theirs not in named.values()]
    notes += [f"left out, as they are no train, validation or test: {', '.join(left)}"] if left else []
    why = "" if label else _why_no_labels(features)

    def open_split(split: str, root: Path) -> Pictures:
        if split not in splits:
            raise DataError(f"{name} has no split {split!r}: use {' or '.join(splits)}")
        table = splits[split]
        with guarded(name, EXPECTED):
            table.data.table.select([image, *([label] if label else [])]).validate(full=True)  # offsets are trusted
            column = table.select_columns([image]).cast_column(image, datasets.Image(decode=False))
            labels, unknown = (None, ()) if label is None else _labels(table[label], label)
        return Pictures(
            items=ColumnPictures(column, range(len(table))),
            ids=tuple(f"{split}/{row:07d}" for row in range(len(table))),
            labels=labels,
            classes=classes,
            notes=(*notes, *unknown, *([f"labels left out: {why}"] if why else [])),
            unlabelled=why,
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


def _column(features: Any, kind: type, first: Sequence[str]) -> tuple[str | None, list[str]]:
    """Choose a column of a kind, and name the others of it."""
    found = [column for column, feature in features.items() if isinstance(feature, kind)]
    found.sort(key=lambda column: first.index(column) if column in first else len(first))
    return (found[0], found[1:]) if found else (None, [])


def _others(what: str, taken: str | None, others: Sequence[str]) -> list[str]:
    """Say which column was taken where there are several."""
    if not others:
        return []
    return [
        f"{what} are of its column {taken}; it also has {', '.join(others)}: rename the one you want to {what[:-1]}"
    ]


def _labels(values: Sequence[Any], column: str) -> tuple[ndarray, tuple[str, ...]]:
    """Give labels (n,), -1 for a row without one, and how many these are."""
    import numpy as np

    absent = [row for row, value in enumerate(values) if value is None]
    labels = np.array([-1 if value is None else value for value in values], dtype=np.int64)
    if not absent:
        return labels, ()
    which = "row has" if len(absent) == 1 else "rows have"
    return labels, (f"{len(absent):,} {which} no {column} and label -1, such as row {absent[0]}",)


def _why_no_labels(features: Any) -> str:
    """Say which columns are most likely labels, and what they lack."""
    likely = [column for column in features if TRUTH.search(column)]
    if not likely:
        return f"none of its columns ({', '.join(features)}) is of class labels"
    kind = getattr(features[likely[0]], "dtype", type(features[likely[0]]).__name__)
    return f"its column {likely[0]} holds {kind} and no names of classes; cast it to datasets.ClassLabel"
