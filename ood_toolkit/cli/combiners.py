"""`oodkit combiners`."""

from __future__ import annotations

from typing import Any

from ood_toolkit.api.registry import get_registry
from ood_toolkit.cli.listing import listing


@listing("combiners")
def command() -> list[dict[str, Any]]:
    """List the combiners, which merge several models' answers."""
    return get_registry().about_components("combiners")
