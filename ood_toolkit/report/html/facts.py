"""Everything that decided a run, as pairs of a word and what it was."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ood_toolkit.metrics import find_protocol
from ood_toolkit.report.cells import json_text, plain
from ood_toolkit.report.run_header import parts_of

__all__ = ["facts"]

OWN = ("model", "weights", "prompts", "templates", "recipe", "heads", "shots", "validation", "val_split", "seed",
       "limit", "tune_splits", "encoder", "imported")  # fmt: skip
"""Keys of the header that decide the outputs and thresholds, in the order in which they are shown."""
WORDS = {"val_split": "validation share", "tune_splits": "tuned on", "weights": "weights (SHA-256)",
         "imported": "arrays (SHA-256)", "heads": "trained heads"}  # fmt: skip
ELSEWHERE = {
    *OWN, "protocol", "id", "ood", "groups", "csid", "versions", "command", "notes", "published", "paired", "intervals",
    "models", "shared_seconds", "encoding", "tuned", "preset",
}  # fmt: skip


def facts(header: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Give what decided a run: command, versions, hashes, seeds, protocol, sets; each a word with lines of text."""
    command = header.get("command")
    found = [("command", [plain(f"oodkit {shlex.join(map(str, command))}")])] if isinstance(command, list) else []
    found += [("versions", [", ".join(f"{plain(k)} {plain(v)}" for k, v in _items(header.get("versions")))])]
    found += _protocol(header)
    parts = list(parts_of(header))
    for begin, part in parts:
        of = f" of {plain(begin[0])}" if len(parts) > 1 else ""
        found += [(f"{WORDS.get(key, key)}{of}", _lines(part[key])) for key in OWN if key in part]
        sizes = [f"{one['name']}: {one['images']} images" for one in part["id"]]
        found.append((f"ID{of}", [plain(line) for line in sizes]))
    found.append(("OOD", [plain(f"{name}: {count} images") for name, count in parts[0][1]["ood"].items()]))
    for key in ("groups", "csid", "preset", "tuned", "intervals"):
        if key in header:
            found.append((key, _lines(header[key])))
    found += [(plain(key), _lines(value)) for key, value in header.items() if key not in ELSEWHERE]
    return [(word, lines) for word, lines in found if lines and lines != [""]]


def _protocol(header: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    protocol = find_protocol(str(header["protocol"]))
    lines = [f"{protocol.name}: {protocol.description}", f"FPR95: {protocol.fpr_rule}", f"AUPR: {protocol.aupr}"]
    return [("protocol", [*lines, f"averages over {protocol.averaging}"])]


def _items(found: Any) -> Iterator[tuple[Any, Any]]:
    yield from found.items() if isinstance(found, Mapping) else ()


def _lines(value: Any) -> list[str]:
    """Write a value of the header: a mapping or list one part a line, anything deeper as JSON."""
    if value is None:
        return ["none"]
    if isinstance(value, str):
        return [plain(value)] if value else []
    if isinstance(value, Mapping):
        return [f"{plain(key)}: {_inner(one)}" for key, one in value.items()]
    if isinstance(value, Sequence):
        return [_inner(one) for one in value]
    return [plain(value)]


def _inner(value: Any) -> str:
    return plain(value if isinstance(value, str) else json.dumps(json.loads(json_text(value))))
