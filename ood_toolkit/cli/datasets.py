"""`oodkit datasets`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ood_toolkit.cli.options import listing
from ood_toolkit.plugins import get_registry


@listing("datasets")
def command(store: Path) -> list[dict[str, Any]]:
    """List the data sets: embedded ones and what was imported into the store."""
    from ood_toolkit.store.imports import Imports

    known, broken = get_registry().listed("datasets")
    rows = [
        {
            "name": d.name,
            "images": dict(d.counts),
            "classes": len(d.classes),
            "held as": "embedded" if d.embedded else "pictures",
            "licence": d.licence,
            "what": d.description,
        }
        for d in known
    ]
    imported: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in Imports(store).entries():
        row: dict[str, Any] = {"name": entry.name, "images": {}, "classes": None, "held as": f"arrays of {entry.model}"}
        held = imported.setdefault(
            (entry.model, entry.name), {**row, "licence": "unknown", "what": f"imported from {entry.source}"}
        )
        held["images"][entry.split] = entry.rows
    return [*rows, *broken, *imported.values()]
