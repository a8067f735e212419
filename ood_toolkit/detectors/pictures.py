"""What people have as pictures: PIL images, paths, bytes, arrays, tensors and batches of them, one item at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from ood_toolkit.api.picture import FilePicture, Picture, decode
from ood_toolkit.errors import DataError, DetectorError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Item", "items_of", "prepared"]


@dataclass(frozen=True, eq=False)
class Item:
    """One picture in any form."""

    value: Any
    name: str | None = None
    """What it is called: its path; None where it has no name."""


def items_of(x: Any) -> Iterator[Item]:
    """Walk pictures in any form: one, a list, a batch, a loader of batches with or without labels, an iterator.

    Tensors (c, h, w) and batches (n, c, h, w) are taken as preprocessed; arrays (h, w), (h, w, 3) and (n, h, w, 3) of
    bytes as pictures. `DetectorError` for what is none of these.
    """
    if isinstance(x, Item):
        yield x
    elif isinstance(x, str | Path):
        yield Item(FilePicture(str(x)), str(x))
    elif isinstance(x, Picture):
        yield Item(x, None if x.file is None else f"{x.file}{x.part}")
    elif isinstance(x, bytes | bytearray | memoryview) or _is_image(x):
        yield Item(bytes(x) if isinstance(x, bytearray | memoryview) else x)
    elif isinstance(x, Tensor | np.ndarray) and not _is_many(x):
        yield Item(x)
    elif _is_pair(x):
        yield from items_of(x[0])
    elif isinstance(x, Iterable) or hasattr(x, "__getitem__"):
        for one in x:
            yield from items_of(one)
    else:
        raise DetectorError(
            f"pictures: expected PIL images, paths, bytes, arrays, tensors, or an iterable of them, got "
            f"{type(x).__name__}"
        )


def _is_image(x: Any) -> bool:
    from PIL.Image import Image

    return isinstance(x, Image)


def _is_many(x: Tensor | np.ndarray) -> bool:
    """Tell a batch from one picture: four axes, or a column of paths or images."""
    return x.ndim >= 4 or (isinstance(x, np.ndarray) and x.dtype.kind in "OUS")


def _is_pair(x: Any) -> bool:
    """Tell (picture, label) and (batch, labels), as loaders and data sets give them, from two pictures."""
    if not isinstance(x, tuple | list) or len(x) != 2:
        return False
    first, second = x
    if isinstance(second, int | np.integer) or second is None:
        return True
    batch = isinstance(first, Tensor | np.ndarray) and first.ndim == 4
    return batch and isinstance(second, Tensor | np.ndarray | list | tuple) and np.ndim(second) <= 1


def prepared(item: Item, preprocess: Callable[[Image], Tensor] | None, size: int | None) -> Tensor:
    """Give one picture as the network takes it, (c, h, w); `DataError` or `OSError` where it cannot be read."""
    value = item.value
    if isinstance(value, Tensor):
        if value.ndim != 3:
            raise DataError(f"not a picture: expected a tensor (c, h, w), got shape {tuple(value.shape)}")
        return value
    if preprocess is None:
        raise DetectorError(
            "pictures: a torch module takes tensors (c, h, w); pass preprocess= to give it pictures, as "
            "Gate(module, detector, preprocess=weights.transforms())"
        )
    if isinstance(value, np.ndarray):
        value = _of_array(value)
    if isinstance(value, bytes):
        value = decode(value, size)
    if isinstance(value, Picture):
        value = value.decode(value.read(), size)
    return preprocess(value)


def _of_array(array: np.ndarray) -> Image:
    from PIL import Image

    fits = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))
    if array.dtype != np.uint8 or not fits or 0 in array.shape:
        hint = "; scale it to 0 to 255 and astype('uint8')" if array.dtype.kind == "f" else ""
        raise DataError(f"not a picture: expected uint8 (h, w) or (h, w, 3), got {array.dtype} {array.shape}{hint}")
    return Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array)
