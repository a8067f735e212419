"""Banks of text embeddings from files: learned negatives, "no" classifiers and other rows that papers released."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ood_toolkit.errors import ModelError, OutputsError
from ood_toolkit.models.weights import DASSL, SUFFIXES, read_held
from ood_toolkit.outputs.arrays import as_tensor
from ood_toolkit.outputs.head import Bank
from ood_toolkit.store.foreign.arrays import listed, texts
from ood_toolkit.store.foreign.guard import guarded
from ood_toolkit.store.foreign.places import place_of

__all__ = ["holds_arrays", "read_bank"]

KINDS = (*SUFFIXES, ".npz", ".npy")
ARRAYS = ("embeddings", "text", "features", "weight")
CLASSES = ("classes", "class_names")
TEXTS = ("texts", "names")


def holds_arrays(path: Path | str) -> bool:
    """Tell a file with embeddings from one with texts, by its name."""
    path = Path(path)
    return path.suffix in KINDS or DASSL.search(path.name) is not None


def read_bank(path: Path | str, width: int, class_names: Sequence[str], name: str = "") -> Bank:
    """Read the text embeddings of a bank as unit rows, (m, d), (k, d) or (p, k, d), for classes of these names.

    docs/models.md lists the layouts. An array of the bank's own name comes before others. Rows whose strings are class
    names come in the order of `class_names`. `ModelError` for another width, for a class that is absent or doubled,
    and for a file that holds something else.
    """
    path = place_of(path)
    with guarded(f"text:{name or 'bank'}: {path}", "embeddings of texts", ModelError):
        return _bank(path, width, tuple(class_names), name)


def _bank(path: Path, width: int, names: tuple[str, ...], name: str) -> Bank:
    what = f"text:{name or 'bank'}: {path}"
    held = read_held(path, f"text:{name or 'bank'}", KINDS)
    if isinstance(held, Mapping) and names and set(names) <= set(held):
        held = (list(names), _stacked([held[one] for one in names], what))
    array, strings, of_classes = _parts(held, name, what)
    if isinstance(held, Mapping) and name == "negatives" and "positives" in held and np.ndim(array) == 3:
        array = as_tensor(array, what, 3).transpose(0, 1)  # NegPrompt counts classes first: (k, p, d)
    try:
        rows = as_tensor(array, what, (2, 3))
        if rows.shape[-1] != width:
            raise OutputsError(f"{what}: expected rows of width {width}, as the head has, got {tuple(rows.shape)}")
        _check_classes(rows, strings, names, name, what)
        if strings is not None and (of_classes or name == "no" or set(strings) == set(names)):
            rows, strings = rows[..., _order(strings, names, rows.shape[-2], what), :], names
        return Bank.of(rows if strings is None else (strings, rows), what)
    except OutputsError as error:
        raise ModelError(str(error)) from None


def _parts(held: Any, name: str, what: str) -> tuple[Any, tuple[str, ...] | None, bool]:
    """Find the array, its strings, and whether these name classes."""
    if isinstance(held, tuple | list) and len(held) == 2 and any(map(_are_strings, held)):
        strings, array = held if _are_strings(held[0]) else reversed(held)
        return array, tuple(strings), True
    if not isinstance(held, Mapping):
        return held, None, False
    found = [key for key in ((name,) if name in held else ARRAYS) if key in held]
    if len(found) != 1:
        said = listed(held, 5)
        wanted = " or ".join(([name] if name else []) + list(ARRAYS))
        raise ModelError(f"{what}: expected one array named {wanted}, or one of each class by its name, got {said}")
    for keys, of_classes in ((CLASSES, True), (TEXTS, False)):
        for key in keys:
            if key in held:
                return held[found[0]], _strings(held[key], f"{what}: {key}"), of_classes
    return held[found[0]], None, False


def _check_classes(rows: Tensor, strings: tuple[str, ...] | None, names: tuple[str, ...], name: str, what: str) -> None:
    """Refuse shapes that a set of rows for each class, or one such set, cannot have."""
    k = len(names)
    if name == "no" and rows.ndim != 2:
        raise ModelError(f"{what}: expected ({k}, d), one row a class, got {tuple(rows.shape)}")
    if strings is not None:
        if len(strings) != rows.shape[-2]:
            raise ModelError(f"{what}: expected {rows.shape[-2]} strings, one a row, got {len(strings)}")
    elif rows.ndim == 3 and rows.shape[1] != k:
        more = "; transpose its first two axes" if rows.shape[0] == k else ""
        raise ModelError(f"{what}: expected (p, {k}, d), p sets of one row a class, got {tuple(rows.shape)}{more}")
    elif name == "no" and len(rows) != k:
        raise ModelError(f"{what}: expected {k} rows, one a class, got {len(rows)}")


def _order(strings: tuple[str, ...], names: tuple[str, ...], rows: int, what: str) -> list[int]:
    """Give the places of the head's classes in a file's class list, which may hold further classes."""
    if strings == names:
        return list(range(rows))
    wanted = set(names)
    if len(wanted) < len(names):
        double = next(one for one in names if names.count(one) > 1)
        raise ModelError(f"{what}: {double!r} is the name of several classes, so rows cannot be told apart by name")
    if absent := [one for one in names if one not in set(strings)]:
        raise ModelError(f"{what}: has no row for the class {absent[0]!r} ({len(absent)} of {len(names)} are absent)")
    if doubled := [one for one in dict.fromkeys(strings) if one in wanted and strings.count(one) > 1]:
        raise ModelError(f"{what}: has {strings.count(doubled[0])} rows for the class {doubled[0]!r}; keep one")
    places = {one: place for place, one in enumerate(strings)}
    return [places[one] for one in names]


def _stacked(parts: Sequence[Any], what: str) -> Tensor:
    """Put the rows of each class, (d,) or (p, d), together as (k, d) or (p, k, d)."""
    try:
        rows = [as_tensor(part, what, (1, 2)) for part in parts]
        return torch.stack(rows, dim=-2)
    except OutputsError as error:
        raise ModelError(str(error)) from None
    except RuntimeError:
        shapes = sorted({str(tuple(row.shape)) for row in rows})
        raise ModelError(f"{what}: expected the same shape for each class, got {' and '.join(shapes[:3])}") from None


def _strings(value: Any, what: str) -> tuple[str, ...]:
    if isinstance(value, np.ndarray) and value.dtype.kind in "US":
        return tuple(texts(value, what, ModelError).tolist())
    if _are_strings(value):
        return tuple(value)
    raise ModelError(f"{what}: expected a list of strings, got {type(value).__name__}")


def _are_strings(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(one, str) for one in value)
