"""Pictures in arrays: `ArrayPictures`, and sets in an `.npz` file with `images`, `labels` and `classes`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

from ood_toolkit.api.dataset import DataSet, Pictures
from ood_toolkit.api.picture import Picture
from ood_toolkit.errors import DataError
from ood_toolkit.store.foreign.arrays import listed, read_npz, texts
from ood_toolkit.store.foreign.places import place_of

if TYPE_CHECKING:
    from numpy import ndarray
    from PIL.Image import Image

__all__ = ["ArrayPicture", "ArrayPictures", "npz_set"]

CHANNELS = (1, 3, 4)
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""What Pillow calls pictures of so many channels."""
NO_NAMES = "they have no names; add an array `classes`"


@dataclass(frozen=True, eq=False)
class ArrayPicture(Picture):
    """A picture in an array (h, w) or (h, w, 3 | 4) of uint8, which is no image until one is asked for."""

    pixels: ndarray

    def read(self) -> bytes:
        """Give mode, size and pixels, as a picture in memory does."""
        height, width, *channels = self.pixels.shape
        return f"{MODES[channels[0] if channels else 1]} {(width, height)} ".encode() + self.pixels.tobytes()

    def decode(self, content: bytes, least: int | None = None) -> Image:
        """Make an image of the array."""
        from PIL import Image

        return Image.fromarray(self.pixels)


class ArrayPictures(Sequence[Picture]):
    """The pictures of an (n, h, w) or (n, h, w, c) uint8 array, each made an image when it is asked for."""

    def __init__(self, array: ndarray) -> None:
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    @overload
    def __getitem__(self, place: int) -> Picture: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Picture]: ...
    def __getitem__(self, place: int | slice) -> Picture | Sequence[Picture]:
        if isinstance(place, slice):
            return ArrayPictures(self.array[place])
        pixels = self.array[place]
        return ArrayPicture(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels)


def npz_set(text: str, name: str) -> DataSet:
    """Make a set of one `.npz` file; nothing pickled is read."""
    file = place_of(text)
    archive = read_npz(file, where=f"{name}: not a readable .npz file")
    named = texts(archive["classes"], f"{name}: classes") if "classes" in archive else ()
    classes = tuple(map(str, named))

    def open_npz(split: str, root: Path) -> Pictures:
        if split != "test":
            raise DataError(f"{name} has no split {split!r}: use test")
        images, labels = archive.get("images"), archive.get("labels")
        if images is None:
            arrays = {"embeddings", "features", "logits", "scores"} & set(archive)
            what = "vectors come in with oodkit import NAME FILE.npz" if arrays else "name it so"
            raise DataError(f"{name}: expected an array `images`, got {listed(archive)}; {what}")
        _check(name, images, labels, classes)
        kept = labels is not None and classes
        return Pictures(
            items=ArrayPictures(images),
            ids=tuple(f"{file.stem}/{row:06d}" for row in range(len(images))),
            labels=labels.astype("int64") if labels is not None and kept else None,
            classes=classes if kept else (),
            notes=(f"labels left out: {NO_NAMES}",) if labels is not None and not kept else (),
            unlabelled=NO_NAMES if labels is not None and not kept else "",
        )

    return DataSet(
        name=name,
        description=f"The images of {file.name}.",
        open=open_npz,
        counts={"test": None},
        classes=classes,
        class_count=len(classes),
        layout=(f"{file}: images (n, h, w[, c]) uint8; optional labels (n,), classes (k,)",),
    )


def _check(name: str, images: ndarray, labels: ndarray | None, classes: tuple[str, ...]) -> None:
    if (
        str(images.dtype) != "uint8"
        or images.ndim not in (3, 4)
        or images.shape[3:] not in ((), *((c,) for c in CHANNELS))
    ):
        raise DataError(f"{name}: expected images (n, h, w[, 1|3|4]) uint8, got {images.shape} {images.dtype}")
    if not images.size:
        raise DataError(f"{name}: expected images, found none")
    if labels is None:
        return
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise DataError(f"{name}: expected {len(images)} whole-number labels, got {labels.shape} {labels.dtype}")
    if classes and not -1 <= int(labels.min()) <= int(labels.max()) < len(classes):
        raise DataError(f"{name}: expected labels from -1 to {len(classes) - 1}, one for each of the classes")
