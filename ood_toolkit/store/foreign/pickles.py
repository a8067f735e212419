"""Files of `torch.save`: tensors, numbers, strings and containers of them; nothing in a file is run."""

from __future__ import annotations

import os
import pickle
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ood_toolkit.errors import ModelError, OodkitError
from ood_toolkit.store.foreign.arrays import check_empty, check_times, check_unpacked
from ood_toolkit.store.foreign.guard import MIB, guarded, open_regular, room

__all__ = ["members", "read_pickle"]

VIRTUAL = MIB
"""Bytes that a tensor may take beyond what is stored of it, as an expanded one does."""
MORE = "holds more than tensors, or is no torch file, and nothing in a file is run; save its state_dict alone"


def read_pickle(
    file: os.PathLike[str] | str,
    raises: type[OodkitError] = ModelError,
    inert: Sequence[str] = (),
    what: str = "weights",
) -> Any:
    """Read what a file of `torch.save` holds, to the CPU; `raises` in one line for anything else.

    Objects of the modules whose names start with one of `inert` become empty stand-ins.
    """
    path = Path(file)
    with guarded(f"{what}: {path}", "a file of torch.save", raises):
        is_archive = _check_kind(path, raises, what)
        try:
            held = _loaded(path, inert if is_archive else ())
        except pickle.UnpicklingError:
            raise raises(f"{what}: {path} {MORE}") from None
        _check_tensors(held)
        return held


def members(file: Path) -> list[str]:
    """List the members of a zip archive; none where a file is no such archive, or no regular file."""
    try:
        with open_regular(file) as handle:
            if not zipfile.is_zipfile(handle):
                return []
            with zipfile.ZipFile(handle) as archive:
                return archive.namelist()
    except Exception:  # whoever reads it says what is wrong
        return []


def _check_kind(path: Path, raises: type[OodkitError], what: str) -> bool:
    """Tell a zip archive from a bare pickle; refuse what unpacks beyond bounds, and torch's tar files of 2017."""
    with open_regular(path) as handle:
        size = os.fstat(handle.fileno()).st_size
        if not zipfile.is_zipfile(handle):
            handle.seek(0)
            if tarfile.is_tarfile(handle):
                raise raises(f"{what}: {path}: expected a file of torch.save, got a tar file; save it again")
            return False
        with zipfile.ZipFile(handle) as archive:
            held = archive.infolist()
    for member in held:
        check_unpacked(member, size)
    check_times(sum(one.compress_size for one in held), sum(one.file_size for one in held))
    return True


def _loaded(path: Path, inert: Sequence[str]) -> Any:
    import torch
    from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

    names = get_unsafe_globals_in_checkpoint(path) if inert else []
    known = safe_globals([_stand_in(name) for name in names if name.startswith(tuple(inert))])
    with known, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is wrong with a file is an error of ours
        return torch.load(path, "cpu", weights_only=True)


def _check_tensors(held: Any) -> None:
    """Refuse tensors without plain numbers behind each of their places, wherever they are in containers."""
    import torch

    left, seen = [held], set[int]()
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, dict):
            left += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | set | frozenset):
            left += one
        elif isinstance(one, torch.Tensor):
            if one.layout != torch.strided or one.device.type != "cpu" or one.is_quantized:
                raise TypeError(f"a tensor of layout {one.layout} on {one.device}")
            check_empty(one.shape, one.numel())
            needed, stored = one.numel() * one.element_size(), one.untyped_storage().nbytes()
            if needed > stored + room(VIRTUAL):
                raise TypeError(f"a tensor of shape {tuple(one.shape)} of which {stored:,} bytes are stored")


class Empty:
    """Stands for an object that is not wanted: takes any arguments and any state, and keeps none."""

    def __new__(cls, *args: object, **options: object) -> Empty:
        return object.__new__(cls)

    def __setstate__(self, state: object) -> None:
        """Keep nothing."""


def _stand_in(name: str) -> Callable[..., object]:
    """Make an empty class of that full name; for a dictionary with a default, what makes a plain one."""
    module, _, own = name.rpartition(".")
    if name == "collections.defaultdict":  # torch fills no other class with items than its own few

        def empty_dict(*args: object) -> dict[object, object]:
            return {}

        empty_dict.__module__, empty_dict.__qualname__ = module, own
        return empty_dict
    return type(own, (Empty,), {"__module__": module, "__qualname__": own})
