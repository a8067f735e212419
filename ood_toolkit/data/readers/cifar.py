"""CIFAR-10 and CIFAR-100 as they are published: pickles, of which nothing is ever executed."""

from __future__ import annotations

import _codecs
import ast
import hashlib
import pickle
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ood_toolkit.api.dataset import Pictures
from ood_toolkit.data.readers.npz_images import ArrayPictures
from ood_toolkit.errors import DataError
from ood_toolkit.store.foreign.guard import MIB, guarded, read_bytes, reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from ood_toolkit.data.readers.folders import Reader

__all__ = ["cifar", "download_cifar", "read_batch"]


class Kind:
    """Stands for a type of numbers: takes any state, and keeps none."""

    def __init__(self, *code: object) -> None:
        """Take the code of a type."""

    def __setstate__(self, state: object) -> None:
        """Keep nothing."""


class Raw:
    """Stands for an array: keeps the bytes that numpy would fill it with."""

    content = b""

    def __setstate__(self, state: tuple[object, ...]) -> None:
        """Keep the last part of what numpy writes: version, shape, type, order, bytes."""
        content = state[-1]
        self.content = content.encode("latin1") if isinstance(content, str) else bytes(memoryview(content))  # type: ignore[arg-type]


class ArraysOnly(pickle._Unpickler):
    """An unpickler that knows arrays and nothing else, and makes none: numpy trusts what it is filled with.

    It is the one written in Python: that in C makes room for as many remembered objects as a file claims to have.
    """

    def find_class(self, module: str, name: str) -> Any:
        """Give one of the stand-ins for what builds an array; `UnpicklingError` for anything else."""
        allowed = {
            "multiarray._reconstruct": _raw,
            "numpy.ndarray": Raw,
            "numpy.dtype": Kind,
            "_codecs.encode": _codecs.encode,
        }
        known = f"{module}.{name}"
        for package in ("numpy.core.", "numpy._core."):
            known = known.removeprefix(package)
        if known not in allowed:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of an array")
        return allowed[known]


def _raw(*about: object) -> Raw:
    return Raw()


def read_batch(file: Path, md5: str, label_key: str) -> tuple[Any, list[int]]:
    """Read one batch, (n, 3072) uint8 and n labels; `DataError` for a file that is not the published one."""
    import numpy as np

    with guarded(str(file), "the published file"):
        content = read_bytes(file, 256 * MIB)
    got = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if got != md5:
        raise DataError(f"{file}: expected the published file with md5 {md5}, got {got}; it was not opened")
    try:
        held = ArraysOnly(BytesIO(content), encoding="latin1").load()
        pixels = np.frombuffer(held["data"].content, np.uint8).reshape(-1, 3072)
        return pixels, [int(label) for label in held[label_key]]
    except Exception as error:  # a damaged pickle may raise anything
        raise DataError(f"{file}: not a batch of CIFAR images: {reason(error)}") from error


@cache
def published(kind: str) -> Mapping[str, Sequence[tuple[str, str]]]:
    """Give name and md5 of the batches of `train` and `test` as torchvision lists them, without importing it.

    `DataError` where it lists them otherwise than releases up to 0.29 do.
    """
    found = find_spec("torchvision")
    places = list(found.submodule_search_locations or ()) if found else []
    try:
        tree = ast.parse(read_bytes(Path(places[0], "datasets", "cifar.py"), 16 * MIB))
        (body,) = [node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind]
        named = {
            line.targets[0].id: line.value
            for line in body
            if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name)
        }
        lists = {split: ast.literal_eval(named[f"{split}_list"]) for split in ("train", "test")}
        return {split: [(str(name), str(md5)) for name, md5 in rows] for split, rows in lists.items()}
    except (OSError, IndexError, KeyError, ValueError, SyntaxError):
        raise DataError(f"{kind}: this torchvision does not list its files as expected; install 0.29") from None


def cifar(kind: str, names: tuple[str, ...]) -> Reader:
    """Make a reader of the batches that torchvision's `CIFAR10` or `CIFAR100` lists, each checked by its md5."""
    folder = {"CIFAR10": "cifar-10-batches-py", "CIFAR100": "cifar-100-python"}[kind]
    label_key = {"CIFAR10": "labels", "CIFAR100": "fine_labels"}[kind]

    def read(split: str, root: Path) -> Pictures | None:
        if not (root / folder).is_dir():
            return None
        import numpy as np

        files = published(kind)[split]
        absent = [name for name, _ in files if not (root / folder / name).is_file()]
        if absent:
            raise DataError(f"{root / folder}: expected {', '.join(name for name, _ in files)}; {absent[0]} is missing")
        batches = [read_batch(root / folder / name, md5, label_key) for name, md5 in files]
        pixels = np.concatenate([data for data, _ in batches]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        return Pictures(
            ArrayPictures(np.ascontiguousarray(pixels)),
            tuple(f"{split}/{row:05d}" for row in range(len(pixels))),
            np.array([label for _, labels in batches for label in labels], dtype=np.int64),
            names,
        )

    return read


def download_cifar(kind: str) -> Callable[[Path], None]:
    """Make a download of the archive, checked by torchvision's md5; its own class would unpickle it."""

    def bring(root: Path) -> None:
        import torchvision
        from torchvision.datasets.utils import download_and_extract_archive

        published = getattr(torchvision.datasets, kind)
        root.mkdir(parents=True, exist_ok=True)
        download_and_extract_archive(published.url, str(root), filename=published.filename, md5=published.tgz_md5)

    return bring
