"""Pictures to the inputs of an image tower for learning: cropped at random or not, the same for the same seed."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ood_toolkit.data.picture import Picture
from ood_toolkit.errors import DataError
from ood_toolkit.models.model import Model

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["PictureLoader", "random_crop"]

SCALE, RATIO = (0.9, 1.0), (3 / 4, 4 / 3)
"""Share of a picture's area that a crop keeps, as CLIP's training has it, and the proportions of its sides."""
TRIES = 100
"""Pictures in a row that may be unreadable."""


def random_crop(image: Image, size: int, rng: random.Random) -> Image:
    """Cut a random part out of a picture and resize it, bicubic, to size x size."""
    from PIL import Image as Images

    width, height = image.size
    area = width * height * rng.uniform(*SCALE)
    ratio = math.exp(rng.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
    w = min(width, max(1, round(math.sqrt(area * ratio))))
    h = min(height, max(1, round(math.sqrt(area / ratio))))
    left, top = rng.randint(0, width - w), rng.randint(0, height - h)
    return image.resize((size, size), Images.Resampling.BICUBIC, box=(left, top, left + w, top + h))


class PictureLoader:
    """Loads pictures as inputs of a model; with `crop`, a random part of each that epoch, row and seed decide."""

    def __init__(self, model: Model, items: Sequence[Picture], seed: int, *, crop: bool, threads: int) -> None:
        self.model, self.items, self.seed, self.crop = model, items, seed, crop
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
            except (DataError, OSError) as error:
                self.unreadable[place] = str(error)
        raise DataError(f"{TRIES} pictures in a row cannot be read, such as row {row}: {self.unreadable[row]}")

    def _input(self, row: int, epoch: int) -> Tensor:
        item, size = self.items[row], self.model.image_size
        image = item.decode(item.read(), None if self.crop else size)
        if self.crop:
            image = random_crop(image, size, random.Random(f"{self.seed}/{epoch}/{row}"))
        return self.model.preprocess(image)
