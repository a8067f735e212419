"""`Watched`: pictures with texts on which a model is measured before, while and after it learns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ood_toolkit.api.model import Model
from ood_toolkit.api.picture import Picture
from ood_toolkit.data.readers.captions import Pairs
from ood_toolkit.learning.cma.gap import gap_of
from ood_toolkit.learning.loop import seeded
from ood_toolkit.learning.pictures import PictureLoader

__all__ = ["Watched", "measured"]

MOST = 5000
"""Pairs drawn of a training split that is watched in the place of a validation split."""
PICTURES_AT_ONCE, TEXTS_AT_ONCE = 128, 256


@dataclass(frozen=True, eq=False)
class Watched:
    """n pictures, each with the place of its text among m."""

    items: Sequence[Picture]
    texts: tuple[str, ...]
    """m different captions."""
    places: tuple[int, ...]
    """(n,) which of them each picture has."""
    labelled: bool
    """Whether the texts are those of all classes, so that the nearest one is a prediction."""
    split: str

    @classmethod
    def of(cls, pairs: Pairs, split: str, seed: int, *, labelled: bool) -> Watched:
        """Watch the pairs of a split, under their first template; of a training split at most 5,000, drawn."""
        rows = list(range(len(pairs)))
        if split == "train" and len(rows) > MOST:
            rows = sorted(torch.randperm(len(rows), generator=seeded("watched", seed))[:MOST].tolist())
        captions = [pairs.caption(row) for row in rows]
        texts = dict.fromkeys(pairs.caption(row) for row in range(len(pairs))) if labelled else dict.fromkeys(captions)
        places = {text: place for place, text in enumerate(texts)}
        return cls(
            items=[pairs.items[row] for row in rows],
            texts=tuple(texts),
            places=tuple(places[caption] for caption in captions),
            labelled=labelled,
            split=split,
        )


@torch.no_grad()
def measured(model: Model, watched: Watched, threads: int) -> dict[str, float]:
    """Give gap, alignment and uniformity (see `Gap`) and, where pictures are labelled, the zero-shot `accuracy`.

    Computed in the model's own precision; unreadable pictures are left out.
    """
    loader = PictureLoader(model, watched.items, 0, crop=False, threads=threads)
    rows: list[Tensor] = []
    seen: list[int] = []
    for start in range(0, len(watched.items), PICTURES_AT_ONCE):
        wanted = range(start, min(start + PICTURES_AT_ONCE, len(watched.items)))
        pixels, found = loader.load(wanted, 0)
        kept = [place for place, (row, want) in enumerate(zip(found, wanted, strict=True)) if row == want]
        rows.append(model.encode_images(pixels[kept]).float().cpu())
        seen += [found[place] for place in kept]
    images, texts = torch.cat(rows), _texts(model, watched.texts)
    places = torch.tensor([watched.places[row] for row in seen])
    said = gap_of(images, texts, places).about()
    if watched.labelled:
        nearest = (images @ torch.nn.functional.normalize(texts, dim=-1).T).argmax(1)
        said["accuracy"] = float((nearest == places).float().mean())
    return said


def _texts(model: Model, texts: Sequence[str]) -> Tensor:
    parts = [texts[start : start + TEXTS_AT_ONCE] for start in range(0, len(texts), TEXTS_AT_ONCE)]
    return torch.cat([model.encode_texts(part).float().cpu() for part in parts])
