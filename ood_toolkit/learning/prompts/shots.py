"""Few-shot learning: so many labelled pictures of each class, drawn with a seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ood_toolkit.api.dataset import Pictures
from ood_toolkit.errors import DataError
from ood_toolkit.learning.loop import seeded

__all__ = ["few"]


def few(pictures: Pictures, shots: int | None, seed: int, *, every: bool = True) -> Pictures:
    """Draw `shots` labelled pictures of each class, all where None; they keep their order.

    The draw of a class depends on the seed, its place and its number of pictures alone, and fewer shots are a part of
    more. A class with fewer pictures gives all it has, and a note says so; with `every`, `DataError` for one that has
    none.
    """
    if pictures.labels is None or not pictures.classes:
        raise DataError("shots: expected pictures with labels and class names; name a labelled set after --id")
    chosen, short = [], []
    for place, name in enumerate(pictures.classes):
        rows = np.flatnonzero(pictures.labels == place)
        if every and not len(rows):
            raise DataError(f"shots: class {name!r} has no pictures to learn from; name a part of the set without it")
        order = torch.randperm(len(rows), generator=seeded("shots", seed, place)).numpy()
        chosen.append(rows[order][:shots])
        short += [name] if shots is not None and len(rows) < shots else []
    kept = np.sort(np.concatenate(chosen))
    note = f"{len(short)} classes, such as {short[0]!r}, have fewer than {shots} pictures" if short else ""
    return replace(
        pictures,
        items=[pictures.items[row] for row in kept],
        ids=tuple(pictures.ids[row] for row in kept),
        labels=pictures.labels[kept],
        notes=(*pictures.notes, note) if note else pictures.notes,
    )
