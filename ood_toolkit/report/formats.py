"""Rows as CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from ood_toolkit.report.columns import Grid, footnotes, grids, summary
from ood_toolkit.report.results import Row

__all__ = ["csv_text", "latex", "latex_grid", "markdown", "markdown_grid"]

LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\^{}", "\\": r"\textbackslash{}"}
)


def csv_text(rows: Sequence[Row]) -> str:
    """Give one line a row with every field and metric that any row has; numbers in full precision."""
    flat = [row.flat() for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return out.getvalue()


def markdown(header: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """Give summary, tables and notes as Markdown."""
    parts = ["\n".join(f"- {line.strip()}" for line in summary(header))]
    parts += [markdown_grid(grid) for grid in grids(header, rows)]
    parts += ["\n".join(f"- {note}" for note in footnotes(rows))]
    return "\n\n".join(part for part in parts if part) + "\n"


def latex(header: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """Give the tables as LaTeX; the preamble needs `booktabs`."""
    return "\n".join(latex_grid(grid) for grid in grids(header, rows))


def markdown_grid(grid: Grid) -> str:
    """Give one table as Markdown, under its title."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    numbers = len(grid.columns) - grid.text_columns
    rule = ["---"] * grid.text_columns + ["---:"] * numbers
    return "\n".join([f"**{grid.title}**", "", line(grid.columns), line(rule), *map(line, grid.rows)])


def latex_grid(grid: Grid) -> str:
    """Give one table as LaTeX."""

    def line(cells: Sequence[str]) -> str:
        return " & ".join(cell.translate(LATEX) for cell in cells) + r" \\"

    layout = "l" * grid.text_columns + "r" * (len(grid.columns) - grid.text_columns)
    body = []
    for place, (cells, end) in enumerate(zip(grid.rows, grid.ends, strict=True)):
        body.append(line(cells))
        if end and place + 1 < len(grid.rows):
            body.append(r"\midrule")
    rows = [
        f"% {grid.title}",
        rf"\begin{{tabular}}{{{layout}}}",
        r"\toprule",
        line(grid.columns),
        r"\midrule",
    ]
    return "\n".join([*rows, *body, r"\bottomrule", r"\end{tabular}", ""])
