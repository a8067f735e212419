"""Rows as CSV, Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ood_toolkit.report.cells import csv_rows, markdown_cell
from ood_toolkit.report.grid import Grid
from ood_toolkit.report.latex import latex_cell
from ood_toolkit.report.layout import Layout
from ood_toolkit.report.results import Row

__all__ = ["csv_text", "latex", "latex_grid", "latex_notes", "markdown", "markdown_grid", "markdown_list"]


LAST = ("protocol", "n_val", "validation", "accuracy", "prompts", "preset", "run_notes")
"""Columns of CSV that hold for a whole run, or a whole ID set."""


def csv_text(header: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """Give one line a row with every field and metric that any row has; numbers in full precision.

    The last columns say of each row what holds for its run: protocol, where validation came from, how many images it
    has, prompts and notes.
    """
    flat = [row.flat() for row in rows]
    parts = _parts(header)
    abouts = [_of_run(parts.get(row.model, header)) | _of_id(parts.get(row.model, header), row.id) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    more = [name for name in LAST if rows and name not in names]
    lines = [
        [*(row.get(name) for name in names), *(about[name] for name in more)]
        for row, about in zip(flat, abouts, strict=True)
    ]
    return csv_rows([[*names, *more], *lines])


def _parts(header: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Give the header of each model of a run."""
    return {str(part.get("model", "")): {**header, **part} for part in header.get("models", [header])}


def _of_run(header: Mapping[str, Any]) -> dict[str, Any]:
    preset = header.get("preset")
    return {
        "protocol": header.get("protocol", "native"),
        "prompts": header.get("prompts", ""),
        "preset": preset.get("name", "") if isinstance(preset, Mapping) else "",
        "run_notes": "; ".join(map(str, header.get("notes", []))),
    }


def _of_id(header: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Give what is known of an ID set; nothing of a union of several."""
    found: Mapping[str, Any] = next(
        (part for part in header.get("id", []) if part["name"] == name.removesuffix("+csid")), {}
    )
    where = header.get("validation", {})
    return {
        "n_val": found.get("validation_images", 0) if found else None,
        "validation": where.get(found["name"], "") if found else "",
        "accuracy": found.get("accuracy"),
    }


def markdown(report: Layout) -> str:
    """Give summary, tables and notes as Markdown."""
    parts = [markdown_list([line.strip() for line in report.lines])]
    parts += [markdown_grid(grid) for grid in report.grids]
    parts += [markdown_list(report.notes)]
    return "\n\n".join(part for part in parts if part) + "\n"


def latex(report: Layout) -> str:
    """Give the tables as LaTeX, with summary and notes below in small print; the preamble needs `booktabs`."""
    tables = [latex_grid(grid) for grid in report.grids]
    lines = [line.strip() for line in [*report.lines, *report.notes]]
    return "\n".join([*tables, latex_notes(lines)] if tables else [])


def markdown_list(lines: Sequence[str]) -> str:
    """Give lines as a list."""
    return "\n".join(f"- {markdown_cell(line)}" for line in lines)


def markdown_grid(grid: Grid) -> str:
    """Give one table as Markdown, under its title."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    made = grid.written(markdown_cell)
    numbers = len(grid.columns) - grid.text_columns
    rule = ["---"] * grid.text_columns + ["---:"] * numbers
    rows = [line(cells) for cells in _marked(made, "**{}**", r"{}\~")]
    return "\n".join([f"**{made.title}**", "", line(made.columns), line(rule), *rows])


def latex_grid(grid: Grid) -> str:
    """Give one table as LaTeX."""

    def line(cells: Sequence[str]) -> str:
        return " & ".join(cells) + r" \\"

    made = grid.written(latex_cell)
    layout = "l" * grid.text_columns + "r" * (len(grid.columns) - grid.text_columns)
    body = []
    for place, (cells, end) in enumerate(zip(_marked(made, r"\textbf{{}}", "{}$^\\sim$"), grid.ends, strict=True)):
        body.append(line(cells))
        if end and place + 1 < len(grid.rows):
            body.append(r"\midrule")
    rows = [
        f"% {made.title}",
        rf"\begin{{tabular}}{{{layout}}}",
        r"\toprule",
        line(made.columns),
        r"\midrule",
    ]
    return "\n".join([*rows, *body, r"\bottomrule", r"\end{tabular}", ""])


def latex_notes(lines: Sequence[str]) -> str:
    """Give lines as small print, a paragraph each."""
    if not lines:
        return ""
    said = [rf"{latex_cell(line)}\par" for line in lines]
    return "\n".join([r"\par\smallskip", r"{\footnotesize\raggedright\noindent\ignorespaces", *said, "}", ""])


def _marked(grid: Grid, best: str, tied: str) -> list[list[str]]:
    """Set the best values of a column, and those that cannot be told apart from them, in a form's own way."""
    forms = dict.fromkeys(grid.best, best) | dict.fromkeys(grid.tied - grid.best, tied)
    return [
        [forms[y, x].replace("{}", cell, 1) if (y, x) in forms else cell for x, cell in enumerate(row)]
        for y, row in enumerate(grid.rows)
    ]
