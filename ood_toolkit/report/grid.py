"""`Grid`: a table as text, before it has a form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

__all__ = ["Grid"]

Places = frozenset[tuple[int, int]]


@dataclass(frozen=True)
class Grid:
    """A table as text: a title, column names, and rows of cells; rows that close a block are marked."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    ends: list[bool]
    """Whether a rule follows the row."""
    text_columns: int
    """How many columns, from the left, hold names and not numbers."""
    best: Places = frozenset()
    """Cells, as (row, column), that hold the best value of their column."""
    tied: Places = frozenset()
    """Cells that cannot be told apart from the best."""
    kept: int = 0
    """How many columns, from the left, are folded only where folding the others is not enough."""
    short: str = ""
    """What the columns of numbers are of, where the table may stand beside others with the same names."""

    def written(self, cell: Callable[[object], str]) -> Grid:
        """Give the grid with every text in one form of output."""
        rows = [[cell(text) for text in row] for row in self.rows]
        return replace(self, title=cell(self.title), columns=[cell(name) for name in self.columns], rows=rows)

    def only(self, numbers: list[int]) -> Grid:
        """Give the grid with all its names but only these columns of numbers."""
        kept = [*range(self.text_columns), *numbers]
        rows = [[row[place] for place in kept] for row in self.rows]
        best, tied = (
            frozenset((row, kept.index(column)) for row, column in places if column in kept)
            for places in (self.best, self.tied)
        )
        return replace(self, columns=[self.columns[place] for place in kept], rows=rows, best=best, tied=tied)
