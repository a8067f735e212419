"""`Picture`: one picture that nobody has decoded yet, and how its bytes become an image of a known mode."""

from __future__ import annotations

import io
import os
import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from ood_toolkit.api.large_images import bands, is_large, through_file
from ood_toolkit.errors import DataError
from ood_toolkit.store.foreign.guard import open_regular, read_bytes, reason

if TYPE_CHECKING:
    from numpy import ndarray
    from PIL.Image import Image, Transpose

__all__ = [
    "DECODER", "DRAFT", "LARGEST", "FilePicture", "PartPicture", "Picture", "PixelPicture", "as_decoded", "claimed",
    "decode", "pixels",
]  # fmt: skip

DECODER = "pillow 2: first frame, EXIF upright, 16 bit to 8, transparency dropped"
"""Part of every encoder key: another way to decode is other features."""
DRAFT = 4
"""A JPEG may be decoded at half, a quarter or an eighth of its size where that divides both sides and leaves the
shorter one at least so many times what the model takes.

Measured near the least size allowed: once 1,000 photographs are resized, no one's pixels differ from those of the full
decode by more than 0.9 of 255 on average. Embeddings differ in cosine by 1e-5 at most for a small ViT of 32 x 32 pixels
(350 photographs), by 4e-5 at most for one of 224 x 224 (drawn patterns), and for digits-clip, of 16 x 16, by 2e-5 on
average and 1.3e-3 at most. With 2 the pixels would differ by up to 2.8.
"""
LARGEST = 1280 << 20
"""Bytes of a picture's file: as many pixels as Pillow opens, 16 bits each in three channels, with room to spare."""
ORIENTATION, BITS_PER_SAMPLE, PHOTOMETRIC, WHITE_IS_ZERO = 274, 258, 262, 0
"""Tags of EXIF and TIFF, and a value of the last."""
TILE_WIDTH, TILE_HEIGHT = 322, 323
"""Tags of a TIFF: one tile is decoded whole, however small the picture is."""
PILLOW = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
"""What `warnings.filters` holds while something is decoded: warnings that Pillow gives about itself."""


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
        """Make an image of `content`, which `read` gave; `DataError` where it is none.

        With `least` a JPEG may be decoded smaller, its shorter side still four times as long.
        """
        return decode(content, least)


@dataclass(frozen=True)
class FilePicture(Picture):
    """A picture in a file of its own."""

    path: str
    """Where the file is."""

    def read(self) -> bytes:
        """Read the file; `OSError` where it is none, as a folder or a pipe, or larger than any picture."""
        return read_bytes(self.path, LARGEST)

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
        if not 0 <= self.size <= LARGEST:
            raise OSError(f"{self.path}: expected at most {LARGEST:,} bytes at {self.offset}, got {self.size:,}")
        with open_regular(self.path) as file:
            file.seek(self.offset)
            content = file.read(min(self.size, os.fstat(file.fileno()).st_size))
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

    An 8-bit picture without an orientation comes out as Pillow's `convert("RGB")` makes it, which is what open_clip and
    torchvision do; colour profiles are ignored. With `least`, the shorter side that is needed, a large JPEG is decoded
    at a fraction of its size (see `DRAFT`). Raises `DataError` for what Pillow cannot read to its end, for more pixels
    than twice `PIL.Image.MAX_IMAGE_PIXELS`, and for pixels whose range no one knows. Safe in threads.
    """
    try:
        with _QUIET:
            return _upright_rgb(_load(content, least), ours=True)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # on a damaged file Pillow's readers raise whatever their arithmetic runs into
        raise DataError(f"not a readable picture: {_reason(error, content)}") from None


def as_decoded(image: Image) -> Image:
    """Make of an image that somebody opened what `decode` makes of its file: RGB, upright, 16 bit scaled to 8.

    Raises `DataError` for an image without pixels, and for what `decode` refuses.
    """
    try:
        with _QUIET:
            if 0 in image.size:
                raise DataError(f"not a readable picture: it has no pixels, {image.width} x {image.height}")
            image.load()
            return _upright_rgb(image)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # as in `decode`
        raise DataError(f"not a readable picture: {reason(error)}") from None


def claimed(content: bytes) -> tuple[str, int, int]:
    """Give format, width and height that the bytes of a picture file claim, of a tiled TIFF at least those of a tile.

    Nothing is decoded. Raises `DataError` as `decode` does.
    """
    from PIL import Image

    try:
        with _QUIET, Image.open(io.BytesIO(content)) as image:
            tags = getattr(image, "tag_v2", {})
            tile = [int(tags.get(tag) or 0) for tag in (TILE_WIDTH, TILE_HEIGHT)]
            return str(image.format), max(image.width, tile[0]), max(image.height, tile[1])
    except MemoryError:
        raise
    except Exception as error:  # as in `decode`
        raise DataError(f"not a readable picture: {_reason(error, content)}") from None


def _load(content: bytes, least: int | None) -> Image:
    """Read the first frame, which a phone's JPEG of several pictures (MPO) has too."""
    from PIL import Image

    image: Image.Image = Image.open(io.BytesIO(content))
    if image.format == "EPS":
        raise DataError("not a readable picture: EPS is a program, which is not run")
    if least is not None and image.format in ("JPEG", "MPO"):
        width, height = image.size
        fraction = _fraction(width, height, DRAFT * least)
        if fraction > 1:
            image.draft(image.mode, (width // fraction, height // fraction))
    image.load()
    return image


def _fraction(width: int, height: int, least: int) -> int:
    """Choose by how much to decode a JPEG smaller: by what divides both sides, or Pillow stretches the picture."""
    for fraction in (8, 4, 2):
        if min(width, height) >= fraction * least and width % fraction == height % fraction == 0:
            return fraction
    return 1


def _upright_rgb(image: Image, ours: bool = False) -> Image:
    """Turn and convert an image; one that nobody else has is closed before two of its size would be in memory."""
    turn, as_rgb = _turn(image), _conversion(image)
    if ours and is_large(image) and (turn is not None or image.mode != "RGB"):
        return through_file(image, as_rgb, turn)
    return as_rgb(_turned(image, turn))


def _turn(image: Image) -> Transpose | None:
    """Give the turn that a picture's EXIF orientation asks for; one whose EXIF cannot be read stays as it is stored."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    try:
        return turns.get(image.getexif().get(ORIENTATION, 1))
    except Exception:  # as in `decode`
        return None


def _turned(image: Image, turn: Transpose | None) -> Image:
    if turn is None:
        return image
    turned = image.transpose(turn)
    for name in ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"):  # or the next reader turns it again
        turned.info.pop(name, None)
    return turned


def _conversion(image: Image) -> Callable[[Image], Image]:
    """Give what makes RGB of an image or a part of it: 16 bits are scaled, for Pillow's own conversion cuts them off.

    Pillow reads 16 bits as mode "I" from some formats. From others that is 32 bits or signed: measurements.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        table = _table(image)
        return lambda part: _scaled(part, table).convert("RGB")
    if image.mode in ("I", "F"):
        kind = "floating-point" if image.mode == "F" else "signed or 32-bit"
        raise DataError(f"not a readable picture: {kind} pixels have no known range")
    return lambda part: part if part.mode == "RGB" else part.convert("RGB")


def _table(image: Image) -> ndarray:
    """Give the 8 bits (65536,) of each value of 16; Pillow leaves a TIFF's 12 bits and white-is-zero to us."""
    import numpy as np

    tags = getattr(image, "tag_v2", {})
    white = 4095 if tags.get(BITS_PER_SAMPLE) == (12,) else 65535
    table = np.clip(np.rint(np.arange(1 << 16) * (255 / white)), 0, 255).astype(np.uint8)
    return 255 - table if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else table


def _scaled(image: Image, table: ndarray) -> Image:
    """Scale 16 bits to 8, a band of rows at a time."""
    import numpy as np
    from PIL import Image as Images

    width, height = image.size
    grey = np.empty((height, width), np.uint8)
    for top, bottom in bands(width, height):
        band = np.asarray(image.crop((0, top, width, bottom)))
        grey[top:bottom] = table[band if band.dtype == np.uint16 else np.clip(band, 0, 65535)]
    return Images.fromarray(grey)


def _reason(error: Exception, content: bytes) -> str:
    """Say why in one line; Pillow's own words for what it does not know hold an address in memory."""
    from PIL import UnidentifiedImageError

    if not content:
        return "the file is empty"
    if isinstance(error, UnidentifiedImageError):
        return "damaged, or of no format that Pillow knows"
    said = reason(error)
    if "truncated" in said.lower() or said.startswith("Expected to read"):
        return "it ends too early; get it again"
    return said.replace(", could be decompression bomb DOS attack.", "; make it smaller")


class _Quiet:
    """Keeps Pillow's warnings off while any thread is in here: what they are about is decided above.

    `warnings.catch_warnings` swaps the whole list of filters, so threads would undo each other's; this puts one entry
    first and, after the last thread, takes it out.
    """

    def __init__(self) -> None:
        self.lock = Lock()
        self.inside = 0

    def __enter__(self) -> None:
        with self.lock:
            self.inside += 1
            filters: Any = warnings.filters
            if filters[:1] != [PILLOW]:
                filters.insert(0, PILLOW)

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self.inside -= 1
            filters: Any = warnings.filters
            while not self.inside and PILLOW in filters:
                filters.remove(PILLOW)


_QUIET = _Quiet()
