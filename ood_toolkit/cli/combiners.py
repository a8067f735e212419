"""`oodkit combiners`."""

from __future__ import annotations

import re
from typing import Any

import click

from ood_toolkit.api.explanation import explained
from ood_toolkit.api.registry import get_registry
from ood_toolkit.cli.listing import as_json, listing, print_explained

COLUMNS = {"what": lambda row: re.split("[:;,]", row["what"])[0]}


@listing("combiners", COLUMNS)
def command() -> list[dict[str, Any]]:
    """List the combiners, which merge several models' answers."""
    return get_registry().about_components("combiners")


@command.command("show")  # type: ignore[untyped-decorator]
@click.argument("name")
@as_json
def show(name: str, as_json: bool) -> None:
    """Tell all of a combiner: its rule, parameters with what they mean, and source."""
    print_explained(explained(get_registry(), "combiners", name), as_json)
