"""The table of the terminal."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from ood_toolkit.report.columns import Grid, footnotes, ood_grid, right_grid, summary
from ood_toolkit.results import Row

__all__ = ["render"]

GAP = 2
"""Blanks between two columns."""


def render(header: Mapping[str, Any], rows: Sequence[Row], width: int, color: bool) -> str:
    """Give header, tables and footnotes as text of at most `width` columns."""
    from rich.console import Console
    from rich.text import Text

    console = Console(
        file=io.StringIO(),
        width=width,
        markup=False,
        emoji=False,
        force_terminal=color,
        color_system="standard" if color else None,
    )
    for line in summary(header):
        console.print(Text(line))
    for grid in (ood_grid(header, rows), right_grid(header, rows)):
        if grid is not None:
            console.print()
            console.print(Text(grid.title, style="bold"))
            console.print(_rich(grid, width))
    notes = footnotes(rows)
    if notes:
        console.print()
    for note in notes:
        console.print(Text(note, style="dim"))
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    return "\n".join(line for place, line in enumerate(lines) if line or (place and lines[place - 1]))


def _rich(grid: Grid, width: int) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    heads, first = _fitted(grid, width)
    made = Table(box=SIMPLE_HEAD, padding=(0, GAP - 1, 0, 0), pad_edge=False)
    made.add_column(heads[0], width=first, overflow="fold")
    for place, head in enumerate(heads[1:], 1):
        made.add_column(head, justify="left" if place < grid.text_columns else "right", no_wrap=True)
    before: list[str] = []
    for cells, end in zip(grid.rows, grid.ends, strict=True):
        same = any(grid.ends) and cells[: grid.text_columns - 1] == before[: grid.text_columns - 1]
        made.add_row(
            *([""] * (grid.text_columns - 1) + cells[grid.text_columns - 1 :] if same else cells),
            end_section=end,
        )
        before = cells
    return made


def _fitted(grid: Grid, width: int) -> tuple[list[str], int]:
    """Give column heads, of two lines where one is too wide, and the width that is left for the first column."""

    def widths(heads: list[str]) -> list[int]:
        lines = [max(map(len, head.split("\n"))) for head in heads]
        return [max([line, *(len(row[place]) for row in grid.rows)]) for place, line in enumerate(lines)]

    heads = grid.columns
    if sum(widths(heads)) + GAP * len(heads) > width:
        heads = [head.replace(" ", "\n") for head in heads]
    own, *others = widths(heads)
    return heads, max(min(own, width - sum(others) - GAP * len(heads)), len(heads[0]))
