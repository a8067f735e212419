"""A page for each scorer, made from the registry: formula, needs, parameters, paper, and its rows on real data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from chooser import cost_of, situation_of
from docstrings import as_markdown
from evidence import COLUMNS, Measured

from ood_toolkit import get_registry
from ood_toolkit.api.explanation import explained

NEEDS = {
    "logits": "logits of each image",
    "features": "features of each image",
    "nonnegative_features": "features that are never negative, as after a ReLU",
    "head": "the head of the classifier, of class texts or linear",
    "zero_shot": "a head of class texts",
    "linear_head": "a linear head",
    "val": "ID validation images",
    "val_labels": "their labels",
    "train": "ID training images",
    "train_labels": "their labels",
}
"""What a need asks for; banks of texts and extras are named by themselves."""
ARXIV = re.compile(r"arXiv (\d{4}\.\d{5})")
INDEX = """# All scores, a page each

In the order of their listing. [Which score for what I have](../which-score.md) sorts them by what they need, and
`oodkit scorers` lists those of plugins, too.

| score | what it is | cost |
|---|---|---|
"""
MEASURED = """## On real data

OpenAI CLIP ViT-B/32, and ResNets; in per cent. [All scores on real vectors](../scores.md) has the commands, what
each column means, and how little a difference says.
"""


def score_pages(measured: Iterable[Measured]) -> dict[str, str]:
    """Write the pages, by their place on the site, the index first."""
    registry, rows = get_registry(), list(measured)
    names = registry.names("scorers")
    told = {name: explained(registry, "scorers", name) for name in names}
    listed = [
        f"| [`{name}`]({name}.md) | {as_markdown(_first(told[name]))} | {cost_of(registry.scorer(name))} |"
        for name in names
    ]
    pages = {
        f"scores/{name}.md": _page(told[name], registry.scorer(name), [row for row in rows if row.name == name])
        for name in names
    }
    return {"scores/index.md": INDEX + "\n".join(listed) + "\n", **pages}


def _first(about: dict[str, Any]) -> str:
    return str(about["text"]).partition("\n")[0]


def _page(about: dict[str, Any], scorer: Any, rows: Sequence[Measured]) -> str:
    situation = situation_of(scorer)
    compared = ",".join(dict.fromkeys(["msp", about["name"]]))
    parts = [
        f"# {about['name']}",
        as_markdown(about["text"]),
        _sources(about["source"]),
        f"```sh\noodkit bench --scorers {compared}\noodkit scorers show {about['name']}\n```",
        "## What it needs",
        f"Where you have: [{situation.title}](../which-score.md#{situation.slug}). Cost: {cost_of(scorer)}.",
        "\n".join(f"- `{need}`: {_need(need)}" for need in sorted(scorer.needs)),
        *_parameters(about),
        *_evidence(rows),
    ]
    return "\n\n".join(parts) + "\n"


def _need(need: str) -> str:
    kind, _, name = need.partition(":")
    if kind == "text":
        return f"the bank `{name}` of further texts"
    return f"the array `{name}` of each image" if kind == "extra" else NEEDS[need]


def _sources(source: str) -> str:
    """Link the papers of a source by their arXiv numbers."""
    text = as_markdown(" ".join(source.split()))
    return "Source: " + ARXIV.sub(r"[arXiv \1](https://arxiv.org/abs/\1)", text)


def _parameters(about: dict[str, Any]) -> list[str]:
    if not about["parameters"]:
        return []
    grid = about.get("grid", {})
    heads = ["parameter", "meaning", "default", *(["`--tune` tries"] if grid else [])]
    rows = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, told in about["parameters"].items():
        default = "must be given" if told["default"] is None else f"`{told['default']}`"
        tried = [", ".join(grid.get(name, []))] if grid else []
        cells = [f"`{name}`", as_markdown(" ".join(told["meaning"].split())), default, *tried]
        rows.append(f"| {' | '.join(cells)} |")
    return ["## Parameters", "\n".join(rows)]


def _evidence(rows: Sequence[Measured]) -> list[str]:
    if not rows:
        return []
    columns = [column for column in COLUMNS if any(column in row.values for row in rows)]
    lines = [f"| scorer | on | {' | '.join(columns)} |", "|---|---" + "|--:" * len(columns) + "|"]
    lines += [f"| `{row.scorer}` | {row.setting} | {' | '.join(map(row.printed, columns))} |" for row in rows]
    return [MEASURED.strip(), "\n".join(lines)]
