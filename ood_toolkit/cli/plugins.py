"""`oodkit plugins`."""

from __future__ import annotations

from typing import Any

import click

from ood_toolkit.api.plugins import BUILT_IN, Plugin
from ood_toolkit.api.registry import get_registry
from ood_toolkit.cli.listing import as_json, print_rows

KINDS = {"datasets": "data sets"}


@click.command("plugins")
@as_json
def command(as_json: bool) -> None:
    """List the plugins, what each provides, and what is wrong with one that is out of service.

    What comes with this package stands last, in one line; --json names all of it.
    """
    installed = get_registry().plugins
    rows = [_row(plugin) for plugin in sorted(installed, key=lambda plugin: plugin.name == BUILT_IN)]
    print_rows(rows if as_json else [_short(row) for row in rows], as_json)


def _row(plugin: Plugin) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "version": plugin.version,
        "what": "in service" if plugin.conflicts or not plugin.error else "out of service",
        "conflicts": list(plugin.conflicts),
        "provides": dict(plugin.provides),
        "error": plugin.error,
    }


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """Count what is built in; the other listings name it."""
    if row["name"] != BUILT_IN or row["error"]:
        return row
    counts = [f"{len(names)} {KINDS.get(kind, kind)}" for kind, names in row["provides"].items()]
    return {"name": row["name"], "what": f"{row['what']}: {', '.join(counts)}"}
