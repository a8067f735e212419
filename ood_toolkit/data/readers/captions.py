"""`Pairs`: pictures with a caption each, from a CSV file, from tar shards, or of a labelled set and templates."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ood_toolkit.api.dataset import Pictures
from ood_toolkit.api.picture import FilePicture, Picture
from ood_toolkit.data.readers.webdataset import index_shard, shards_of
from ood_toolkit.errors import DataError
from ood_toolkit.store.foreign.guard import shown
from ood_toolkit.store.foreign.lines import read_text
from ood_toolkit.store.foreign.places import place_of

__all__ = ["Pairs", "labelled_pairs", "read_pairs"]

IMAGE_COLUMNS = ("filepath", "image", "image_path", "path", "file")
CAPTION_COLUMNS = ("caption", "title", "text")
"""Names of columns, in the order in which they are looked for; `filepath` and `title` are open_clip's."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """n pictures, row-aligned with what each shows; a caption is a template filled with that."""

    items: Sequence[Picture]
    ids: tuple[str, ...]
    subjects: tuple[str, ...]
    """(n,) captions, or class names."""
    templates: tuple[str, ...] = ("{}",)
    """What a caption may be: `{}` takes it as it is."""
    notes: tuple[str, ...] = ()
    """What is to be known of them, such as how many images were left out."""

    def __len__(self) -> int:
        return len(self.ids)

    def caption(self, row: int, template: int = 0) -> str:
        """Write the caption of a row by one of the templates."""
        return self.templates[template].format(self.subjects[row])


def labelled_pairs(pictures: Pictures, templates: Sequence[str]) -> Pairs:
    """Pair the labelled pictures of a split with their class names; those of no class are left out, with a note."""
    if pictures.labels is None or not pictures.classes:
        raise DataError("captions: expected images with class names; give pairs as a CSV file or tar shards")
    rows = [row for row, label in enumerate(pictures.labels) if label >= 0]
    lost = len(pictures) - len(rows)
    return Pairs(
        items=[pictures.items[row] for row in rows],
        ids=tuple(pictures.ids[row] for row in rows),
        subjects=tuple(pictures.classes[int(pictures.labels[row])] for row in rows),
        templates=tuple(templates),
        notes=(f"{lost:,} of {len(pictures):,} images of no class are left out",) if lost else (),
    )


def read_pairs(place: str) -> Pairs:
    """Read image-caption pairs: a CSV or TSV file with a header, or webdataset shards with `.txt` beside each picture.

    Raises `DataError` where columns, pictures or captions are missing.
    """
    path = place_of(place)
    if path.suffix.lower() in (".csv", ".tsv"):
        return _of_table(path)
    return _of_shards(str(path))


def _of_table(path: Path) -> Pairs:
    if not os.path.isfile(path):
        raise DataError(f"pairs: no such file: {path}")
    text = read_text(path, where=f"pairs: expected {path} to be a table in UTF-8")
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if "\t" in text.partition("\n")[0] else ",")
    try:
        columns = table.fieldnames or []
        image, caption = _column(path, columns, IMAGE_COLUMNS), _column(path, columns, CAPTION_COLUMNS)
        rows = [(row[image], row[caption]) for row in table]
    except csv.Error as error:
        raise DataError(f"pairs: expected {path} to be a table in UTF-8: {shown(str(error))}") from None
    if not rows:
        raise DataError(f"pairs: expected rows below the header of {path}, got none")
    for line, row in enumerate(rows, 2):
        if not all(row):
            raise DataError(f"pairs: {path}, line {line}: expected a picture's path and a caption, got {shown(row)}")
        if not os.path.isfile(path.parent / row[0]):
            raise DataError(f"pairs: {path}, line {line}: no such picture: {shown(str(path.parent / row[0]))}")
    return Pairs(
        items=[FilePicture(str(path.parent / file)) for file, _ in rows],
        ids=tuple(f"{line}/{file}" for line, (file, _) in enumerate(rows, 2)),
        subjects=tuple(text for _, text in rows),
    )


def _column(path: Path, columns: Sequence[str], known: Sequence[str]) -> str:
    found = next((name for name in known if name in columns), None)
    if found is None:
        got = shown(", ".join(columns)) or "none"
        raise DataError(f"pairs: expected a column {' or '.join(known)} in {path}, got {got}")
    return found


def _of_shards(place: str) -> Pairs:
    shards = shards_of(place)
    if "train" not in shards and any(file.parent.parent == Path(place) for part in shards.values() for file in part):
        raise DataError(
            f"pairs: expected {place} to hold train/*.tar or *.tar, got {' and '.join(shards)} alone; name the shards "
            "to learn from with a glob"
        )
    files = shards.get("train") or shards.get("test")  # shards of no split are listed as those of `test`
    if not files:
        raise DataError(f"pairs: expected a .csv or .tsv file, or a folder, glob or file of .tar shards, got {place}")
    rows = []
    for file in files:
        shard = index_shard(file)
        for key, (picture, _) in shard.samples.items():
            if key not in shard.captions:
                raise DataError(f"pairs: {file.name}: expected {key}.txt with the caption of {key}, found none")
            rows.append((picture, f"{file.stem}/{key}", shard.captions[key]))
    if not rows:
        raise DataError(f"pairs: expected pictures in {place}, found none")
    return Pairs([picture for picture, _, _ in rows], tuple(r[1] for r in rows), tuple(r[2] for r in rows))
