"""A report as a notebook shows it: what ran, tables and notes, in a little HTML."""

from __future__ import annotations

from collections.abc import Sequence

from ood_toolkit.outputs.notebook import safe
from ood_toolkit.report.grid import Grid
from ood_toolkit.report.layout import Layout

__all__ = ["report_html"]


def report_html(report: Layout) -> str:
    """Give summary, tables and notes; the best of each column is bold. Names from data are only text."""
    parts = [_lines([line.strip() for line in report.lines]), *map(_table, report.grids), _lines(report.notes)]
    return f"<div>{''.join(parts)}</div>"


def _lines(lines: Sequence[str]) -> str:
    return f"<p>{'<br>'.join(map(safe, lines))}</p>" if lines else ""


def _table(grid: Grid) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return f"<tr>{''.join(cell(place, text, tag) for place, text in enumerate(cells))}</tr>"

    def cell(place: int, text: str, tag: str) -> str:
        side = "left" if place < grid.text_columns else "right"
        return f'<{tag} style="text-align:{side}">{text}</{tag}>'

    made = grid.written(safe)
    rows = [
        line([f"<strong>{text}</strong>" if (y, x) in grid.best else text for x, text in enumerate(cells)], "td")
        for y, cells in enumerate(made.rows)
    ]
    head = line(made.columns, "th")
    return f"<table><caption>{made.title}</caption><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
