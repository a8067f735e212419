"""What was measured of each scorer on real data, read from the tables of `docs/scores.md`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from places import ROOT

TABLES = ROOT / "docs" / "scores.md"
PRINTED = re.compile(r"<!-- vectors: (oodkit bench .*?) -->\n```text\n(.*?)```\n<!-- end -->", re.DOTALL)
WRITTEN = re.compile(r"^\| score \| (ResNet-\d+) \| (ResNet-\d+) \|.*\n\|[-:| ]+\|\n((?:\|.*\n)+)", re.MULTILINE)
"""A table with AUROC and that of right against wrong, each for two networks."""
RULE = re.compile(r"^ ─+\n", re.MULTILINE)
COLUMNS = {"AUROC": "AUROC", "FPR95(ID)": "FPR95", "AUPR-in": "AUPR-in", "ID accepted": "accepted", "ID right": "right"}
"""What is read, by the word of a table's head that names it, in the order of the tables."""
WORDS = "-words"
"""Ends the names under which the same images were imported with negative labels."""


@dataclass(frozen=True)
class Measured:
    """One row of one table."""

    scorer: str
    """Its spec."""
    setting: str
    """On what: the model and the ID set."""
    values: dict[str, str]
    """As printed, by column."""

    @property
    def name(self) -> str:
        """The scorer's name, without parameters."""
        return self.scorer.partition(":")[0]

    def printed(self, column: str) -> str:
        """Give a value as it was printed; a dash where there is none, as for decisions of a score of streams."""
        return self.values.get(column, "-")

    def value(self, column: str) -> float | None:
        """Give a value as a number; None where there is none."""
        text = self.printed(column)
        return None if text == "-" else float(text)


def read_evidence(file: Path = TABLES) -> list[Measured]:
    """Read the rows of all tables of a page, one for each scorer and setting."""
    text = file.read_text()
    rows = [row for command, printed in PRINTED.findall(text) for row in _printed(command, printed)]
    return rows + [row for *networks, body in WRITTEN.findall(text) for row in _written(networks, body)]


def _printed(command: str, text: str) -> Iterator[Measured]:
    """Read the wide tables of `oodkit bench`, a line for each scorer, and join those of one run."""
    known = re.search(r" --id (\S+)", command)
    if known is None or "--paired" in command:
        return
    found: dict[str, dict[str, str]] = {}
    for head, *body in (RULE.split(part, maxsplit=1) for part in text.split("\n\n")):
        if not body or re.search(r"\bset\b", head):  # no table, or one with a line for each set
            continue
        columns = [name for name, word in COLUMNS.items() if word in head]
        for name, values in _lines(body[0]):
            found.setdefault(name, {}).update(zip(columns, values, strict=False))
    for name, values in found.items():
        yield Measured(name, f"CLIP, {known[1].removesuffix(WORDS)}", values)


def _lines(body: str) -> Iterator[tuple[str, list[str]]]:
    """Give names and values of a table's lines; a name that is broken goes on in the next line."""
    for line in re.sub(r"(?m)^( \S+)( .*)\n (\S+)$", r"\1\3\2", body).splitlines():
        name, _, rest = line.strip().partition(" ")
        yield name, re.findall(r"(\d+\.\d+|-)(?: \[[^\]]*\])?\*?(?= |$)", rest)


def _written(networks: list[str], body: str) -> Iterator[Measured]:
    for line in body.splitlines():
        name, *values = (cell.strip(" `") for cell in line.strip("|").split("|"))
        for place, network in enumerate(networks):
            yield Measured(name, f"{network}, cifar10", {"AUROC": values[place], "ID right": values[place + 2]})
