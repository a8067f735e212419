"""`oodkit combiners`."""

from __future__ import annotations

from typing import Any

from ood_toolkit.cli.listing import listing
from ood_toolkit.plugins import get_registry


@listing("combiners")
def command() -> list[dict[str, Any]]:
    """List the combiners, which merge several models' answers."""
    return get_registry().about_components("combiners")
