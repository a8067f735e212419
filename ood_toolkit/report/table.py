"""The table of the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ood_toolkit.report.cells import plain
from ood_toolkit.report.folding import folded, longest_part, width_of
from ood_toolkit.report.grid import Grid
from ood_toolkit.report.layout import Layout

__all__ = ["BEST", "TIED", "described", "laid_out", "render", "said", "unfolded"]

LEAST_NAME, LEAST_HEAD = 10, 8
"""Characters to which names, and heads of columns, are folded at most where their longest part is shorter."""
LEAST_ROOM = 24
"""Characters that a description needs beside a name, else it stands below."""
BEST, TIED = "*", "~"
"""What stands behind the best value of a column, and behind one that cannot be told apart from it."""
BOLD, DIM, END = "\x1b[1m", "\x1b[2m", "\x1b[0m"


def render(report: Layout, width: int | None, color: bool) -> str:
    """Give lines, tables, notes and hints as text of `width` columns; None folds nothing."""
    return laid_out(report.lines, report.grids, [*report.notes, *report.hints], width, color)


def laid_out(lines: Sequence[str], tables: Sequence[Grid], notes: Sequence[str], width: int | None, color: bool) -> str:
    """Give lines, tables and dim notes as text of `width` columns; None folds nothing.

    A table that is wider has its heads and names folded, then its columns of numbers in several tables one below the
    other, and at last one line a cell; no number is cut.
    """
    made = list(_folded(lines, width, "", color))
    for clean in _joined([_marked(grid.written(plain)) for grid in tables], width):
        for place, part in enumerate(_parts(clean, width)):
            made += ["", *_folded([f"{clean.title}{', continued' if place else ''}"], width, BOLD, color)]
            made += _table(part, width, color)
    made += ["", *_folded(notes, width, DIM, color)] if notes else []
    return "\n".join(line for place, line in enumerate(made) if line or (place and made[place - 1]))


def _folded(lines: Iterable[str], width: int | None, style: str, color: bool) -> Iterator[str]:
    for line in map(plain, lines):
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        for part in [line] if width is None else folded(line, width, indent if width > 2 * len(indent) else ""):
            yield f"{style}{part}{END}" if style and color and part else part


def _marked(grid: Grid) -> Grid:
    """Put a sign behind the best values of a column; the other cells of the column keep its place free."""
    columns = {column for _, column in grid.best | grid.tied}
    rows = [
        [
            cell + (BEST if (y, x) in grid.best else TIED if (y, x) in grid.tied else " ") if x in columns else cell
            for x, cell in enumerate(row)
        ]
        for y, row in enumerate(grid.rows)
    ]
    return replace(grid, rows=rows)


def _joined(grids: Sequence[Grid], width: int | None) -> Iterator[Grid]:
    """Put tables of the same rows side by side, as many as fit."""
    held: Grid | None = None
    for grid in grids:
        both = None if held is None else _beside(held, grid)
        if both is not None and (width is None or len(_parts(both, width)) == 1):
            held = both
            continue
        if held is not None:
            yield held
        held = grid
    if held is not None:
        yield held


def _beside(left: Grid, right: Grid) -> Grid | None:
    """Put one table on the right of another of the same rows; the heads say which each column is of."""
    names = left.text_columns
    same = [row[:names] for row in left.rows] == [row[:names] for row in right.rows]
    if not (left.short and right.short and same and names == right.text_columns):
        return None
    columns = left.columns if "\n" in "".join(left.columns) else _headed(left)
    shift = len(left.columns) - names
    best, tied = (
        ours | {(y, x + shift) for y, x in theirs}
        for ours, theirs in ((left.best, right.best), (left.tied, right.tied))
    )
    rows = [mine + other[names:] for mine, other in zip(left.rows, right.rows, strict=True)]
    title = f"{left.title}, {right.title}".replace(" (%),", ",")
    return replace(left, title=title, columns=[*columns, *_headed(right)[names:]], rows=rows, best=best, tied=tied)


def _headed(grid: Grid) -> list[str]:
    """Put what a table is of above the names of its columns of numbers."""
    numbers = [f"{grid.short}\n{name}" for name in grid.columns[grid.text_columns :]]
    return [*grid.columns[: grid.text_columns], *numbers]


def _parts(grid: Grid, width: int | None) -> list[Grid]:
    """Split the columns of numbers into as many tables as the width needs."""
    numbers = range(grid.text_columns, len(grid.columns))
    if width is None or not numbers:
        return [grid]
    names = [_least(grid, place) for place in range(grid.text_columns)]
    parts: list[list[int]] = [[]]
    for place in numbers:
        wide = [max(_head_width(_narrow(grid, one)), _widest(grid, one)) for one in (*parts[-1], place)]
        if parts[-1] and _total([*names, *wide], 1) > width:
            parts.append([])
        parts[-1].append(place)
    return [grid.only(part) for part in parts]


def _table(grid: Grid, width: int | None, color: bool) -> Iterator[str]:
    heads, widths, gap = _fitted(grid, width)
    if width is not None and _total(widths, gap) > width:
        yield from _records(grid, width)
        return
    head_lines = [head.split("\n") for head in heads]
    high = max(map(len, head_lines), default=0)
    yield ""
    for line in zip(*([""] * (high - len(head)) + head for head in head_lines), strict=True):
        yield _line(grid, list(line), widths, gap, BOLD if color else "", set(range(len(line))))
    yield " " + "─" * (_total(widths, gap) - 2)
    before: list[str] = []
    for y, (cells, end) in enumerate(zip(grid.rows, grid.ends, strict=True)):
        names = grid.text_columns - 1
        same = any(grid.ends) and cells[:names] == before[:names]
        shown = [""] * names + cells[names:] if same else cells
        folds = [folded(cell, wide) for cell, wide in zip(shown, widths, strict=True)]
        bold = {x for x in range(len(cells)) if (y, x) in grid.best}
        for place in range(max(map(len, folds), default=0)):
            line_cells = [fold[place] if place < len(fold) else "" for fold in folds]
            yield _line(grid, line_cells, widths, gap, BOLD if color else "", bold)
        if end:
            yield ""
        before = cells


def _line(grid: Grid, cells: list[str], widths: list[int], gap: int, style: str, styled: set[int]) -> str:
    """Set one line; names on the left of their columns, numbers on the right."""
    made = ""
    for place, (cell, wide) in enumerate(zip(cells, widths, strict=True)):
        space = " " * (wide - width_of(cell))
        text = f"{style}{cell}{END}" if style and place in styled and cell.strip() else cell
        made += (" " if not place else " " * gap) + (text + space if place < grid.text_columns else space + text)
    return made.rstrip()


def _records(grid: Grid, width: int) -> Iterator[str]:
    """Give a line for each cell, where not even one column of numbers fits beside the names."""
    yield ""
    for place, cells in enumerate(grid.rows):
        if place:
            yield ""
        for name, cell in zip(grid.columns, cells, strict=True):
            yield from folded(f"{name} {cell}".strip(), width, "  " if width > 4 else "")


def _fitted(grid: Grid, width: int | None) -> tuple[list[str], list[int], int]:
    """Give column heads, widths and the gap between columns; names are folded where room is short, numbers never."""
    heads, gap = grid.columns, 2
    widths, names = _widths(grid, heads), range(grid.text_columns)
    if width is None or _total(widths, gap) <= width:
        return heads, widths, gap
    heads = [_narrow(grid, place) for place in range(len(heads))]
    widths = _widths(grid, heads)
    least = [_least(grid, place) for place in names]
    while _total(widths, gap) > width:
        foldable = [place for place in names if place >= grid.kept and widths[place] > least[place]]
        widest = max(foldable or names, key=lambda place: widths[place] - least[place], default=None)
        if widest is not None and widths[widest] > least[widest]:
            widths[widest] -= 1
        elif gap > 1:
            gap, widths = 1, _widths(grid, heads)
        else:
            break
    return heads, widths, gap


def unfolded(grid: Grid) -> int:
    """Give the columns that a table needs where nothing is folded."""
    clean = grid.written(plain)
    return _total(_widths(clean, clean.columns), 2)


def _narrow(grid: Grid, place: int) -> str:
    """Fold the name of a column where it can be and is wide."""
    words = grid.columns[place].replace("(", " (").split()
    wide = max([LEAST_HEAD, _widest(grid, place), *map(longest_part, words)])
    return "\n".join(line for word in words for line in folded(word, wide))


def _least(grid: Grid, place: int) -> int:
    """Give the columns to which names are folded at most."""
    parts = max((longest_part(row[place]) for row in grid.rows), default=0)
    return max(min(LEAST_NAME, _widest(grid, place)), parts, _head_width(_narrow(grid, place)))


def _widest(grid: Grid, place: int) -> int:
    return max((width_of(row[place]) for row in grid.rows), default=0)


def _head_width(head: str) -> int:
    return max(map(width_of, head.split("\n")), default=0)


def _widths(grid: Grid, heads: list[str]) -> list[int]:
    return [max(_head_width(head), _widest(grid, place)) for place, head in enumerate(heads)]


def _total(widths: list[int], gap: int) -> int:
    """Add up a row: the columns, the gaps between them and a blank at either edge."""
    return sum(widths) + gap * (len(widths) - 1) + 2


def described(rows: Sequence[Mapping[str, Any]], width: int | None, color: bool) -> str:
    """Give rows of a listing as text: the name, what it is beside it, and below a dim line of all else."""
    names = [plain(row["name"]) for row in rows]
    wide = max(map(width_of, names), default=0) + 2
    room = None if width is None else width - wide
    made = []
    for name, row in zip(names, rows, strict=True):
        rest = [f"{key} {said(value)}" for key, value in row.items() if key not in ("name", "what") and value]
        above = room is not None and room < LEAST_ROOM
        across = width if above else room
        lines = [*_folded([said(row["what"])], across, "", False)]
        lines += _folded(["; ".join(rest)], across, DIM, color) if rest else []
        head = folded(name, width) if above and width else [name]
        styled = [f"{BOLD}{part}{END}" if color else part for part in head]
        if above:
            made += [*styled, *lines]
        else:
            made.append(styled[0] + " " * (wide - width_of(name)) + lines[0])
            made += [" " * wide + line for line in lines[1:]]
    return "\n".join(line.rstrip() for line in made)


def said(value: Any) -> str:
    """Write a value of a listing."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {said(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
