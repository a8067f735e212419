"""The table of the terminal."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ood_toolkit.report.columns import Grid, footnotes, grids, summary
from ood_toolkit.report.results import Row

__all__ = ["laid_out", "render"]

LEAST_NAME, LONGEST_PART = 10, 18
"""Characters to which a column of names is folded at most, and of a part that is not folded inside itself; a table
that needs more room is wider than asked."""
PART = re.compile(r"[^-:,=+/ ]*[-:,=+/ ]?")
"""What of a name stays together: up to and with a sign that a spec or a slug has."""


def render(header: Mapping[str, Any], rows: Sequence[Row], width: int, color: bool) -> str:
    """Give header, tables and footnotes as text of `width` columns, more where a table cannot do with them."""
    return laid_out(summary(header), grids(header, rows), footnotes(rows), width, color)


def laid_out(lines: Sequence[str], tables: Sequence[Grid], notes: Sequence[str], width: int, color: bool) -> str:
    """Give lines, tables and dim notes as text of `width` columns, more where a table cannot do with them."""
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
    for line in lines:
        console.print(Text(line))
    for grid in tables:
        console.print()
        console.print(Text(grid.title, style="bold"))
        heads, widths, gap = _fitted(grid, width)
        console.width = max(width, _total(widths, gap))
        console.print(_rich(grid, heads, widths, gap))
        console.width = width
    if notes:
        console.print()
    for note in notes:
        console.print(Text(note, style="dim"))
    made = [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    return "\n".join(line for place, line in enumerate(made) if line or (place and made[place - 1]))


def _rich(grid: Grid, heads: list[str], widths: list[int], gap: int) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(box=SIMPLE_HEAD, padding=(0, gap - 1, 0, 0), pad_edge=False)
    for place, (head, wide) in enumerate(zip(heads, widths, strict=True)):
        side: Any = "left" if place < grid.text_columns else "right"
        made.add_column(head, justify=side, width=wide, overflow="fold")
    before: list[str] = []
    for cells, end in zip(grid.rows, grid.ends, strict=True):
        same = any(grid.ends) and cells[: grid.text_columns - 1] == before[: grid.text_columns - 1]
        shown = [""] * (grid.text_columns - 1) + cells[grid.text_columns - 1 :] if same else cells
        made.add_row(
            *(_folded(cell, wide) for cell, wide in zip(shown, widths, strict=True)),
            end_section=end,
        )
        before = cells
    return made


def _fitted(grid: Grid, width: int) -> tuple[list[str], list[int], int]:
    """Give column heads, widths and the gap between columns; names are folded where room is short, numbers never."""
    heads, gap = grid.columns, 2
    if _total(_widths(grid, heads), gap) > width:
        heads = [head.replace(" ", "\n").replace("(", "\n(") for head in heads]
    widths, names = _widths(grid, heads), range(grid.text_columns)
    least = [max([LEAST_NAME, *(_longest_part(row[place]) for row in grid.rows)]) for place in names]
    while _total(widths, gap) > width:
        widest = max(names, key=lambda place: widths[place] - least[place])
        if widths[widest] > least[widest]:
            widths[widest] -= 1
        elif gap > 1:
            gap, widths = 1, _widths(grid, heads)
        else:
            break
    return heads, widths, gap


def _folded(name: str, width: int) -> str:
    """Break a name into lines between its parts; a part that is longer than the column is broken by the table."""
    lines = [""]
    for part in PART.findall(name):
        if len(lines[-1] + part.rstrip()) > width and lines[-1]:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)


def _longest_part(name: str) -> int:
    return min(LONGEST_PART, max(len(part.rstrip()) for part in PART.findall(name)))


def _widths(grid: Grid, heads: list[str]) -> list[int]:
    lines = [max(map(len, head.split("\n"))) for head in heads]
    return [max([line, *(len(row[place]) for row in grid.rows)]) for place, line in enumerate(lines)]


def _total(widths: list[int], gap: int) -> int:
    """Add up a row: the columns, the gaps between them and a blank at either edge."""
    return sum(widths) + gap * (len(widths) - 1) + 2
