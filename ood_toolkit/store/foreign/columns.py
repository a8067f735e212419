"""Columns of Parquet files as arrays: vectors, numbers and texts; columns of anything else are passed over."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ood_toolkit.errors import DataError
from ood_toolkit.store.foreign.arrays import MOST_TIMES, SMALL
from ood_toolkit.store.foreign.footers import claimed_values
from ood_toolkit.store.foreign.guard import DAMAGED, guarded, open_regular, room, shown, too_large

if TYPE_CHECKING:
    import numpy as np

__all__ = ["check_values", "read_columns"]

WIDEST = 8
"""Bytes of a number."""


def read_columns(file: os.PathLike[str] | str) -> dict[str, np.ndarray]:
    """Read a Parquet file: columns of vectors as (n, d), of numbers and of texts as (n,), by name.

    `DataError` in one line for a file that is none, for vectors of several lengths, and where pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise DataError(f"{file}: needs pyarrow to read Parquet: pip install 'ood-toolkit[parquet]'") from None
    with guarded(str(file), "a Parquet file"), open_regular(file) as handle:
        try:
            check_values(sum(claimed_values(handle)), os.fstat(handle.fileno()).st_size)
            table = _table(parquet.ParquetFile(handle))
        except pyarrow.ArrowInvalid:
            raise DataError(f"{file}: expected a Parquet file, got {_why(handle)}") from None
        named = {name: _array(table.column(name), f"{file}: column {shown(name)}") for name in table.column_names}
    return {name: array for name, array in named.items() if array is not None}


def check_values(count: int, size: int) -> None:
    """Refuse, with an `OSError`, more values than a file of `size` bytes should have: one may be repeated for ever."""
    unpacked, most = WIDEST * count, room(max(SMALL, MOST_TIMES * size))
    if unpacked > most:
        raise OSError(too_large(unpacked, most, "columns that may take"))


def _table(held: Any) -> Any:
    wanted = [one.name for one in held.schema_arrow if _kind(one.type)]
    return held.read(columns=wanted, use_threads=False)


def _kind(kind: Any) -> str:
    """Tell what a column becomes: vectors, numbers, texts, or nothing."""
    from pyarrow import types

    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return "vectors" if _kind(kind.value_type) == "numbers" else ""
    if types.is_dictionary(kind):
        return "texts" if _kind(kind.value_type) == "texts" else ""
    if types.is_integer(kind) or types.is_floating(kind):
        return "numbers"
    return "texts" if types.is_string(kind) or types.is_large_string(kind) else ""


def _array(column: Any, where: str) -> np.ndarray | None:
    import numpy as np

    kind = _kind(column.type)
    if kind == "vectors":
        return _vectors(column, where)
    if column.null_count and kind == "numbers":
        raise DataError(f"{where}: expected a number in each row, got none in {column.null_count:,} of {len(column):,}")
    if kind == "texts":
        return np.array([text or "" for text in column.to_pylist()], dtype=str)
    array: np.ndarray = column.to_numpy()
    return array


def _vectors(column: Any, where: str) -> np.ndarray:
    import numpy as np
    from pyarrow import compute

    lengths = np.array(compute.fill_null(compute.list_value_length(column), 0).to_numpy())
    width = int(lengths[0]) if len(lengths) else 0
    other = np.flatnonzero(lengths != width)
    if len(other):
        raise DataError(
            f"{where}: expected vectors of one length, got {width} numbers in row 0 and {lengths[other[0]]} in row "
            f"{other[0]}"
        )
    parts = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    return np.concatenate(parts or [np.empty(0, np.float32)]).reshape(len(lengths), width)


def _why(handle: Any) -> str:
    """Say what is wrong with a file in our words where its ends tell."""
    handle.seek(0)
    return DAMAGED if handle.read(4) == b"PAR1" else "a file that does not begin as one"
