"""Which tables a report has: one row for a scorer and set, or, for many scorers, matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ood_toolkit.report.columns import footnotes, ood_grid, paired_grid, right_grid, summary
from ood_toolkit.report.grid import Grid
from ood_toolkit.report.matrix import BEYOND, legend, matrix_grids, paired_matrix
from ood_toolkit.report.order import ordered
from ood_toolkit.report.remedies import remedies
from ood_toolkit.report.results import Row

__all__ = ["Layout", "laid"]


@dataclass(frozen=True)
class Layout:
    """What stands in a report for people, whatever its form: lines, tables, notes."""

    lines: list[str]
    grids: list[Grid]
    notes: list[str]
    hints: list[str]
    """What to do about scorers that were skipped; said where somebody works, and not in a paper."""


def laid(header: Mapping[str, Any], rows: Sequence[Row], sort: str | None = None) -> Layout:
    """Lay a report out. `sort` is a metric, `name`, `seconds` or `none`; None sorts matrices by their first metric."""
    scored = {row.scorer for row in rows if row.status == "ok" and row.kind == "ood"}
    notes, hints = footnotes(rows), remedies(rows)
    if len(scored) <= BEYOND:
        shown = ordered(rows, sort or "none")
        made = [ood_grid(header, shown), right_grid(shown), paired_grid(header)]
        return Layout(summary(header), [grid for grid in made if grid is not None], notes, hints)
    grids = matrix_grids(header, ordered(rows, sort or _first(rows)))
    more = paired_matrix(header)
    return Layout(summary(header), [*grids, *([more] if more else [])], [*legend(grids, header), *notes], hints)


def _first(rows: Sequence[Row]) -> str:
    return "auroc" if any("auroc" in row.metrics for row in rows) else "none"
