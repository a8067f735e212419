"""Plugins, loaded one by one so that a broken one stops nothing."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from ood_toolkit.api import hookspecs
from ood_toolkit.api.combiner import Combiner
from ood_toolkit.api.component import Component
from ood_toolkit.api.dataset import DataSet
from ood_toolkit.api.guards import check_needs_words, guarded_dataset, guarded_model
from ood_toolkit.api.model import ModelEntry
from ood_toolkit.api.scorer import Scorer
from ood_toolkit.api.spec import nearest
from ood_toolkit.api.stream import StreamScorer
from ood_toolkit.errors import PluginError, ScorerError, one_line

__all__ = [
    "ALSO",
    "BUILT_IN",
    "KINDS",
    "PROJECT",
    "Plugin",
    "Provided",
    "check_hooks",
    "guarded",
    "hook_of",
    "items_of",
    "load_plugin",
    "not_installed",
    "resolve",
]

PROJECT = "ood_toolkit"
SLUG = re.compile("[a-z][a-z0-9]{0,63}(-[a-z0-9]{1,64}){0,9}")
"""What a name is made of for which `oodkit new` writes a folder."""
BUILT_IN = "built-in"
KINDS: Mapping[str, type] = {
    "scorers": Scorer,
    "combiners": Combiner,
    "datasets": DataSet,
    "models": ModelEntry,
}
ALSO: Mapping[str, type] = {"scorers": StreamScorer}
"""A second type that a kind takes."""


@dataclass
class Plugin:
    """A plugin as the listing shows it."""

    name: str
    version: str
    module: ModuleType | None
    """None where it could not be imported."""
    error: str | None = None
    """Why the plugin, or a part of it, is out of service."""
    conflicts: list[str] = field(default_factory=list)
    """What of it another plugin claims too and is disabled; all else of it is in service."""
    provides: dict[str, list[str]] = field(default_factory=dict)
    """Names by kind: scorers, combiners, datasets, models."""


@dataclass(frozen=True)
class Provided:
    """Something that a plugin registered: an object, or where to import it from."""

    name: str
    target: object
    plugin: str


def load_plugin(entry: EntryPoint, *, unique: bool) -> Plugin:
    """Import a plugin; what that raises is kept in its `error`."""
    name = entry.name if unique or entry.dist is None else f"{entry.dist.name}:{entry.name}"
    plugin = Plugin(name, entry.dist.version if entry.dist else "unknown", None)
    plugin.module = guarded(plugin, entry.load, entry.module)
    return plugin


def not_installed(name: str) -> list[str]:
    """Say how to install the plugin of a name where `oodkit new` wrote its folder below this one."""
    folder = f"oodkit-{name}"
    if not SLUG.fullmatch(name) or not Path(folder, "pyproject.toml").is_file():
        return []
    return [f"not installed; run pip install ./{folder}"]


def check_hooks(plugin: Plugin) -> None:
    """Disable a plugin that marks a function as a hook that does not exist, or leaves one that does unmarked."""
    if plugin.module is None:
        return
    known = [name for name in vars(hookspecs) if name.startswith("register_")]
    unmarked = [name for name in known if _is_unmarked(plugin.module, name)]
    if unmarked:
        plugin.error = f"{unmarked[0]} lacks its mark, so it is no hook; put @hookimpl above it"
        plugin.module = None
        return
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)

    def check() -> None:
        manager.register(plugin.module)
        manager.check_pending()

    try:
        check()
    except pluggy.PluginValidationError as error:
        marked = [n for n, f in inspect.getmembers(plugin.module) if getattr(f, f"{PROJECT}_impl", None)]
        wrong = [n for n in marked if n not in known]
        plugin.error = f"no such hook {wrong[0]!r}; {nearest(wrong[0], known)}" if wrong else one_line(error)
        plugin.module = None


def _is_unmarked(module: Any, name: str) -> bool:
    """Tell whether a plugin defines a function named as a hook without the mark; one it imports is not its own."""
    function = getattr(module, name, None)
    if not callable(function) or hasattr(function, f"{PROJECT}_impl"):
        return False
    return not isinstance(module, ModuleType) or getattr(function, "__module__", None) == module.__name__


def hook_of(plugin: Plugin, name: str) -> Callable[..., Any] | None:
    """Give a hook of a plugin, None where it has none of that name."""
    function = getattr(plugin.module, name, None) if plugin.module is not None else None
    return function if function is not None and hasattr(function, f"{PROJECT}_impl") else None


def guarded(plugin: Plugin, call: Callable[[], Any], module: str = "") -> Any:
    """Call into a plugin, or import its `module`; whatever it raises is noted, not passed on."""
    try:
        return call()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may even call sys.exit while it is imported
        plugin.error = one_line(error, module or getattr(plugin.module, "__name__", ""))
        return None


def items_of(result: Any, kind: str) -> dict[str, object]:
    """Take a mapping of names, an iterable of classes or objects, or a single one."""
    if isinstance(result, Mapping):
        return dict(result)
    many = list(result) if isinstance(result, Iterable) and not isinstance(result, str | type) else [result]
    named: dict[str, object] = {}
    for item in many:
        name = getattr(item, "name", None)
        if not isinstance(name, str):
            raise PluginError(f"register_{kind}: expected {KINDS[kind].__name__} with a name, got {item!r}")
        named[name] = item
    return named


def resolve(provided: Provided, kind: str) -> Any:
    """Import what a plugin registered, and check that it is of its kind; `PluginError` where it is not."""
    target = provided.target
    if isinstance(target, str):
        module, _, attribute = target.partition(":")
        try:
            target = getattr(import_module(module), attribute)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin may even call sys.exit while it is imported
            raise PluginError(
                f"plugin {provided.plugin!r}: cannot import {provided.name!r}: {one_line(error, module)}"
            ) from error
    wanted = KINDS[kind]
    fits = (
        isinstance(target, type) and issubclass(target, (wanted, ALSO.get(kind, wanted)))
        if issubclass(wanted, Component)
        else isinstance(target, wanted)
    )
    if not fits:
        raise PluginError(f"plugin {provided.plugin!r}: {provided.name!r} is no {wanted.__name__}: {target!r}")
    if getattr(target, "name", None) != provided.name:
        raise PluginError(
            f"plugin {provided.plugin!r}: {provided.name!r} calls itself {getattr(target, 'name', None)!r}"
        )
    if isinstance(target, type) and not dataclasses.is_dataclass(target):
        raise PluginError(f"plugin {provided.plugin!r}: {target.__name__} is no dataclass; put @dataclass above it")
    return target if provided.plugin == BUILT_IN else _guarded(target, provided)


def _guarded(target: Any, provided: Provided) -> Any:
    """Check what a plugin hands over, here or when it is asked."""
    if isinstance(target, DataSet):
        return guarded_dataset(target, provided.plugin)
    if isinstance(target, ModelEntry):
        return guarded_model(target, provided.plugin)
    needs = inspect.getattr_static(target, "needs", None)
    if needs is not None and not isinstance(needs, property):
        try:
            check_needs_words(needs, provided.name)
        except ScorerError as error:
            raise PluginError(f"plugin {provided.plugin!r}: {error}") from None
    return target
