"""`thumbnail`: a small picture of a picture, for a report."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from ood_toolkit.api.picture import Picture
from ood_toolkit.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["SIDE", "thumbnail"]

SIDE = 96
"""Pixels of the longer side; smaller pictures stay as they are."""
FEW = 48 * 48
"""Pixels up to which PNG is no larger than JPEG, and shows each of them."""
QUALITY = 82


def thumbnail(picture: Picture) -> bytes | None:
    """Give a picture as the bytes of a small PNG or JPEG file without metadata; None where it cannot be read."""
    try:
        image = picture.decode(picture.read(), SIDE)
    except (DataError, OSError):
        return None
    return _encoded(_fitted(image.convert("RGB") if image.mode not in ("L", "RGB") else image))


def _fitted(image: Image) -> Image:
    from PIL.Image import Resampling

    factor = SIDE / max(image.size)
    if factor >= 1:
        return image
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    return image.resize(size, Resampling.LANCZOS, reducing_gap=3)


def _encoded(image: Image) -> bytes:
    from PIL import Image as Images

    bare = Images.frombytes(image.mode, image.size, image.tobytes())  # leaves what the file said of itself behind
    out = io.BytesIO()
    if image.width * image.height <= FEW:
        bare.save(out, "PNG", optimize=True)
    else:
        bare.save(out, "JPEG", quality=QUALITY, optimize=True)
    return out.getvalue()
