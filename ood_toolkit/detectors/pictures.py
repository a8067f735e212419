"""What people have as pictures: PIL images, paths, bytes, arrays, tensors and batches of them, one item at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from ood_toolkit.api.picture import FilePicture, Picture, as_decoded, decode
from ood_toolkit.errors import DataError, DetectorError, one_line
from ood_toolkit.outputs.classifier import IMAGES

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Item", "items_of", "prepared"]

IN_DICTS = (*IMAGES, "image")
"""What pictures are called in dicts, as loaders and data sets give them."""


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
    elif isinstance(x, Mapping):
        name = next((name for name in IN_DICTS if name in x), None)
        if name is None:
            raise DetectorError(
                f"pictures: expected {', '.join(IN_DICTS)} in a dict, got {', '.join(map(str, list(x)[:5]))}; give its "
                "pictures alone, such as gate(batch['x'] for batch in loader)"
            )
        yield from items_of(x[name])
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
    """Tell (picture, label) and (batch, labels), and more beside, as loaders and data sets give them, from pictures."""
    if not isinstance(x, tuple | list) or len(x) < 2:
        return False
    first, label, *_ = x
    others = x[1:]
    if isinstance(label, int | np.integer) or label is None:
        return all(isinstance(one, int | np.integer | str) or one is None for one in others)
    batch = isinstance(first, Tensor | np.ndarray) and first.ndim == 4
    return batch and all(_is_column(one) for one in others)


def _is_column(x: Any) -> bool:
    return isinstance(x, Tensor | np.ndarray | list | tuple) and np.ndim(x) <= 1


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
    if isinstance(value, bytes):
        image = decode(value, size)
    elif isinstance(value, Picture):
        image = value.decode(value.read(), size)
    else:
        image = _of_array(value) if isinstance(value, np.ndarray) else value
    image = as_decoded(image)
    try:
        made = preprocess(image)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # it may be anybody's
        raise DataError(f"not scored: its preprocessing cannot take it: {one_line(error)[:200]}") from None
    if not isinstance(made, Tensor):
        raise DetectorError(
            f"preprocess: expected a tensor (c, h, w), got {type(made).__name__}; let it end in a tensor, as "
            "weights.transforms() of torchvision does"
        )
    return made


def _of_array(array: np.ndarray) -> Image:
    from PIL import Image

    fits = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))
    if array.dtype != np.uint8 or not fits or 0 in array.shape:
        hint = "; scale it to 0 to 255 and astype('uint8')" if array.dtype.kind == "f" else ""
        raise DataError(f"not a picture: expected uint8 (h, w) or (h, w, 3), got {array.dtype} {array.shape}{hint}")
    return Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array)
