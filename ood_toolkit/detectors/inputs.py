"""What people have as arrays of numbers: tables, columns of vectors, lists; and which of its rows can be scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ood_toolkit.errors import DetectorError, kind_of
from ood_toolkit.outputs import Outputs

__all__ = ["as_matrix", "is_empty", "unusable"]


def as_matrix(x: Any, what: str = "x") -> Tensor:
    """Give numbers (n, d) as a tensor, copied only where it must be; `DetectorError` says how to convert the rest.

    Taken are tensors, arrays and memory maps, lists of vectors, pandas data frames and columns of vectors, and Arrow
    columns of lists.
    """
    if isinstance(x, Tensor):
        return _two(x.detach(), what)
    kind = type(x).__module__.partition(".")[0]
    if kind == "pyarrow":
        x = _of_arrow(x, what)
    elif kind == "pandas":
        x = _of_pandas(x, what)
    elif isinstance(x, str | bytes | Mapping | type):
        raise DetectorError(f"{what}: expected numbers (n, d), got {type(x).__name__}; pictures go to a Gate")
    try:
        array = np.asarray(x)
    except ValueError:
        raise DetectorError(f"{what}: expected vectors of one length, got ragged rows; give all one length") from None
    if array.dtype == object:
        array = _stacked(array, what)
    if array.dtype.kind not in "fiub":
        raise DetectorError(f"{what}: expected numbers (n, d), got {array.dtype}; convert them with astype('float32')")
    if array.ndim == 1 and not len(array):
        array = array.reshape(0, 0)
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        array = array.astype(np.float64 if array.dtype.kind == "f" else np.float32)
    elif array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("="))
    if any(step < 0 for step in array.strides):
        array = array.copy()
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return _two(torch.from_numpy(array), what)


def _two(tensor: Tensor, what: str) -> Tensor:
    if tensor.ndim == 1 and tensor.numel():
        raise DetectorError(f"{what}: expected (n, d), got one row {tuple(tensor.shape)}; write x[None]")
    if tensor.ndim == 1:
        return tensor.reshape(0, 0)
    if tensor.ndim != 2:
        raise DetectorError(f"{what}: expected (n, d), got shape {tuple(tensor.shape)}; pictures go to a Gate")
    return tensor if tensor.is_floating_point() else tensor.float()


def _of_arrow(x: Any, what: str) -> np.ndarray:
    if hasattr(x, "combine_chunks") and not hasattr(x, "column_names"):
        x = x.combine_chunks()
        x = x.chunk(0) if getattr(x, "num_chunks", 0) == 1 else x
    if hasattr(x, "column_names"):
        raise DetectorError(f"{what}: expected one Arrow column of vectors, got a table; take table['embedding']")
    kind = str(x.type)
    if not kind.startswith(("fixed_size_list", "list", "large_list")):
        raise DetectorError(f"{what}: expected an Arrow column of vectors, got {kind}")
    if x.null_count:
        raise DetectorError(f"{what}: {x.null_count} rows are null; drop them with drop_null()")
    if not len(x):
        return np.empty((0, 0), dtype=np.float32)
    flat = x.flatten().to_numpy(zero_copy_only=False)
    if len(flat) % len(x):
        raise DetectorError(f"{what}: expected vectors of one length in the Arrow column, got ragged rows")
    if kind.startswith(("list", "large_list")) and len(set(x.value_lengths().to_pylist())) > 1:
        raise DetectorError(f"{what}: expected vectors of one length in the Arrow column, got ragged rows")
    matrix: np.ndarray = flat.reshape(len(x), -1)
    return matrix


def _of_pandas(x: Any, what: str) -> np.ndarray:
    if hasattr(x, "columns"):
        odd = [str(name) for name, kind in x.dtypes.items() if kind.kind not in "fiub"]
        if odd:
            raise DetectorError(f"{what}: expected columns of numbers, got {odd[0]}; choose with frame[[...]]")
    values: np.ndarray = x.to_numpy()
    return values


def _stacked(array: np.ndarray, what: str) -> np.ndarray:
    """Make one array of a column of vectors."""
    if array.ndim == 1:
        try:
            made = np.stack([np.asarray(row) for row in array])
        except ValueError:
            raise DetectorError(f"{what}: expected a column of vectors of one length; stack them first") from None
        if made.dtype != object:
            return made
    raise DetectorError(f"{what}: expected numbers (n, d), got objects such as {kind_of(array.reshape(-1)[0])}")


def is_empty(x: Any) -> bool:
    """Tell whether something array-like has no rows; outputs have some."""
    return not isinstance(x, Outputs) and hasattr(x, "__len__") and len(x) == 0


def unusable(rows: Tensor, *, unit_rows: bool) -> dict[int, str]:
    """Say which rows (n, d) cannot be scored, and why: NaN, infinity, and zeros where a direction is needed."""
    largest = rows.abs().amax(dim=1) if rows.shape[1] else rows.new_zeros(len(rows))
    bad = ~torch.isfinite(largest)
    if unit_rows:
        bad |= largest == 0
    reasons = {}
    for row in torch.nonzero(bad).flatten().tolist():
        if bool(torch.isnan(rows[row]).any()):
            reasons[row] = "not scored: NaN among its numbers"
        else:
            zero = bool((rows[row] == 0).all())
            reasons[row] = "not scored: all zeros, so it has no direction" if zero else "not scored: infinite numbers"
    return reasons
