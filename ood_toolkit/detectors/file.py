"""The file of a detector: one safetensors file with JSON in its header, whole or not at all, and no pickle.

Format 2 is written; format 1, of before calibration was recorded, is read. A SHA-256 over header and arrays finds
damage anywhere.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ood_toolkit.errors import DetectorError
from ood_toolkit.outputs.head import Bank, Head
from ood_toolkit.store.files import replaced_file
from ood_toolkit.store.foreign.guard import quoted
from ood_toolkit.store.foreign.tensors import read_header

__all__ = [
    "FORMAT", "FORMATS", "digest_of", "flatten", "head_of", "head_state", "read", "unflatten", "writable", "write",
]  # fmt: skip

FORMAT = "oodkit-detector-2"
FORMATS = ("oodkit-detector-1", FORMAT)
KEY = "oodkit"
WRITER = "Detector.save or oodkit fit"


def write(path: str | os.PathLike[str], about: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> None:
    """Write a header and arrays to one file; the file that is there stays until the new one is whole."""
    from safetensors.torch import save_file

    target = writable(path)
    said = {**about, "digest": digest_of(about, arrays)}
    with replaced_file(target) as partial:
        save_file(dict(arrays), str(partial), {KEY: json.dumps(said)})


def writable(path: str | os.PathLike[str]) -> Path:
    """Give the place of a file to write; `DetectorError` for a folder, and in a folder that is not there."""
    target = Path(path)
    if not target.parent.is_dir():
        raise DetectorError(f"{target}: its folder does not exist; make it first")
    if target.is_dir():
        raise DetectorError(f"{target}: expected a file to write, this is a folder")
    return target


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read header and arrays; `DetectorError` in one line for a file that is absent, foreign, damaged or too new."""
    about, arrays = read_header(path, KEY, DetectorError, f"a detector written by {WRITER}")
    found = about.get("format")
    if found not in FORMATS:
        raise DetectorError(f"{path}: expected format {' or '.join(FORMATS)}, got {quoted(found, 80)}; {_hint(found)}")
    if found == FORMAT:
        written = about.pop("digest", None)
        if written != digest_of(about, arrays):
            raise DetectorError(f"{path}: damaged: its contents are not what was written; fit the detector again")
    return about, arrays


def _hint(found: object) -> str:
    newer = isinstance(found, str) and found.startswith("oodkit-detector-")
    return "written by another version; update ood-toolkit" if newer else "written by another program"


def digest_of(about: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> str:
    """Give the SHA-256 of a header and its arrays."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name].detach().cpu().contiguous()
        digest.update(f"{name} {array.dtype} {tuple(array.shape)}".encode())
        digest.update(array.reshape(-1).view(torch.uint8).numpy().data if array.numel() else b"")
    return digest.hexdigest()


def head_state(head: Head) -> dict[str, Any]:
    """Give all of a head as arrays and plain values."""
    banks = {
        name: {"embeddings": bank.embeddings, "texts": None if bank.texts is None else list(bank.texts)}
        for name, bank in head.banks.items()
    }
    return {
        "kind": head.kind, "weight": head.weight, "bias": head.bias, "names": list(head.class_names),
        "scale": head.scale, "banks": banks, "unit_rows": head.unit_rows,
    }  # fmt: skip


def head_of(state: Mapping[str, Any]) -> Head:
    """Make the head of what `head_state` gave."""
    banks = {
        name: Bank(bank["embeddings"], None if bank["texts"] is None else tuple(bank["texts"]))
        for name, bank in state["banks"].items()
    }
    weight, bias, names = state["weight"], state["bias"], tuple(state["names"])
    if weight.ndim != 2 or tuple(bias.shape) != (len(names),) or len(weight) != len(names):
        raise ValueError(f"head of {len(names)} names with weight {tuple(weight.shape)} and bias {tuple(bias.shape)}")
    if state["kind"] not in ("zero_shot", "linear"):
        raise ValueError(f"head of kind {state['kind']!r}")
    unit_rows = bool(state.get("unit_rows", False))  # not in files of before there were such heads
    return Head(state["kind"], weight, bias, names, state["scale"], banks, unit_rows)


def flatten(value: Any, key: str, arrays: dict[str, Tensor]) -> Any:
    """Give JSON in which each array is a reference to its place among the tensors of the file."""
    if isinstance(value, Tensor | np.ndarray):
        arrays[key] = torch.as_tensor(value).detach().cpu().contiguous().clone()
        return {"array": key, "numpy": isinstance(value, np.ndarray)}
    if isinstance(value, Mapping):
        return {"items": {str(k): flatten(v, f"{key}.{k}", arrays) for k, v in value.items()}}
    if isinstance(value, list | tuple):
        return [flatten(v, f"{key}.{i}", arrays) for i, v in enumerate(value)]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise DetectorError(f"{key}: a state holds arrays, strings, numbers, lists and dicts, got {type(value).__name__}")


def unflatten(value: Any, arrays: Mapping[str, Tensor]) -> Any:
    """Put the arrays of a file where `flatten` took them from."""
    if isinstance(value, list):
        return [unflatten(v, arrays) for v in value]
    if isinstance(value, dict) and "array" in value:
        array = arrays[value["array"]]
        return array.numpy() if value["numpy"] else array
    if isinstance(value, dict):
        return {k: unflatten(v, arrays) for k, v in value["items"].items()}
    return value
