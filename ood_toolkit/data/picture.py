"""`Picture`: one picture that nobody has decoded yet, and how its bytes become an image of a known mode."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ood_toolkit.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["DECODER", "DRAFT", "FilePicture", "PartPicture", "Picture", "PixelPicture", "decode", "pixels"]

DECODER = "pillow 1: first frame, EXIF upright, 16 bit to 8, transparency dropped"
"""Part of every encoder key: another way to decode is other features."""
DRAFT = 4
"""A JPEG may be decoded at half, a quarter or an eighth of its size as long as its shorter side stays at least so many
times what the model takes; embeddings then differ by less than 1e-3 in cosine."""


class Picture(ABC):
    """One picture, not decoded."""

    @abstractmethod
    def read(self) -> bytes:
        """Give the bytes whose SHA-256 is the picture's row key; `OSError` where they cannot be had."""

    @property
    def file(self) -> Path | None:
        """The file that holds these bytes, so that their hash can be remembered; None if there is none."""
        return None

    @property
    def part(self) -> str:
        """Which part of the file they are; "" for all of it."""
        return ""

    def decode(self, content: bytes, least: int | None = None) -> Image:
        """Make an image of what `read` gave; `DataError` where it is none. See `decode`."""
        return decode(content, least)


@dataclass(frozen=True)
class FilePicture(Picture):
    """A picture in a file of its own."""

    path: str

    def read(self) -> bytes:
        """Read the file."""
        return Path(self.path).read_bytes()

    @property
    def file(self) -> Path:
        """The file."""
        return Path(self.path)


@dataclass(frozen=True)
class PartPicture(Picture):
    """A picture in a range of a larger, uncompressed file, such as a tar archive."""

    path: str
    offset: int
    size: int

    def read(self) -> bytes:
        """Read the range; `OSError` where the file is shorter."""
        with Path(self.path).open("rb") as file:
            file.seek(self.offset)
            content = file.read(self.size)
        if len(content) != self.size:
            raise OSError(f"{self.path}: expected {self.size} bytes at {self.offset}, got {len(content)}")
        return content

    @property
    def file(self) -> Path:
        """The file that the range is of."""
        return Path(self.path)

    @property
    def part(self) -> str:
        """The range."""
        return f"@{self.offset}+{self.size}"


@dataclass(frozen=True, eq=False)
class PixelPicture(Picture):
    """A picture that is in memory already."""

    image: Image

    def read(self) -> bytes:
        """Give mode, size and pixels."""
        return f"{self.image.mode} {self.image.size} ".encode() + self.image.tobytes()

    def decode(self, content: bytes, least: int | None = None) -> Image:
        """Give the image as it is."""
        return self.image


def pixels(images: Sequence[Image]) -> tuple[PixelPicture, ...]:
    """Take images in memory as pictures."""
    return tuple(PixelPicture(image) for image in images)


def decode(content: bytes, least: int | None = None) -> Image:
    """Decode the bytes of a picture file to RGB: its first frame, upright, 16 bit scaled to 8, transparency dropped.

    With `least`, the shorter side that is needed, a large JPEG is decoded at a fraction of its size (see `DRAFT`).
    Raises `DataError` for what Pillow cannot read to its end.
    """
    from PIL import Image, ImageOps

    try:
        image: Image.Image = Image.open(io.BytesIO(content))
        if least is not None and image.format == "JPEG":
            wanted = DRAFT * least / min(image.size)
            image.draft(image.mode, (int(image.width * wanted) + 1, int(image.height * wanted) + 1))
        image.load()
        image = ImageOps.exif_transpose(image)
        return _to_rgb(image)
    except (OSError, SyntaxError, ValueError, ZeroDivisionError, Image.DecompressionBombError) as error:
        raise DataError(f"not a readable picture: {' '.join(str(error).split())}") from None


def _to_rgb(image: Image) -> Image:
    """Convert any mode; what has 16 or 32 bits a pixel is scaled, which Pillow's own conversion cuts off at 255."""
    import numpy as np
    from PIL import Image as Images

    if image.mode.startswith("I;16") or image.mode == "I":
        grey = np.asarray(image).astype(np.float64) / 257
        image = Images.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8))
    elif image.mode == "F":
        raise DataError("not a readable picture: floating-point pixels have no known range")
    return image if image.mode == "RGB" else image.convert("RGB")
