"""`Shard`: one file of rows and their keys, named after its content so that damage shows."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ood_toolkit.errors import StoreError
from ood_toolkit.store.files import replaced_file
from ood_toolkit.store.foreign.guard import open_regular, reason

__all__ = ["KEY_BYTES", "Shard", "open_shard", "shard_bytes", "shard_name", "write_shard"]

KEY_BYTES = 32
SUFFIX = ".safetensors"
DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "U8": np.dtype("u1")}


@dataclass(frozen=True, eq=False)
class Shard:
    """Rows of one encoder, mapped from a file."""

    path: Path
    keys: np.ndarray
    """(m, 32) uint8: SHA-256 of what each row was made of."""
    rows: np.ndarray
    """(m, ...) float32 memory map."""


def shard_bytes(keys: np.ndarray, rows: np.ndarray) -> bytes:
    """Lay keys (m, 32) and rows (m, ...) out as one safetensors file."""
    from safetensors.numpy import save

    return save({"keys": np.ascontiguousarray(keys), "rows": np.ascontiguousarray(rows, dtype=np.float32)})


def shard_name(content: bytes) -> str:
    """Name a shard after the SHA-256 of its bytes."""
    return hashlib.sha256(content).hexdigest() + SUFFIX


def write_shard(folder: Path, keys: np.ndarray, rows: np.ndarray) -> Path:
    """Write a shard under its name; one that is there already has the same bytes."""
    content = shard_bytes(keys, rows)
    path = folder / shard_name(content)
    with replaced_file(path) as partial:
        partial.write_bytes(content)
    return path


def open_shard(path: Path) -> Shard:
    """Map a shard; `StoreError` for a file that is none. Its checksum is not looked at."""
    try:
        with open_regular(path) as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > 1 << 16:
                raise ValueError("its header is too long")
            header = json.loads(file.read(length))
        arrays = {name: _mapped(path, 8 + length, header[name]) for name in ("keys", "rows")}
        keys, rows = arrays["keys"], arrays["rows"]
        if keys.dtype != np.uint8 or keys.shape != (len(rows), KEY_BYTES) or rows.dtype != np.float32:
            raise ValueError(f"expected keys (m, {KEY_BYTES}) and rows (m, ...), got {keys.shape} and {rows.shape}")
    except (OSError, ValueError, KeyError, TypeError, struct.error, OverflowError, RecursionError) as error:
        raise StoreError(f"{path.name}: no shard of this store ({reason(error)})") from None
    return Shard(path, np.array(keys), rows)


def _mapped(path: Path, start: int, about: dict[str, Any]) -> np.ndarray:
    begin, end = about["data_offsets"]
    dtype: np.dtype[Any] = DTYPES[str(about["dtype"])]
    shape = tuple(int(side) for side in about["shape"])
    if min(shape, default=0) < 0 or begin < 0 or end - begin != dtype.itemsize * int(np.prod(shape, dtype=object)):
        raise ValueError(f"{shape} does not fill the bytes {begin} to {end}")
    return np.memmap(path, dtype, mode="r", offset=start + int(begin), shape=shape)
