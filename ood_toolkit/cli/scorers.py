"""`oodkit scorers`."""

from __future__ import annotations

from typing import Any

import click

from ood_toolkit.api.explanation import explained, paper
from ood_toolkit.api.registry import get_registry
from ood_toolkit.cli.listing import as_json, listing, print_explained

COLUMNS = {
    "group": lambda row: row.get("group", ""),
    "needs": lambda row: ",".join(row.get("needs", [])),
    "paper": lambda row: paper(row.get("source", "")),
}


NARROWER = ({"paper": lambda row: paper(row.get("source", "")).rpartition(", ")[2]}, {"group": None})
"""The venue goes before the group does; `show NAME` tells both."""


@listing("scorers", COLUMNS, narrower=NARROWER, by_needs=True)
def command() -> list[dict[str, Any]]:
    """List the scorers: their group, what they need and where they were published."""
    return get_registry().about_components("scorers")


@command.command("show")  # type: ignore[untyped-decorator]
@click.argument("name")
@as_json
def show(name: str, as_json: bool) -> None:
    """Tell all of a scorer: its formula, parameters with what they mean, grid of --tune, and source."""
    print_explained(explained(get_registry(), "scorers", name), as_json)
