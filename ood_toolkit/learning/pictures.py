"""Pictures to the inputs of an image tower for learning: cropped at random or not, the same for the same seed."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ood_toolkit.api.model import Model
from ood_toolkit.api.picture import Picture
from ood_toolkit.errors import DataError
from ood_toolkit.store.foreign.guard import reason
from ood_toolkit.store.hashes import Memory, Stamp, stamp_of

if TYPE_CHECKING:
    from PIL.Image import Image

Box = tuple[int, int, int, int]
"""Left, top, right and bottom of a part, in pixels."""

__all__ = ["PictureLoader", "picture_keys", "random_crop"]

SCALE, RATIO = (0.9, 1.0), (3 / 4, 4 / 3)
"""Share of a picture's area that a crop keeps, as CLIP's training has it, and the proportions of its sides."""
DRAWS = 10
"""How often a crop is drawn until it fits."""
TRIES = 100
"""Pictures in a row that may be unreadable."""


def random_crop(image: Image, size: int, rng: random.Random, scale: tuple[float, float] = SCALE) -> Image:
    """Cut a random part, of that share of its area, out of a picture and resize it, bicubic, to size x size.

    As CLIP's training does it: share and proportions are drawn, up to ten times until the part fits into the picture;
    else the largest part of allowed proportions is taken from the middle.
    """
    from PIL import Image as Images

    box = drawn_box(*image.size, rng, scale) or middle_box(*image.size)
    return image.resize((size, size), Images.Resampling.BICUBIC, box=box)


def drawn_box(width: int, height: int, rng: random.Random, scale: tuple[float, float]) -> Box | None:
    """Draw a part until it fits; None where none of ten does."""
    for _ in range(DRAWS):
        area = width * height * rng.uniform(*scale)
        ratio = math.exp(rng.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = rng.randint(0, width - w), rng.randint(0, height - h)
            return left, top, left + w, top + h
    return None


def middle_box(width: int, height: int) -> Box:
    """Give the largest part of allowed proportions, in the middle."""
    w = min(width, max(1, round(height * RATIO[1])))
    h = min(height, max(1, round(width / RATIO[0])))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


class PictureLoader:
    """Loads pictures as inputs of a model; with `crop`, a random part of each that epoch, row and seed decide.

    `scale` is the share of the area that a crop keeps; with `flip`, every other crop is mirrored left to right.
    """

    def __init__(
        self,
        model: Model,
        items: Sequence[Picture],
        seed: int,
        *,
        crop: bool,
        threads: int,
        scale: tuple[float, float] = SCALE,
        flip: bool = False,
    ) -> None:
        self.model, self.items, self.seed, self.crop = model, items, seed, crop
        self.scale, self.flip = scale, flip
        self.pool = ThreadPoolExecutor(threads)
        self.unreadable: dict[int, str] = {}
        """Rows that could not be read, with the reason; the next one took the place of each."""

    def load(self, rows: Sequence[int], epoch: int) -> tuple[Tensor, list[int]]:
        """Give the (b, c, h, w) inputs of some rows, and the rows that they are of."""
        found = list(self.pool.map(lambda row: self._one(int(row), epoch), rows))
        return torch.stack([pixels for pixels, _ in found]), [row for _, row in found]

    def _one(self, row: int, epoch: int) -> tuple[Tensor, int]:
        for place in range(row, row + min(TRIES, len(self.items))):
            place %= len(self.items)
            try:
                return self._input(place, epoch), place
            except DataError as error:
                self.unreadable[place] = str(error)
            except OSError as error:
                self.unreadable[place] = f"{error.filename or f'row {place}'}: {reason(error)}"
        raise DataError(f"{TRIES} pictures in a row cannot be read, such as row {row}: {self.unreadable[row]}")

    def _input(self, row: int, epoch: int) -> Tensor:
        from PIL import ImageOps

        item, size = self.items[row], self.model.image_size
        image = item.decode(item.read(), None if self.crop else size)
        if self.crop:
            rng = random.Random(f"{self.seed}/{epoch}/{row}")
            image = random_crop(image, size, rng, self.scale)
            if self.flip and rng.random() < 0.5:
                image = ImageOps.mirror(image)
        return self.model.preprocess(image)


def picture_keys(items: Sequence[Picture], store: Path, threads: int) -> list[bytes]:
    """Give the row key of each picture, the SHA-256 of its bytes, empty for one that cannot be read.

    What the store remembers of files that did not change is not read again.
    """
    memory = Memory(store)
    try:
        known = memory.recall(items)
        unknown = [place for place, key in enumerate(known) if key is None]
        with ThreadPoolExecutor(threads) as pool:
            read = list(pool.map(lambda place: _key(items[place]), unknown))
        memory.remember((items[place], stamp, key) for place, (key, stamp) in zip(unknown, read, strict=True) if stamp)
    finally:
        memory.close()
    keys = [key or b"" for key in known]
    for place, (key, _) in zip(unknown, read, strict=True):
        keys[place] = key
    return keys


def _key(item: Picture) -> tuple[bytes, Stamp | None]:
    try:
        stamp = None if item.file is None else stamp_of(item.file)
        return hashlib.sha256(item.read()).digest(), stamp
    except (DataError, OSError):
        return b"", None
