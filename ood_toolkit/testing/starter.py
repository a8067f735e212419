"""`write_scorer`: a folder with a plugin of one scorer and a test that passes, for its author to change."""

from __future__ import annotations

import re
from pathlib import Path

from ood_toolkit.api.registry import get_registry
from ood_toolkit.errors import PluginError
from ood_toolkit.store.files import replaced_folder
from ood_toolkit.store.reservation import reserved

__all__ = ["write_scorer"]

MODULE = '''"""{title}: say here of what paper it is, with authors, venue and arXiv id."""

from __future__ import annotations

from dataclasses import dataclass

from ood_toolkit import Scorer, hookimpl, positive


@dataclass
class {cls}(Scorer):
    """Largest logit minus the mean of the m logits next to it; put your formula here.

    S(x) = z_(1) - (z_(2) + ... + z_(m + 1)) / m, at least 0, higher = more in-distribution.
    """

    others: int = 1
    """m, at least 1; of fewer classes all others are taken."""

    name = "{name}"
    needs = frozenset({{"logits"}})
    grid = {{"others": (1, 2, 4)}}  # noqa: RUF012

    def __post_init__(self):
        positive(self, "others")

    def score(self, x):
        """Give the score (n,); `x` holds no labels, and what is derived is shared with other scorers."""
        return x.map(self._score)

    def _score(self, x):
        falling = x.top_logits(self.others + 1).double()  # (n, m + 1), the largest first
        return falling[:, 0] - falling[:, 1:].mean(dim=1)


@hookimpl
def register_scorers():
    """Provide the scorer `{name}`."""
    return [{cls}]
'''
TEST = '''"""The scorer against its formula written out slowly, and against the contract."""

import pytest
from {module} import {cls}

from ood_toolkit import Outputs
from ood_toolkit.testing import parametrize_with_checks


def slow(logits, others):
    largest, *rest = sorted(logits, reverse=True)
    near = rest[:others]
    return largest - sum(near) / len(near)


@pytest.mark.parametrize("others", [1, 2, 9])
def test_it_is_the_formula(others):
    rows = [[3.0, 1.0, -2.0], [0.5, 0.25, 0.0], [-1.0, 4.0, 3.5]]
    found = {cls}(others).score(Outputs.from_logits(rows)).tolist()
    assert found == pytest.approx([slow(row, others) for row in rows], rel=1e-6)


@parametrize_with_checks([{cls}(), {cls}(others=2)])
def test_contract(scorer, check):
    check(scorer)
'''
PROJECT = """[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "oodkit-{name}"
version = "0.1.0"
description = "The scorer {name} for ood_toolkit."
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["ood-toolkit"]

[project.optional-dependencies]
test = ["pytest"]

[project.entry-points.ood_toolkit]
{name} = "{module}"

[tool.setuptools]
py-modules = ["{module}"]

[tool.pytest.ini_options]
pythonpath = ["."]
"""
README = """# oodkit-{name}

The scorer `{name}` for ood_toolkit, whose command is `oodkit`.

```
python -m pytest            # its formula, and the contract of every scorer
pip install .               # then `oodkit scorers` lists it
oodkit check {name}
oodkit bench --scorers msp,{name}
```

What to change: the formula in `{module}.py`, with its paper and parameters, and the slow formula in its test.
"""


def write_scorer(name: str, parent: Path) -> Path:
    """Write the folder `oodkit-NAME` below `parent`, whole or not at all, and return it.

    `PluginError` for a name that is no slug, is a scorer's already, or whose folder is there.
    """
    if re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) is None:
        raise PluginError(f"name: expected small letters, digits and hyphens, such as my-score, got {name!r}")
    registry = get_registry()
    if name in registry.names("scorers"):
        owner = registry.provider("scorers", name)
        raise PluginError(
            f"name: {name!r} is a scorer of {owner!r} already; two of one name disable both, take another"
        )
    folder = parent / f"oodkit-{name}"
    with reserved(folder):
        if folder.exists():
            raise PluginError(f"{folder}: is there already; take another name, or another folder with --output")
        _write(name, folder)
    return folder


def _write(name: str, folder: Path) -> None:
    module = "oodkit_" + name.replace("-", "_")
    words = {
        "name": name,
        "module": module,
        "cls": "".join(part.capitalize() for part in name.split("-")),
        "title": name.replace("-", " ").capitalize(),
    }
    with replaced_folder(folder, keep=False) as partial:
        (partial / "tests").mkdir()
        for file, text in (
            (f"{module}.py", MODULE),
            (f"tests/test_{module}.py", TEST),
            ("pyproject.toml", PROJECT),
            ("README.md", README),
        ):
            (partial / file).write_text(text.format(**words), encoding="utf-8")
