"""`oodkit models`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ood_toolkit.cli.options import listing
from ood_toolkit.plugins import get_registry


@listing("models")
def command(store: Path) -> list[dict[str, Any]]:
    """List the models: those that encode pictures, and the labels of imported arrays."""
    from ood_toolkit.store.imports import Imports

    known, broken = get_registry().listed("models")
    rows = [
        {
            "name": m.name,
            "held as": "embedded" if m.embedded else "weights",
            "licence": m.licence,
            "what": m.description,
        }
        for m in known
    ]
    sets: dict[str, list[str]] = {}
    for entry in Imports(store).entries():
        sets.setdefault(entry.model, []).append(f"{entry.name}/{entry.split}")
    return [
        *rows,
        *broken,
        *[
            {"name": label, "held as": "arrays", "licence": "unknown", "what": f"arrays of {', '.join(held)}"}
            for label, held in sets.items()
        ],
    ]
