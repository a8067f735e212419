"""`letters`: Latin letters in Pillow's bundled font, drawn to look like the handwritten digits."""

from __future__ import annotations

import random
import string
from pathlib import Path
from typing import TYPE_CHECKING

from ood_toolkit.api.dataset import DataSet, Pictures
from ood_toolkit.api.picture import pixels
from ood_toolkit.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["LETTERS"]

LOOK_LIKE_DIGITS = "OoQDIilSsZzBbGgq"
"""Letters that are left out, because some hand writes a digit just so."""
CLASSES = tuple(letter for letter in string.ascii_letters if letter not in LOOK_LIKE_DIGITS)
RENDERINGS = 20
"""Drawings of each letter."""
CANVAS = 128
GRID = 8
LEVELS = 16
"""Grey levels above black, as in the digits."""


def draw(letter: str, rendering: int) -> Image:
    """Draw one letter as an 8x8 grey image; stroke, slant, size and place depend on the rendering alone."""
    from PIL import Image, ImageDraw, ImageFont

    vary = random.Random(f"letters/{letter}/{rendering}")  # a text seed gives the same numbers everywhere
    page = Image.new("L", (2 * CANVAS, 2 * CANVAS))
    font = ImageFont.load_default(size=CANVAS)
    stroke = vary.randint(1, 5)
    ImageDraw.Draw(page).text((CANVAS // 2, CANVAS // 4), letter, fill=255, font=font, stroke_width=stroke)
    slant = vary.uniform(-0.25, 0.25)
    page = page.transform(page.size, Image.Transform.AFFINE, (1, slant, -slant * CANVAS, 0, 1, 0))
    glyph = page.crop(page.getbbox())

    height = round(CANVAS * vary.uniform(0.85, 1.0))
    width = min(CANVAS, round(glyph.width * height / glyph.height * vary.uniform(0.85, 1.1)))
    spare_x, spare_y = CANVAS - width, CANVAS - height
    corner = (round(spare_x * vary.uniform(0.35, 0.65)), round(spare_y * vary.random()))
    square = Image.new("L", (CANVAS, CANVAS))
    square.paste(glyph.resize((width, height)), corner)
    return square.resize((GRID, GRID), Image.Resampling.BOX).point(quantise)


def quantise(grey: int) -> int:
    """Round 0 to 255 to the digits' sixteen steps; ink is rarely all white, so light greys are lifted."""
    return round(round(min(1.0, 1.2 * grey / 255) * LEVELS) * 255 / LEVELS)


def open_letters(split: str, root: Path | None = None) -> Pictures:
    """Draw all letters as 8x8 grey images, white strokes on black; raises `DataError` but for `test`."""
    if split != "test":
        raise DataError(f"letters has no split {split!r}: use test")
    import numpy as np

    which = [(label, k) for label in range(len(CLASSES)) for k in range(RENDERINGS)]
    return Pictures(
        items=pixels([draw(CLASSES[label], k) for label, k in which]),
        ids=tuple(f"letters/{CLASSES[label]}/{k:02d}" for label, k in which),
        labels=np.array([label for label, _ in which], dtype=np.int64),
        classes=CLASSES,
    )


LETTERS = DataSet(
    name="letters",
    description="Printed letters that look like no digit, 8x8 grey, drawn with Pillow's bundled font.",
    open=open_letters,
    counts={"test": len(CLASSES) * RENDERINGS},
    classes=CLASSES,
    templates=("a photo of the letter {}",),
    licence="CC0 1.0",
    source="drawn by this package with Pillow's bundled Aileron Regular (Sora Sagano, CC0 1.0)",
    embedded=True,
    drawn_by=("pillow",),
    notes=(f"Without {' '.join(LOOK_LIKE_DIGITS)}, which can be read as digits.",),
)
