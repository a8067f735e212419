"""All that is to be said of one scorer or combiner: its formula, parameters with what they mean, grid and source."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ood_toolkit.api.spec import format_value, parse_spec

if TYPE_CHECKING:
    from ood_toolkit.api.registry import Registry

__all__ = ["explained", "paper"]

YEAR = re.compile(r"[,(] (?!arXiv)([^,:;()]*\b\d{4})(?=[,;.)]| \(|$)")
NUMBER = re.compile(r"arXiv (\d{4}\.\d{5})")

LONGEST_VENUE = 20
"""A journal's name may be long; beyond so many letters the year alone is told."""


def paper(source: str) -> str:
    """Shorten a source to where it was published and its number, such as `ICML 2022, 2204.06507`."""
    year, number = YEAR.search(source), NUMBER.search(source)
    where = year[1] if year else ""
    found = [
        where if len(where) <= LONGEST_VENUE else where[-len("2026") :],
        number[1] if number else "",
    ]
    return ", ".join(filter(None, found)) or re.split(r" on |, |\.$", source.partition(": ")[2] or source)[0]


def explained(registry: Registry, kind: str, name: str) -> dict[str, Any]:
    """Describe a scorer or combiner in full; a spec stands for its name.

    Raises `SpecError` for an unknown name and `PluginError` for one that is out of service.
    """
    cls = registry.get(kind, parse_spec(name).name)
    about = next(one for one in registry.about_components(kind) if one["name"] == cls.name)
    meanings = _meanings(cls)
    parameters = {
        field.name: {"default": _default(field), "meaning": meanings.get(field.name, "")}
        for field in dataclasses.fields(cls)
        if field.init
    }
    return {
        "name": cls.name,
        **{key: about[key] for key in ("group", "needs") if key in about},
        "text": inspect.getdoc(cls) or "",
        "parameters": parameters,
        **({"grid": about["grid"]} if "grid" in about else {}),
        "source": inspect.getdoc(inspect.getmodule(cls)) or "",
        "plugin": registry.provider(kind, cls.name),
    }


def _default(field: dataclasses.Field[Any]) -> str | None:
    """Write the default of a parameter; None where it must be given."""
    if field.default_factory is not dataclasses.MISSING:
        return format_value(field.default_factory())
    return None if field.default is dataclasses.MISSING else format_value(field.default)


def _meanings(cls: type) -> dict[str, str]:
    """Read the string under each field of a class and of those that it derives from."""
    found: dict[str, str] = {}
    for part in reversed(cls.__mro__):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(part)))
        except (OSError, TypeError, SyntaxError):  # made in a session, or built in
            continue
        body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
        for field, under in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and _is_text(under):
                found[field.target.id] = inspect.cleandoc(ast.literal_eval(under.value))  # type: ignore[attr-defined]
    return found


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
