"""`oodkit plugins`."""

from __future__ import annotations

from typing import Any

from ood_toolkit.api.registry import get_registry
from ood_toolkit.cli.listing import listing


@listing("plugins")
def command() -> list[dict[str, Any]]:
    """List the plugins, what each provides, and what is wrong with one that is out of service."""
    return [
        {
            "name": plugin.name,
            "version": plugin.version,
            "what": "in service" if plugin.conflicts or not plugin.error else "out of service",
            "conflicts": list(plugin.conflicts),
            "provides": dict(plugin.provides),
            "error": plugin.error,
        }
        for plugin in get_registry().plugins
    ]
