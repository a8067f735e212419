"""Arrays of images and texts from what people have them in: `.npz`, `.npy`, Parquet, folders of clip-retrieval."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ood_toolkit.errors import DataError
from ood_toolkit.store.foreign.arrays import listed, read_npy, read_npz
from ood_toolkit.store.foreign.columns import read_columns

if TYPE_CHECKING:
    import numpy as np

__all__ = ["read_table"]

MEANT = {
    "embedding": "embeddings", "image_embedding": "embeddings", "vector": "embeddings", "vectors": "embeddings",
    "feature": "features", "label": "labels", "id": "ids", "path": "paths", "image_path": "paths", "file": "files",
    "score": "scores",
}  # fmt: skip
"""Names of columns that stand for one image each, by what an archive calls the array of all."""
PICTURES, FACTS = "img_emb", "metadata"
NUMBER = re.compile(r"(\d+)$")


def read_table(file: Path) -> Mapping[str, Any]:
    """Read named arrays; one without a name is `embeddings`, or `scores` where it has one number an image.

    `DataError` in one line for what is none of these.
    """
    if file.is_dir():
        return _retrieval(file)
    if file.suffix.lower() == ".npy":
        array = read_npy(file)
        return {"scores" if array.ndim == 1 else "embeddings": array}
    if file.suffix.lower() in (".parquet", ".pq"):
        return _meant(read_columns(file))
    return read_npz(file)


def _meant(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Give columns under the names that arrays have here, too; an only column of vectors is the embeddings."""
    found = dict(columns)
    for name, array in columns.items():
        found.setdefault(MEANT.get(name.lower(), name), array)
    vectors = [name for name, array in columns.items() if array.ndim == 2]
    if len(vectors) == 1 and not found.keys() & {"embeddings", "features", "logits"}:
        found["embeddings"] = columns[vectors[0]]
    return found


def _retrieval(folder: Path) -> dict[str, np.ndarray]:
    """Join the parts of `img_emb/*.npy`, and of `metadata/*.parquet` where there are such, in the order of numbers."""
    import numpy as np

    pictures, facts = _parts(folder / PICTURES, ".npy"), _parts(folder / FACTS, ".parquet")
    if not pictures:
        held = listed({one.name: one for one in sorted(folder.iterdir())[:9]})
        raise DataError(f"{folder}: expected a folder of clip-retrieval, with {PICTURES}/*.npy; it holds {held}")
    if facts and facts.keys() != pictures.keys():
        lacking = sorted(pictures.keys() ^ facts.keys())[0]
        here, gone = (PICTURES, FACTS) if lacking in pictures else (FACTS, PICTURES)
        raise DataError(f"{folder}: part {lacking} is in {here} but not in {gone}; bring both, or leave out {FACTS}")
    rows, named = list[Any](), list[dict[str, Any]]()
    for number, file in pictures.items():
        array = read_npy(file)
        if array.ndim != 2 or (rows and array.shape[1] != rows[0].shape[1]):
            width = f"{rows[0].shape[1]}" if rows else "d"
            raise DataError(f"{file}: expected embeddings (n, {width}), got shape {array.shape}")
        rows.append(array)
        if facts:
            named.append({k: v for k, v in _meant(read_columns(facts[number])).items() if v.ndim == 1})
            for name, column in named[-1].items():
                if len(column) != len(array):
                    raise DataError(
                        f"{facts[number]}: {name}: expected {len(array):,} rows as in {file.name}, got {len(column):,}"
                    )
    shared = [name for name in named[0] if all(name in one for one in named)] if named else []
    return {"embeddings": np.concatenate(rows)} | {
        name: np.concatenate([one[name] for one in named]) for name in shared if name in MEANT.values()
    }


def _parts(folder: Path, suffix: str) -> dict[int, Path]:
    """Find the numbered files of a folder, by number; none where there is no such folder."""
    files = sorted(folder.glob(f"*{suffix}")) if folder.is_dir() else []
    numbered = {int(found[1]): file for file in files if (found := NUMBER.search(file.stem))}
    return dict(sorted(numbered.items()))
