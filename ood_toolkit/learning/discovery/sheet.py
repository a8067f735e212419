"""A picture sheet: one row a cluster, its number and size, and some of its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["CELL", "SHOWN", "picture_sheet"]

CELL, SHOWN = 56, 12
"""Side of a picture on the sheet, in pixels, and how many pictures a row has."""
MARGIN, CAPTION = 4, 150


def picture_sheet(rows: Sequence[tuple[str, Sequence[Image]]]) -> Image:
    """Draw rows of a caption and up to `SHOWN` pictures, each fitted into a square, on white; RGB."""
    from PIL import Image as Images
    from PIL import ImageDraw

    step = CELL + MARGIN
    sheet = Images.new("RGB", (CAPTION + SHOWN * step + MARGIN, len(rows) * step + MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    for place, (caption, pictures) in enumerate(rows):
        top = MARGIN + place * step
        draw.multiline_text((MARGIN, top), caption, fill="black")
        for column, picture in enumerate(pictures[:SHOWN]):
            shown = _fitted(picture)
            left = CAPTION + column * step + (CELL - shown.width) // 2
            sheet.paste(shown, (left, top + (CELL - shown.height) // 2))
    return sheet


def _fitted(picture: Image) -> Image:
    """Fit a picture into the cell; a tiny one is enlarged pixel by pixel."""
    from PIL import Image as Images

    picture = picture.convert("RGB")
    factor = CELL / max(picture.size)
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.resize(size, Images.Resampling.NEAREST if factor > 1 else Images.Resampling.BILINEAR)
