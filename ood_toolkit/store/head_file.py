"""A trained head, linear or of class texts, in one safetensors file, with what is known of it as JSON in its header."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ood_toolkit.errors import DataError, OodkitError
from ood_toolkit.outputs.head import Head
from ood_toolkit.store.files import replaced_file
from ood_toolkit.store.foreign.guard import guarded, shown
from ood_toolkit.store.foreign.tensors import read_header

__all__ = ["SavedHead", "read_head", "save_head"]

FORMAT = "oodkit-head-1"
WRITER = "oodkit train head or prompts"


@dataclass(frozen=True, eq=False)
class SavedHead:
    """A head from a file, and what was written down with it."""

    head: Head
    thresholds: Tensor
    """(k,) float64: the class-wise confidence thresholds that it was trained with; (0,) for a head of texts."""
    encoder: Mapping[str, Any]
    """Which encoder its rows are of: `model`, and where they were encoded here `weights` and `preprocessing`."""
    about: Mapping[str, Any]
    """Everything else: the recipe, the data, what was measured."""


def save_head(
    path: str | os.PathLike[str],
    head: Head,
    thresholds: Tensor | None,
    encoder: Mapping[str, Any],
    about: Mapping[str, Any],
) -> None:
    """Write a linear head and its thresholds (k,), or a head of class texts and None, to one file, whole or not at all.

    `DataError` for a head with banks of further texts: they are no part of what was learnt.
    """
    from safetensors.torch import save

    if head.banks:
        raise DataError(f"{path}: expected a head without further texts, got one with {', '.join(head.banks)}")
    said = {
        "format": FORMAT,
        "kind": head.kind,
        "scale": head.scale,
        "class_names": list(head.class_names),
        "unit_rows": head.unit_rows,
        "encoder": dict(encoder),
        "about": dict(about),
    }
    cuts = torch.empty(0) if thresholds is None else thresholds
    arrays = {"weight": head.weight, "bias": head.bias, "thresholds": cuts.double()}
    plain = {name: array.detach().cpu().contiguous().clone() for name, array in arrays.items()}
    body = save(plain, {"oodkit": json.dumps(said)})
    with replaced_file(Path(path)) as partial:
        partial.write_bytes(body)


def read_head(path: str | os.PathLike[str]) -> SavedHead:
    """Read what `save_head` wrote; `DataError` in one line for a file that is absent, foreign or damaged."""
    said, arrays = read_header(path, "oodkit", DataError, f"a head written by {WRITER}")
    if (found := said.get("format")) != FORMAT:
        raise DataError(f"{path}: expected format {FORMAT}, got {shown(found)}; no head, or one of another version")
    with guarded(f"{path}: damaged", f"a head written by {WRITER}"):
        try:
            return _restored(said, arrays)
        except OodkitError as error:
            raise DataError(f"{path}: damaged head: {error}") from None


def _restored(said: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> SavedHead:
    names, unit_rows = said["class_names"], said["unit_rows"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError("class_names: expected a list of names")
    if not isinstance(unit_rows, bool):
        raise DataError(f"unit_rows: expected true or false, got {unit_rows!r}")
    kind = said.get("kind", "linear")
    if kind not in ("linear", "zero_shot"):
        raise DataError(f"kind: expected linear or zero_shot, got {kind!r}")
    if kind == "zero_shot":
        head = _of_texts(arrays, names, said["scale"])
    else:
        head = Head.linear(arrays["weight"], arrays["bias"], names, unit_rows)
    thresholds = arrays["thresholds"].to(torch.float64)
    expected = head.classes if kind == "linear" else 0
    if tuple(thresholds.shape) != (expected,) or bool(thresholds.isnan().any()):
        raise DataError(f"thresholds: expected {expected} numbers, got shape {tuple(thresholds.shape)}")
    return SavedHead(head, thresholds, dict(said["encoder"]), dict(said["about"]))


def _of_texts(arrays: Mapping[str, Tensor], names: list[str], scale: float) -> Head:
    """Make a head of class texts whose rows stay as they are to the bit."""
    bias = arrays["bias"]
    if bias.ndim != 1 or not len(bias) or bool((bias != bias[0]).any()):
        raise DataError(f"bias: expected one number for all classes, got shape {tuple(bias.shape)}")
    made = Head.zero_shot(arrays["weight"], names, scale, float(bias[0]))
    if not torch.allclose(made.weight, arrays["weight"], atol=1e-6):
        raise DataError("weight: expected unit rows")
    return replace(made, weight=arrays["weight"])
