"""`Registry`: all that plugins provide, by kind and name, and components made of their specs."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from ood_toolkit.api import builtin
from ood_toolkit.api.combiner import Combiner
from ood_toolkit.api.guards import check_needs_words
from ood_toolkit.api.plugins import (
    BUILT_IN,
    KINDS,
    PROJECT,
    Plugin,
    Provided,
    check_hooks,
    guarded,
    hook_of,
    items_of,
    load_plugin,
    not_installed,
    resolve,
)
from ood_toolkit.api.scorer import Scorer
from ood_toolkit.api.spec import Spec, format_value, nearest, parse_spec, split_specs, unquote
from ood_toolkit.api.stream import AnyScorer, StreamScorer
from ood_toolkit.errors import OodkitError, PluginError, SpecError, one_line

if TYPE_CHECKING:
    from click import Group

__all__ = ["Registry", "get_registry"]

GROUPS = ("clip", "classical", "thresholds")


class Registry:
    """All that plugins provide, by kind and name; two plugins that claim one name disable it."""

    def __init__(self, plugins: list[Plugin]) -> None:
        self.plugins = plugins
        self._claims: dict[str, dict[str, list[Provided]]] = {kind: {} for kind in KINDS}
        for plugin in plugins:
            for kind in KINDS:
                self._collect(plugin, kind)
        self._provided: dict[str, dict[str, Provided]] = {kind: {} for kind in KINDS}
        self._disabled: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
        for kind, claims in self._claims.items():
            for name, found in claims.items():
                if len(found) == 1:
                    self._provided[kind][name] = found[0]
                else:
                    self._disabled[kind][name] = self._disable(kind, name, found)

    def names(self, kind: str) -> list[str]:
        """List the usable names of a kind, in order of registration."""
        return list(self._provided[kind])

    def disabled(self, kind: str) -> Mapping[str, str]:
        """Give the names that two plugins claim, with the reason."""
        return self._disabled[kind]

    def get(self, kind: str, name: str) -> Any:
        """Give the class or object of that name; `SpecError` if unknown, `PluginError` if out of service."""
        if name in self._disabled[kind]:
            raise PluginError(self._disabled[kind][name])
        if name not in self._provided[kind]:
            raise SpecError(f"unknown {kind[:-1]} {name!r}; {self.hint(name, kind)}")
        return resolve(self._provided[kind][name], kind)

    def provider(self, kind: str, name: str) -> str:
        """Name the plugin behind a name."""
        return self._provided[kind][name].plugin

    def scorer(self, scorer: str | AnyScorer) -> AnyScorer:
        """Make a scorer of a spec, of single images or of streams; an instance is given back as it is."""
        if isinstance(scorer, Scorer | StreamScorer):
            check_needs_words(scorer.needs, getattr(type(scorer), "name", type(scorer).__name__))
            return scorer
        made: AnyScorer = self._build("scorers", _parsed(scorer, Scorer))
        return made

    def combiner(self, combiner: str | Combiner) -> Combiner:
        """Make a combiner of a spec; an instance is given back as it is."""
        return combiner if isinstance(combiner, Combiner) else self._build("combiners", _parsed(combiner, Combiner))

    def scorers(
        self, specs: str | AnyScorer | Iterable[str | AnyScorer], out_of_service: dict[str, str] | None = None
    ) -> list[AnyScorer]:
        """Make scorers of specs; `all` and the groups clip, classical and thresholds stand for many.

        What a plugin cannot deliver goes to `out_of_service` with the reason where that is given; else it is an
        error if it was named, and left out of `all` and of groups.
        """
        given = [specs] if isinstance(specs, StreamScorer) else specs
        return self._many(given, Scorer, self.scorer, self._group, out_of_service)

    def combiners(self, specs: str | Combiner | Iterable[str | Combiner]) -> list[Combiner]:
        """Make combiners of specs; `all` stands for every one."""
        return self._many(specs, Combiner, self.combiner, lambda n: self.names("combiners") if n == "all" else None)

    def about_components(self, kind: str) -> list[dict[str, Any]]:
        """Describe every scorer or combiner; one that cannot be imported has its error as description."""
        return [self._about(kind, name) for name in [*self.names(kind), *self.disabled(kind)]]

    def _about(self, kind: str, name: str) -> dict[str, Any]:
        about: dict[str, Any] = {"name": name}
        cls: Any = None
        try:
            cls = self.get(kind, name)
            made = cls()
        except PluginError as error:
            return about | {"what": f"out of service: {error}"}
        except Exception as error:  # it needs parameters to be made, or anybody's constructor raises
            why = one_line(error, getattr(cls, "__module__", ""))
            return about | {"plugin": self.provider(kind, name), "what": f"not without parameters: {why}"}
        if kind == "scorers":
            grid = {key: list(map(format_value, values)) for key, values in getattr(made, "grid", {}).items()}
            about |= {"group": made.group or "", "needs": sorted(made.needs)} | ({"grid": grid} if grid else {})
        module = inspect.getdoc(inspect.getmodule(type(made))) or ""
        return about | {
            "parameters": {key: format_value(value) for key, value in made.parameters().items()},
            "plugin": self.provider(kind, name),
            "what": (inspect.getdoc(type(made)) or "").split("\n")[0],
            "source": module.split("\n")[0],
        }

    def listed(self, kind: str) -> tuple[list[Any], list[dict[str, str]]]:
        """Give the data sets or models that can be had, and for each of the others its name and the error."""
        had: list[Any] = []
        broken: list[dict[str, str]] = []
        for name in [*self.names(kind), *self.disabled(kind)]:
            try:
                had.append(self.get(kind, name))
            except OodkitError as error:
                broken.append({"name": name, "what": str(error)})
        return had, broken

    def add_commands(self, cli: Group, taken: Iterable[str] = ()) -> None:
        """Let each plugin add its commands; one that fails, or claims a name that is taken, is noted in its `error`."""
        import click

        owners = dict.fromkeys(taken, "built-in")
        for plugin in self.plugins:
            hook, own = hook_of(plugin, "register_commands"), click.Group()
            if hook is not None:
                guarded(plugin, lambda hook=hook, own=own: hook(own))  # type: ignore[misc]
            for name, command in own.commands.items():
                if name in owners:
                    reason = f"command {name!r}: plugins {owners[name]!r} and {plugin.name!r} both provide it"
                    plugin.conflicts.append(reason)
                    plugin.error = plugin.error or reason
                    continue
                owners[name] = plugin.name
                cli.add_command(command, name)

    def _many(
        self,
        specs: Any,
        kind: type,
        make: Callable[[Any], Any],
        expand: Callable[[str], Any],
        out_of_service: dict[str, str] | None = None,
    ) -> list[Any]:
        made: dict[str, Any] = {}
        lost: dict[str, str] = {} if out_of_service is None else out_of_service
        many = isinstance(specs, Iterable) and not isinstance(specs, str | kind | type)
        for item in specs if many else [specs]:
            for part in split_specs(item) if isinstance(item, str) else [item]:
                names = expand(part) if isinstance(part, str) else None
                for one in [part] if names is None else names:
                    try:
                        component = make(one)
                    except PluginError as error:
                        if out_of_service is None and names is None:
                            raise
                        lost[str(one)] = str(error)
                    else:
                        made.setdefault(component.spec, component)
        if not made and not lost:
            raise SpecError(f"expected at least one {kind.__name__.lower()}, got none")
        return list(made.values())

    def _group(self, name: str) -> list[str] | None:
        if name in ("all", *GROUPS):
            return [n for n in [*self.names("scorers"), *self._disabled["scorers"]] if self._may_be_of(n, name)]
        return None

    def _may_be_of(self, name: str, group: str) -> bool:
        """Tell whether a group, or `all`, has a scorer, by what any plugin that claims the name says of it."""
        return any(self._claim_may_be_of(claim, group) for claim in self._claims["scorers"][name])

    def _claim_may_be_of(self, claim: Provided, group: str) -> bool:
        """Tell whether a group has what a plugin claims: not what lacks a value; what cannot be imported may be."""
        try:
            cls = resolve(claim, "scorers")
        except PluginError as error:
            owner = next(p for p in self.plugins if p.name == claim.plugin)
            owner.error = owner.error or str(error)
            return True
        return group in ("all", cls.group) and not any(map(_required, dataclasses.fields(cls)))

    def _build(self, kind: str, spec: Spec) -> Any:
        cls = self.get(kind, spec.name)
        fields = {f.name: f for f in dataclasses.fields(cls) if f.init}
        for key in spec.arguments:
            if key not in fields:
                raise SpecError(f"{spec.name}: unknown parameter {key!r}; {nearest(key, fields)}")
        missing = [f.name for f in fields.values() if _required(f) and f.name not in spec.arguments]
        if missing:
            raise SpecError(f"{spec.name}: expected a value for {missing[0]}, as in {spec.name}:{missing[0]}=...")
        made = cls(**{key: self._value(spec.name, fields[key], text) for key, text in spec.arguments.items()})
        if kind == "scorers":
            check_needs_words(made.needs, f"plugin {self.provider(kind, spec.name)!r}: {spec.name}")
        return made

    def _value(self, name: str, field: dataclasses.Field[Any], text: str) -> object:
        """Read a parameter by the words of its annotation."""
        kind = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", repr(field.type))
        words = set(re.findall(r"\w+", kind))
        if "None" in words and text == "none":
            return None
        if words & {"tuple", "list", "Sequence"}:
            inside = text[1:-1] if text[:1] == "(" and text[-1:] == ")" else unquote(text)
            return tuple(_number_or_text(part) for part in split_specs(inside))
        for word, read in (("bool", _boolean), ("int", int), ("float", float)):
            if word in words and (value := _tried(read, text)) is not None:
                return value
        if "Scorer" in words:
            inner = self.scorer(text)
            if isinstance(inner, StreamScorer):
                raise SpecError(f"{name}: {field.name}: expected a scorer of single images, {text!r} is one of streams")
            return inner
        if words & {"str", "Literal"}:
            return unquote(text)
        raise SpecError(f"{name}: {field.name}: expected {kind}, got {text!r}")

    def _collect(self, plugin: Plugin, kind: str) -> None:
        hook = hook_of(plugin, f"register_{kind}")
        items = guarded(plugin, lambda: items_of(hook(), kind)) if hook is not None else None
        for name, target in (items or {}).items():
            self._claims[kind].setdefault(name, []).append(Provided(name, target, plugin.name))
            plugin.provides.setdefault(kind, []).append(name)

    def _disable(self, kind: str, name: str, claims: Sequence[Provided]) -> str:
        """Give the reason why a name that several plugins claim is disabled, and note it with them."""
        owners = [claim.plugin for claim in claims]
        several = f"{', '.join(map(repr, owners[:-1]))} and {owners[-1]!r}"
        number = "both" if len(owners) == 2 else "all"
        reason = f"{kind[:-1]} {name!r} is disabled: plugins {several} {number} provide it"
        for plugin in self.plugins:
            if plugin.name in owners:
                plugin.conflicts.append(reason)
                plugin.error = plugin.error or reason
        return reason

    def hint(self, name: str, *kinds: str) -> str:
        """Say why a name may be unknown, the cause first: a broken plugin, one not installed, another name meant."""
        known = [one for kind in kinds for one in (*self.names(kind), *self.disabled(kind))]
        listings = ", ".join(f"oodkit {kind}" for kind in kinds)
        broken = [
            f"plugin {p.name!r} is out of service: {p.error}" for p in self.plugins if p.error and not p.conflicts
        ]
        return "; ".join([*broken, *not_installed(name), nearest(name, known, listings)])


def _parsed(given: object, kind: type) -> Spec:
    if not isinstance(given, str):
        hint = "; call the class to make an instance" if isinstance(given, type) else ""
        raise SpecError(f"expected a spec or an instance of {kind.__name__}, got {given!r}{hint}")
    return parse_spec(given)


def get_registry() -> Registry:
    """Load all plugins, built-ins first; `OODKIT_NO_PLUGINS=1` leaves the others out."""
    return _load(os.environ.get("OODKIT_NO_PLUGINS", "") not in ("", "0"), tuple(sys.path))


@lru_cache(maxsize=4)
def _load(built_in_only: bool, path: tuple[str, ...]) -> Registry:
    plugins = [Plugin(BUILT_IN, "", builtin)]
    if not built_in_only:
        found = sorted(entry_points(group=PROJECT), key=lambda e: (e.dist.name if e.dist else "", e.name))
        taken = [entry.name for entry in found]
        plugins += [load_plugin(entry, unique=taken.count(entry.name) == 1) for entry in found]
    for plugin in plugins:
        check_hooks(plugin)
    return Registry(plugins)


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _boolean(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _tried(read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except (ValueError, KeyError):
        return None


def _number_or_text(text: str) -> object:
    if text == "none":
        return None
    for read in (_boolean, int, float):
        if (value := _tried(read, text)) is not None:
            return value
    return unquote(text)
