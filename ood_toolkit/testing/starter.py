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
    """Largest logit minus T times the log of the sum of exponentials of the others, over T; put your formula here.

    S(x) = (z_(1) - T log sum_(j > 1) exp(z_(j) / T)) / T, higher = more in-distribution.
    """

    temperature: float = 1.0
    """T, above 0."""

    name = "{name}"
    needs = frozenset({{"logits"}})
    grid = {{"temperature": (0.5, 1.0, 2.0)}}  # noqa: RUF012

    def __post_init__(self):
        positive(self, "temperature")

    def score(self, x):
        """Give the score (n,); `x` holds no labels, and what is derived is shared with other scorers."""
        return x.map(self._score)

    def _score(self, x):
        falling = x.logits.double().sort(dim=1, descending=True).values / self.temperature  # (n, k)
        return falling[:, 0] - falling[:, 1:].logsumexp(dim=1)


@hookimpl
def register_scorers():
    """Provide the scorer `{name}`."""
    return [{cls}]
'''
TEST = '''"""The scorer against its formula written out slowly, and against the contract."""

import math

import pytest
from {module} import {cls}

from ood_toolkit import Outputs
from ood_toolkit.testing import parametrize_with_checks


def slow(logits, temperature):
    falling = sorted(logits, reverse=True)
    rest = sum(math.exp(z / temperature) for z in falling[1:])
    return falling[0] / temperature - math.log(rest)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_it_is_the_formula(temperature):
    rows = [[3.0, 1.0, -2.0], [0.5, 0.25, 0.0], [-1.0, 4.0, 3.5]]
    found = {cls}(temperature).score(Outputs.from_logits(rows)).tolist()
    assert found == pytest.approx([slow(row, temperature) for row in rows], rel=1e-6)


@parametrize_with_checks([{cls}(), {cls}(temperature=2.0)])
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

The scorer `{name}` for [ood_toolkit](https://pypi.org/project/ood-toolkit/).

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
