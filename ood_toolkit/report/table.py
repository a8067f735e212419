"""The table of the terminal."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from ood_toolkit.report.columns import Grid, footnotes, ood_grid, right_grid, summary
from ood_toolkit.results import Row

__all__ = ["render"]


def render(header: Mapping[str, Any], rows: Sequence[Row], width: int, color: bool) -> str:
    """Give header, tables and footnotes as text of at most `width` columns."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=io.StringIO(), width=width, force_terminal=color, color_system="standard" if color else None)
    for line in summary(header):
        console.print(Text(line))
    for grid in (ood_grid(header, rows), right_grid(header, rows)):
        if grid is not None:
            console.print()
            console.print(Text(grid.title, style="bold"))
            console.print(_rich(grid))
    notes = footnotes(rows)
    if notes:
        console.print()
    for note in notes:
        console.print(Text(note, style="dim"))
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    return "\n".join(line for place, line in enumerate(lines) if line or (place and lines[place - 1]))


def _rich(grid: Grid) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for place, name in enumerate(grid.columns):
        text = place < grid.text_columns
        made.add_column(name, justify="left" if text else "right", overflow="fold", no_wrap=not text)
    before: list[str] = []
    for cells, end in zip(grid.rows, grid.ends, strict=True):
        same = any(grid.ends) and cells[: grid.text_columns - 1] == before[: grid.text_columns - 1]
        made.add_row(
            *([""] * (grid.text_columns - 1) + cells[grid.text_columns - 1 :] if same else cells),
            end_section=end,
        )
        before = cells
    return made
