"""Tensors of others: safetensors files, with what their header says as JSON."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ood_toolkit.errors import DataError, OodkitError
from ood_toolkit.store.foreign.arrays import check_empty
from ood_toolkit.store.foreign.guard import DAMAGED, guarded, open_regular, quoted
from ood_toolkit.store.foreign.objects import parsed

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["read_header", "read_tensors"]


LONGEST = 100_000_000
"""Bytes of a header of safetensors, at most."""
BEGINNING = 200
"""Bytes by which other files are recognised."""
OTHERS = (
    (b"\x93NUMPY", "an .npy array"),
    (b"PAR1", "a Parquet file"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
)


def read_tensors(
    file: os.PathLike[str] | str, raises: type[OodkitError] = DataError, expected: str = "a safetensors file",
    where: str = "",
) -> dict[str, Tensor]:  # fmt: skip
    """Read all tensors of a safetensors file by name, to the CPU; `raises` in one line where it is none."""
    return _read(file, raises, expected, where or str(file))[0]


def read_header(
    file: os.PathLike[str] | str, key: str, raises: type[OodkitError] = DataError,
    expected: str = "a safetensors file with metadata", *, needed: bool = True,
) -> tuple[dict[str, Any], dict[str, Tensor]]:  # fmt: skip
    """Read the JSON object under `key` of a safetensors header, and all tensors; `raises` in one line otherwise.

    A file without that key is refused, or, where the object is not `needed`, has an empty one.
    """
    tensors, metadata = _read(file, raises, expected, str(file))
    if key not in metadata and not needed:
        return {}, tensors
    if key not in metadata:
        raise raises(f"{file}: expected {expected}, got other metadata")
    about = parsed(metadata[key], f"{file}: metadata", raises)
    if not isinstance(about, dict):
        raise raises(f"{file}: expected {expected}, got metadata {quoted(about, 40)}")
    return about, tensors


def _instead(file: os.PathLike[str] | str) -> str:
    """Say what a file is that the library cannot read."""
    with open_regular(file) as stream:
        first = stream.read(BEGINNING)
    if first.startswith(b"PK\x03\x04"):
        return "an .npz archive" if b".npy" in first else "a zip archive"
    known = next((name for start, name in OTHERS if first.startswith(start)), "")
    if known:
        return known
    is_one = first[8:9] == b"{" and int.from_bytes(first[:8], "little") < LONGEST
    return DAMAGED if is_one else "a file of another kind"


def _read(
    file: os.PathLike[str] | str, raises: type[OodkitError], expected: str, where: str
) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    with guarded(where, expected, raises):
        open_regular(file).close()  # a pipe would be waited for
        try:
            with safe_open(os.fspath(file), framework="pt") as held:
                tensors = {name: held.get_tensor(name) for name in held.keys()}  # noqa: SIM118 (no mapping)
                metadata = dict(held.metadata() or {})
        except SafetensorError:
            raise raises(f"{where}: expected {expected}, got {_instead(file)}") from None
        for tensor in tensors.values():
            check_empty(tensor.shape, tensor.nbytes)
        return tensors, metadata
