"""`Mixture`: the unlabelled images of some sets together, with what is known of them for measuring alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ood_toolkit.api.picture import Picture
from ood_toolkit.encode.encoded_sets import EncodedSets
from ood_toolkit.encode.sets import Sets, drawn
from ood_toolkit.errors import DataError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.arrays import to_numpy
from ood_toolkit.outputs.head import Head

__all__ = ["Mixture", "keys_of", "mixture"]


@dataclass(frozen=True, eq=False)
class Mixture:
    """Images of several sets in a row, n in all."""

    parts: tuple[Outputs, ...]
    """One for each set and split, without labels."""
    names: tuple[str, ...]
    """Set and split of each part, as `digits/train`."""
    ids: np.ndarray
    """(n,) strings, each with the set and split in front."""
    keys: np.ndarray
    """(n,) bytes: equal for copies of one image."""
    truth: np.ndarray | None
    """(n,) class names, "" for none; None where not every set has labels. Only for measuring."""
    pictures: tuple[Picture, ...] | None
    """n pictures; None where they are gone, or were never here."""

    @property
    def embeddings(self) -> np.ndarray:
        """Unit rows (n, d), float32."""
        return np.concatenate([to_numpy(part.embeddings) for part in self.parts])

    def seen_by(self, kind: str) -> np.ndarray:
        """Give unit rows (n, w) of another output of the model, such as `pre_projection`."""
        return np.concatenate([to_numpy(part.with_features(kind).embeddings) for part in self.parts])

    def has(self, kind: str) -> bool:
        """Tell whether all parts hold an output of the model."""
        return all(kind in part.extras for part in self.parts)

    @property
    def features(self) -> np.ndarray:
        """Features (n, d) as the model emitted them."""
        return np.concatenate([to_numpy(part.features) for part in self.parts if part.features is not None])

    def __len__(self) -> int:
        return len(self.ids)


def mixture(
    sets: Sets, names: Sequence[str], splits: Sequence[str], head: Head | None, limit: int | None, seed: int
) -> Mixture:
    """Take those of these splits that each set has; `DataError` for a set that has none of them."""
    found = []
    for name in names:
        held = [split for split in splits if sets.has(name, split, download=True)]
        if not held:
            raise DataError(f"{name}: has no {' and no '.join(splits)} split; choose another with --among-split")
        found += [_part(sets, name, split, head, limit, seed) for split in held]
    truths = [truth for _, _, _, _, truth, _ in found]
    shown = [pictures for *_, pictures in found]
    return Mixture(
        tuple(x for _, x, *_ in found),
        tuple(name for name, *_ in found),
        np.concatenate([ids for _, _, ids, *_ in found]),
        np.concatenate([keys for _, _, _, keys, *_ in found]),
        None if any(one is None for one in truths) else np.concatenate([one for one in truths if one is not None]),
        None if any(one is None for one in shown) else tuple(p for one in shown for p in one or ()),
    )


def _part(
    sets: Sets, name: str, split: str, head: Head | None, limit: int | None, seed: int
) -> tuple[str, Outputs, np.ndarray, np.ndarray, np.ndarray | None, list[Picture] | None]:
    x = sets.ood(name, head, split)
    chosen = drawn(len(x), limit, seed)
    rows = np.arange(len(x)) if chosen is None else chosen
    ids = np.arange(len(x)).astype(str) if x.ids is None else x.ids
    where = f"{name}/{split}"
    named = np.array([f"{where}/{one}" for one in ids[rows]])
    truth, pictures = _truth(sets, name, split), _pictures(sets, name, split)
    return (
        where,
        x[rows],
        named,
        keys_of(sets, name, split, x)[rows],
        None if truth is None else truth[rows],
        None if pictures is None else [pictures[row] for row in rows],
    )


def keys_of(sets: Sets, name: str, split: str, x: Outputs) -> np.ndarray:
    """Give each image (n,) bytes that its copies share: its row key, of imported arrays its features."""
    keys = sets.keys(name, split)
    if keys is None:
        if x.features is None:
            raise DataError(f"{name}: expected embeddings in its {split} split, got ready logits alone")
        keys = np.ascontiguousarray(to_numpy(x.features.float())).view(np.uint8).reshape(len(x), -1)
    return np.array([key.tobytes() for key in keys], dtype=object)


def _truth(sets: Sets, name: str, split: str) -> np.ndarray | None:
    try:
        x, classes = sets.bare(name, split), sets.classes(name)
    except DataError:  # no labels, no classes: nothing to measure against
        return None
    if x.labels is None or not classes:
        return None
    names: np.ndarray = np.array([*classes, ""], dtype=object)[to_numpy(x.labels)]
    return names


def _pictures(sets: Sets, name: str, split: str) -> list[Picture] | None:
    from ood_toolkit.api.dataset import Pictures

    if not isinstance(sets, EncodedSets):
        return None
    pictures = sets.pictures(name, split)
    if not isinstance(pictures, Pictures):
        return None
    return [pictures.items[row] for row in sets.encoded(name, split, "features", None).rows.tolist()]
