"""An image too large to stand in memory twice: made RGB and turned upright by way of a temporary file."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ood_toolkit.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image, Transpose

__all__ = ["bands", "is_large", "through_file"]

LARGE = 1 << 26
"""Pixels up to which two images of four bytes a pixel take 512 MiB at most."""
BAND = 1 << 22
"""Pixels that are converted at once."""


def is_large(image: Image) -> bool:
    """Say whether a second image of this size should not stand beside it."""
    return image.width * image.height > LARGE


def through_file(image: Image, as_rgb: Callable[[Image], Image], turn: Transpose | None = None) -> Image:
    """Convert an image, turn it, and close it before the result is made; to the bytes of doing so at once.

    `as_rgb` makes RGB of a band of its rows. `DataError` where the disk of temporary files is full.
    """
    try:
        return _through_file(image, as_rgb, turn)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        needed = 3 * image.width * image.height >> 20
        raise DataError(
            f"not a readable picture: at {image.width} x {image.height} pixels it is converted in a temporary file of "
            f"{needed:,} MiB, and the disk of {tempfile.gettempdir()} is full; free some of it, or set TMPDIR"
        ) from None


def _through_file(image: Image, as_rgb: Callable[[Image], Image], turn: Transpose | None) -> Image:
    from PIL import Image as Images

    width, height = image.size
    with tempfile.TemporaryFile() as file:
        for top, bottom in bands(width, height):
            file.write(as_rgb(image.crop((0, top, width, bottom))).tobytes())
        image.close()
        file.seek(0)
        made = Images.new("RGB", (height, width) if _aside(turn) else (width, height))
        for top, bottom in bands(width, height):
            band = Images.frombytes("RGB", (width, bottom - top), file.read(3 * width * (bottom - top)))
            made.paste(band if turn is None else band.transpose(turn), _corner(turn, height, top, bottom))
    return made


def bands(width: int, height: int) -> Iterator[tuple[int, int]]:
    """Cut the rows of an image into bands, from and to."""
    rows = max(1, BAND // max(width, 1))
    for top in range(0, height, rows):
        yield top, min(top + rows, height)


def _aside(turn: Transpose | None) -> bool:
    """Say whether rows become columns."""
    from PIL.Image import Transpose

    return turn in (Transpose.TRANSPOSE, Transpose.ROTATE_90, Transpose.ROTATE_270, Transpose.TRANSVERSE)


def _corner(turn: Transpose | None, height: int, top: int, bottom: int) -> tuple[int, int]:
    """Give where the turned band of rows from `top` to `bottom` begins, (x, y)."""
    from PIL.Image import Transpose

    backwards = (Transpose.FLIP_TOP_BOTTOM, Transpose.ROTATE_180, Transpose.ROTATE_270, Transpose.TRANSVERSE)
    first = height - bottom if turn in backwards else top
    return (first, 0) if _aside(turn) else (0, first)
