"""The pages of the Python API: a page for each part of the package, every public name on one of them."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

from docstrings import as_markdown

import ood_toolkit

PARTS = {
    "scoring": ("Scoring and reports", ("scorers", "benchmark", "report")),
    "outputs": ("Outputs and heads", ("outputs",)),
    "detectors": ("Detectors", ("detectors",)),
    "plugins": ("What a plugin builds on", ("api",)),
    "models": ("Models", ("models",)),
    "learning": ("Learning", ("learning",)),
    "errors": ("Errors", ("errors",)),
}
"""Pages of the names in the root of the package: title, and the folders that hold them."""
MODULES = {"metrics": "Metrics", "testing": "The conformance kit", "sklearn": "For scikit-learn"}
"""Public modules with a page of their own."""
INDEX = """# Python API

Everything that a program or a plugin needs, made from the docstrings: what each name takes, gives and raises. Arrays
are named with their shapes: n images, k classes, d features. Scores are higher for in-distribution images, always.
Every error is an {py:obj}`OodkitError <ood_toolkit.OodkitError>` and also the builtin that a caller would expect; those
named with a function are raised on purpose, in one line. Examples with `>>>` are run by the tests.

```{eval-rst}
.. py:data:: ood_toolkit.__version__
   :type: str

   The version of the package.
```
"""


def public_names() -> list[str]:
    """List every public name with its module, as `ood_toolkit.metrics.auroc`."""
    names = [f"ood_toolkit.{name}" for name in ood_toolkit.HOME]
    return names + [name for module in MODULES for name in _names_of_module(module)]


def reference_pages() -> dict[str, str]:
    """Write the pages, by their place on the site, the index first."""
    parts = {slug: (title, _names_of_folders(folders)) for slug, (title, folders) in PARTS.items()}
    parts |= {slug: (f"{title}: `ood_toolkit.{slug}`", _names_of_module(slug)) for slug, title in MODULES.items()}
    index = "\n\n".join([INDEX.strip(), *(_listing(*part, slug) for slug, part in parts.items())]) + "\n"
    pages = {f"reference/{slug}.md": _page(slug, *part) for slug, part in parts.items()}
    return {"reference/index.md": index, **pages}


def find(name: str) -> Any:
    """Give the object of a public name."""
    module, _, last = name.rpartition(".")
    return getattr(import_module(module), last)


def _names_of_folders(folders: tuple[str, ...]) -> list[str]:
    return [f"ood_toolkit.{name}" for name, home in ood_toolkit.HOME.items() if home.split(".")[0] in folders]


def _names_of_module(name: str) -> list[str]:
    return [f"ood_toolkit.{name}.{one}" for one in import_module(f"ood_toolkit.{name}").__all__]


def _page(slug: str, title: str, names: Iterable[str]) -> str:
    module = f".. py:module:: ood_toolkit.{slug}\n\n.. py:currentmodule:: None"
    directives = [module] if slug in (*ood_toolkit.__all__, *MODULES) else []
    directives += [_directive(name, find(name)) for name in names]
    return "\n\n".join([f"# {title}", *(f"```{{eval-rst}}\n{one}\n```" for one in directives)]) + "\n"


def _directive(name: str, thing: Any) -> str:
    if inspect.isclass(thing) and issubclass(thing, BaseException):
        return f".. autoexception:: {name}\n   :show-inheritance:"
    if inspect.isclass(thing):
        return f".. autoclass:: {name}\n   :members:\n   :inherited-members: object\n   :member-order: bysource"
    if inspect.isroutine(thing):
        return f".. autofunction:: {name}"
    return f".. py:data:: {name}\n\n   {constant(name)}"


def _listing(title: str, names: list[str], slug: str) -> str:
    rows = [f"| {{py:obj}}`{name.removeprefix('ood_toolkit.')} <{name}>` | {_first_line(name)} |" for name in names]
    return "\n".join([f"## [{title}]({slug}.md)", "", "| name | what |", "|---|---|", *rows])


def _first_line(name: str) -> str:
    thing = find(name)
    text = inspect.getdoc(thing) if inspect.isclass(thing) or inspect.isroutine(thing) else constant(name)
    return as_markdown((text or "").partition("\n")[0])


def constant(name: str) -> str:
    """Give the text under a constant where it is defined."""
    module, _, last = name.rpartition(".")
    home = f"ood_toolkit.{ood_toolkit.HOME[last]}" if last in ood_toolkit.HOME else _imported_from(module, last)
    for node, under in pairwise(_statements(home)):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if last in [getattr(target, "id", None) for target in targets]:
            return " ".join(ast.literal_eval(under.value).split())  # type: ignore[attr-defined]
    raise SystemExit(f"{name}: expected a text under it in {home}")


def _imported_from(module: str, name: str) -> str:
    for node in _statements(module):
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            return str(node.module)
    return module


def _statements(module: str) -> list[ast.stmt]:
    return ast.parse(Path(inspect.getfile(import_module(module))).read_text()).body
