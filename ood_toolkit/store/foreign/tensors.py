"""Tensors of others: safetensors files, with what their header says as JSON."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ood_toolkit.errors import DataError, OodkitError
from ood_toolkit.store.foreign.arrays import check_empty
from ood_toolkit.store.foreign.guard import guarded, opened, quoted
from ood_toolkit.store.foreign.objects import parsed

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["read_header", "read_tensors"]


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


def _read(
    file: os.PathLike[str] | str, raises: type[OodkitError], expected: str, where: str
) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import safe_open

    with guarded(where, expected, raises):
        opened(file).close()  # a pipe would be waited for
        with safe_open(os.fspath(file), framework="pt") as held:
            tensors = {name: held.get_tensor(name) for name in held.keys()}  # noqa: SIM118 (no mapping)
            metadata = dict(held.metadata() or {})
        for tensor in tensors.values():
            check_empty(tensor.shape, tensor.nbytes)
        return tensors, metadata
