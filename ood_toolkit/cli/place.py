"""`Place`: the type of options and arguments that are paths, `~` and accents taken as people mean them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ood_toolkit.store.foreign.places import place_of

__all__ = ["Place"]


class Place(click.Path):
    """A path; see `place_of`."""

    def __init__(self, **checks: Any) -> None:
        super().__init__(path_type=Path, **checks)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path that was typed."""
        return super().convert(place_of(value), param, ctx)
