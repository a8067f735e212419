"""What a command left behind, as text that is the same whenever it did the same; without times, dates and paths."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

FIRST = 3
"""Values of an array that are shown beside its hash."""
CELL = r'(?:"(?:[^"]|"")*"|[^,]*)'
VARYING = (
    (r'"seconds": [^,\n}]+', '"seconds": 0'),
    (r'"versions": \{[^{}]*\}', '"versions": {}'),
    (r"(?m)^versions:\n(?:  .*\n)+", "versions: -\n"),
    (r" in [0-9]+\.[0-9] s\b", " in 0.0 s"),
    (r"\boodkit, version \S+", "oodkit, version -"),
    (r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+(?:Z|[+-][0-9:]+)?", "TIME"),
)
"""Patterns of what legitimately differs from run to run, and what stands in its place."""


def plain(text: str, places: Mapping[str, str]) -> str:
    """Take times, versions and the paths of this machine out of a text; `places` maps a path to its name."""
    for path, name in sorted(places.items(), key=lambda pair: -len(pair[0])):
        text = text.replace(path, name)
    for pattern, stand_in in VARYING:
        text = re.sub(pattern, stand_in, text)
    return "\n".join(_without_seconds(text.split("\n")))


def _without_seconds(lines: list[str]) -> Iterator[str]:
    """Empty the column `seconds` of a CSV table."""
    row = None
    for line in lines:
        cells = line.split(",")
        if "seconds" in cells and "scorer" in cells:
            row = re.compile(rf"((?:{CELL},){{{cells.index('seconds')}}}){CELL}")
            yield line
        elif row is not None and row.match(line):
            yield row.sub(r"\1-", line, count=1)
        else:
            row = None
            yield line


def shown(path: Path, places: Mapping[str, str]) -> str:
    """Tell what a file, or everything in a folder, holds."""
    if path.is_file():
        return _file(path, path.name, places)
    if not path.is_dir():
        return f"--- {path.name}: absent"
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name != "hashes.sqlite")
    said = [_file(file, f"{path.name}/{file.relative_to(path).as_posix()}", places) for file in files]
    return "\n".join(said) or f"--- {path.name}: empty"


def _file(file: Path, name: str, places: Mapping[str, str]) -> str:
    kinds = {".npz": _npz, ".safetensors": _safetensors, ".pt": _torch}
    if file.suffix in (".json", ".csv", ".txt"):
        body = file.read_text(encoding="utf-8")
    elif file.suffix in kinds:
        body = "\n".join(kinds[file.suffix](file))
    else:
        body = _hash(file.read_bytes())
    return f"--- {name}\n{plain(body, places)}"


def _npz(file: Path) -> Iterator[str]:
    with np.load(file, allow_pickle=False) as held:
        yield from (f"{name}: {array(held[name])}" for name in sorted(held.files))


def _safetensors(file: Path) -> Iterator[str]:
    from safetensors import safe_open

    with safe_open(file, framework="pt") as held:
        for key, text in sorted((held.metadata() or {}).items()):
            yield f"{key}: {text}"
        for name in sorted(held.keys()):
            yield f"{name}: {array(held.get_tensor(name))}"


def _torch(file: Path) -> Iterator[str]:
    import torch

    yield from flat("", torch.load(file, "cpu", weights_only=True))


def flat(name: str, value: Any) -> Iterator[str]:
    """Tell nested values line by line, arrays by their hash."""
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from flat(f"{name}.{key}", part)
    elif isinstance(value, list | tuple) and value:
        for place, part in enumerate(value):
            yield from flat(f"{name}.{place}", part)
    else:
        yield f"{name.removeprefix('.')}: {array(value) if hasattr(value, 'shape') else repr(value)}"


def array(values: Any) -> str:
    """Tell of an array or tensor: type, shape, a hash of all bytes, and the first values in full."""
    held = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
    first = [repr(value) for value in held.ravel()[:FIRST].tolist()]
    more = ", ..." if held.size > FIRST else ""
    return f"{held.dtype} {held.shape} {_hash(np.ascontiguousarray(held).tobytes())} [{', '.join(first)}{more}]"


def _hash(content: bytes) -> str:
    return f"sha256 {hashlib.sha256(content).hexdigest()[:32]}"


def as_json(value: Any) -> str:
    """Write a value as JSON that reads well in a diff."""
    return json.dumps(value, indent=1, ensure_ascii=False)
