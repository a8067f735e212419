"""`oodkit models`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ood_toolkit.api.registry import get_registry
from ood_toolkit.cli.listing import as_json, listing, print_facts

COLUMNS = {
    "held as": lambda row: row.get("held as", ""),
    "licence": lambda row: row.get("licence", ""),
    "options": lambda row: row.get("options", ""),
}


@listing("models", COLUMNS, narrower=({"options": None},))
def command(store: Path) -> list[dict[str, Any]]:
    """List the models: those that encode pictures, and the labels of imported arrays."""
    from ood_toolkit.store.imports import Imports

    known, broken = get_registry().listed("models")
    rows = [
        {
            "name": f"{m.name}:{m.argument}" if m.argument else m.name,
            "held as": "embedded" if m.embedded else "weights",
            "options": ", ".join(name for name in m.options if name != "download"),
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


@command.command("show")  # type: ignore[untyped-decorator]
@click.argument("name")
@click.option("--download", is_flag=True, help="Download weights that are not here.")
@as_json
def show(name: str, download: bool, as_json: bool) -> None:
    """Load a model and tell its weights' hash, architecture, preprocessing, tokenizer, precision and licence."""
    from ood_toolkit.models.names import find_model

    choice = find_model(name, get_registry(), download=download)
    choice.check()
    from ood_toolkit.models.describe import describe_model

    print_facts(describe_model(choice.load()), as_json)
