"""Anything array-like as a checked tensor, and back to numpy; a memory map is wrapped, never copied."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ood_toolkit.errors import OutputsError, ScorerError

__all__ = [
    "ArrayLike",
    "as_extra",
    "as_ids",
    "as_labels",
    "as_scores",
    "as_tensor",
    "check_rows",
    "rows_of",
    "to_numpy",
]

ArrayLike: TypeAlias = Any
"""A torch tensor, a numpy array or memory map, nested lists of numbers, or a column of vectors of pandas or Arrow."""

ROWS_PER_CHECK = 8192
IN_MEMORY = 256 << 20
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
SCORING = (torch.float32, torch.float64)


def as_tensor(value: ArrayLike, what: str, ndim: int | tuple[int, ...]) -> Tensor:
    """Wrap numbers as a detached float tensor; whole numbers become float32, other precisions stay."""
    tensor = value.detach() if isinstance(value, Tensor) else _from_numpy(value, what)
    if tensor.is_complex():
        raise OutputsError(f"{what}: expected real numbers, got {tensor.dtype}")
    if tensor.dtype not in FLOATS:
        tensor = tensor.to(torch.float32)
    wanted = (ndim,) if isinstance(ndim, int) else ndim
    if tensor.ndim not in wanted:
        dims = " or ".join(str(d) for d in wanted)
        raise OutputsError(f"{what}: expected {dims} dimensions, got shape {tuple(tensor.shape)}")
    return tensor


def as_labels(value: ArrayLike, what: str, rows: int, classes: int | None) -> Tensor:
    """Wrap class indices as (rows,) int64, -1 (none of them) to classes - 1; None: however many classes there are."""
    tensor = value.detach() if isinstance(value, Tensor) else _from_numpy(value, what)
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise OutputsError(f"{what}: expected whole numbers, got {tensor.dtype}; convert them with astype('int64')")
    if tuple(tensor.shape) != (rows,):
        raise OutputsError(f"{what}: expected shape ({rows},), one a row, got {tuple(tensor.shape)}")
    tensor = tensor.to(torch.int64)
    low, high = int(tensor.min()), int(tensor.max())
    if low < -1 or (classes is not None and high >= classes):
        last = "" if classes is None else f" to {classes - 1}"
        raise OutputsError(
            f"{what}: expected class indices from 0{last} (or -1 for none of them), "
            f"got {low if low < -1 else high}; an OOD set's own labels belong in extras['source_labels']"
        )
    return tensor


def as_scores(value: ArrayLike, what: str, rows: int) -> np.ndarray:
    """Hold what a scorer gave to its contract and give it as (rows,) float64; `ScorerError` where it breaks it."""
    if value is None:
        raise ScorerError(f"{what}: expected {rows} scores, one an image, got None; does its score() return them?")
    scores = to_numpy(value)
    if scores.shape != (rows,):
        raise ScorerError(f"{what}: expected scores of shape ({rows},), one an image, got {scores.shape}")
    if scores.dtype.kind != "f":
        raise ScorerError(f"{what}: expected floating scores, got {scores.dtype}; mend its score()")
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        raise ScorerError(
            f"{what}: expected finite scores, got {'NaN' if np.isnan(scores[bad[0]]) else 'infinity'} "
            f"for {len(bad)} of {rows} images; mend its score()"
        )
    return scores.astype(np.float64)


def as_ids(ids: Sequence[str] | np.ndarray, rows: int) -> np.ndarray:
    """Wrap names as (rows,) strings."""
    array = np.asarray(ids).astype(str) if not isinstance(ids, np.ndarray) or ids.dtype.kind != "U" else ids
    if array.shape != (rows,):
        raise OutputsError(f"ids: expected shape ({rows},), one a row, got {array.shape}")
    return array


def as_extra(value: ArrayLike, name: str, rows: int, device: torch.device) -> Tensor | np.ndarray:
    """Wrap a named per-image array (rows, ...): strings, whole numbers or finite floats."""
    array = value if isinstance(value, Tensor | np.ndarray) else np.asarray(value)
    if array.ndim == 0 or array.shape[0] != rows:
        raise OutputsError(f"extra:{name}: expected {rows} rows, got shape {tuple(array.shape)}")
    if isinstance(array, np.ndarray) and array.dtype.kind in "USO":
        return array.astype(str)
    if isinstance(array, np.ndarray) and array.dtype.kind in "iub":
        return torch.as_tensor(array.astype(np.int64), device=device)
    if isinstance(array, Tensor) and not array.is_floating_point() and not array.is_complex():
        return array.to(device)
    tensor = as_tensor(array, f"extra:{name}", tuple(range(1, 6)))
    check_rows(tensor, f"extra:{name}")
    return tensor.to(device)


def rows_of(array: Tensor, places: Tensor) -> Tensor:
    """Give chosen rows; more than 256 MiB go to an unnamed mapped file, as they may be of a mapped file themselves.

    The file is in the temporary folder; where that has no room, they are held in memory.
    """
    size = len(places) * array[:1].numel() * array.element_size()
    if size <= IN_MEMORY or array.device.type != "cpu" or places.dtype != torch.int64:
        return array[places]
    try:
        with tempfile.TemporaryFile() as file:  # it is gone when nobody maps it any more
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)  # a full disk shows here, not when the map is written
            file.truncate(size)
            room = np.memmap(file, np.uint8, mode="r+", shape=(size,))
    except OSError:
        return array[places]
    out = torch.from_numpy(room).view(array.dtype).view(len(places), *array.shape[1:])
    for start in range(0, len(places), ROWS_PER_CHECK):
        some = places[start : start + ROWS_PER_CHECK]
        out[start : start + len(some)] = array[some]
    return out


def check_rows(tensor: Tensor, what: str, *, unit_rows: bool = False) -> None:
    """Refuse NaN and infinity, and rows of zero length where they are to be normalised; walks in blocks."""
    if tensor.shape[0] == 0:
        raise OutputsError(f"{what}: expected at least one row, got none")
    for start in range(0, tensor.shape[0], ROWS_PER_CHECK):
        block = tensor[start : start + ROWS_PER_CHECK]
        block = block.reshape(block.shape[0], -1)
        norms = torch.maximum(block.amax(dim=1), -block.amin(dim=1))  # an eighth of the time of torch's norm "inf"
        if not bool(torch.isfinite(norms).all()):
            row = int(torch.nonzero(~torch.isfinite(norms))[0])
            bad = block[row][~torch.isfinite(block[row])]
            raise OutputsError(
                f"{what}: expected finite numbers, got {bad[0].item()} in row {start + row}; "
                "drop that row or repair what computed it"
            )
        if unit_rows and bool((norms == 0).any()):
            row = int(torch.nonzero(norms == 0)[0])
            raise OutputsError(f"{what}: row {start + row} is all zeros and has no direction; drop it")


def to_numpy(value: ArrayLike) -> np.ndarray:
    """Give a numpy array; half precisions come out as float32."""
    if not isinstance(value, Tensor):
        return np.asarray(value)
    tensor = value.detach().cpu()
    return (tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor).numpy()


def scoring_precision(tensor: Tensor) -> Tensor:
    """Give float32 for whatever is stored more coarsely; float32 and float64 stay as they are."""
    return tensor if tensor.dtype in SCORING else tensor.to(torch.float32)


def _stacked(column: np.ndarray, what: str) -> np.ndarray:
    """Stack a column of vectors, as pandas and Arrow hold them: (n,) of (d,) become (n, d)."""
    if lacking := [place for place, row in enumerate(column) if row is None]:
        raise OutputsError(f"{what}: row {lacking[0]} is None; drop it, or fill it in")
    rows = [np.asarray(row) for row in column]
    lengths = sorted({row.shape for row in rows})
    if any(row.dtype.kind not in "fiub" for row in rows):
        return column
    if len(lengths) > 1:
        raise OutputsError(f"{what}: expected rows of one length, got shapes {lengths[0]} and {lengths[-1]}")
    return np.stack(rows) if rows else column


def _from_numpy(value: ArrayLike, what: str) -> Tensor:
    try:
        array = np.asarray(value)
    except ValueError:
        raise OutputsError(f"{what}: expected an array of numbers, got ragged rows; give all one length") from None
    if array.dtype.kind == "O" and array.ndim == 1:
        array = _stacked(array, what)
    if array.dtype.kind not in "fiub":
        raise OutputsError(f"{what}: expected an array of numbers, got {array.dtype} ({type(value).__name__})")
    if array.dtype.byteorder == ">" or array.dtype in (np.longdouble, np.uint16, np.uint32, np.uint64):
        array = array.astype(np.float64 if array.dtype.kind == "f" else np.int64)
    with warnings.catch_warnings():
        # A read-only memory map is wrapped as it is: nothing in this package writes to its inputs.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        plain = all(step >= 0 and step % array.itemsize == 0 for step in array.strides)
        return torch.from_numpy(array if plain else array.copy())
