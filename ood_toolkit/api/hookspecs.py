"""The plugin API: five hooks, each returning what the plugin provides; entry-point group `ood_toolkit`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from click import Group

    from ood_toolkit.api.combiner import Combiner
    from ood_toolkit.api.dataset import DataSet
    from ood_toolkit.api.model import ModelEntry
    from ood_toolkit.api.scorer import Scorer

__all__ = ["hookimpl", "hookspec"]

hookspec = pluggy.HookspecMarker("ood_toolkit")
hookimpl = pluggy.HookimplMarker("ood_toolkit")
"""Marks a function of a plugin as the implementation of the hook whose name it bears."""


@hookspec
def register_scorers() -> Iterable[type[Scorer]] | Mapping[str, str]:  # type: ignore[empty-body]
    """Return scorer classes, or a mapping of their names to `module:Class` to import them only when used."""


@hookspec
def register_combiners() -> Iterable[type[Combiner]] | Mapping[str, str]:  # type: ignore[empty-body]
    """Return combiner classes, or a mapping of their names to `module:Class`."""


@hookspec
def register_datasets() -> Iterable[DataSet] | Mapping[str, str]:  # type: ignore[empty-body]
    """Return `DataSet` objects, or a mapping of their names to `module:OBJECT`."""


@hookspec
def register_models() -> Iterable[ModelEntry] | Mapping[str, str]:  # type: ignore[empty-body]
    """Return `ModelEntry` objects, or a mapping of their names to `module:OBJECT`."""


@hookspec
def register_commands(cli: Group) -> Any:
    """Add click commands to the `oodkit` group."""
