"""`oodkit scorers`."""

from __future__ import annotations

from typing import Any

from ood_toolkit.api.registry import get_registry
from ood_toolkit.cli.listing import listing


@listing("scorers")
def command() -> list[dict[str, Any]]:
    """List the scorers: what they compute, what they need, their parameters and their source."""
    return get_registry().about_components("scorers")
