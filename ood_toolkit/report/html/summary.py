"""The rows of a report as the page's tables: blocks of one scorer, values with their intervals, what was noted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ood_toolkit.report.cells import plain
from ood_toolkit.report.columns import heading, measures_of
from ood_toolkit.report.html.numbers import exact
from ood_toolkit.report.order import block_of, lower_is_better
from ood_toolkit.report.results import Row

__all__ = ["block_names", "columns", "label_of", "right_columns", "values"]

DECIDED = ("id_accepted", "ood_detected")
RIGHT = ("auroc", "aurc", "augrc", "f1_uncertain")


def columns(header: Mapping[str, Any], rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Give the columns of OOD detection: the protocol's measures, and decisions where there are any."""
    part = [row for row in rows if row.kind in ("ood", "mean")]
    wanted = (*measures_of(header), *DECIDED)
    return [_column(name) for name in wanted if any(name in row.metrics for row in part)]


def right_columns(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Give the columns of right against wrong predictions."""
    part = [row for row in rows if row.kind == "misclassification"]
    return [_column(name) for name in RIGHT if any(name in row.metrics for row in part)]


def _column(name: str) -> dict[str, Any]:
    return {"key": name, "label": heading(name), "lower": lower_is_better(name), "heat": name not in DECIDED}


def values(row: Row, wanted: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Give a row's value of each column, with the ends of its interval where it has one."""
    found: dict[str, Any] = {}
    for column in wanted:
        key = column["key"]
        ends = [row.metrics.get(f"{key}_{end}") for end in ("low", "high")]
        known = [row.metrics.get(key), *ends]
        found[key] = [None if value is None else exact(value) for value in known if value is not None] or None
    return found


def block_names(rows: Sequence[Row]) -> list[tuple[tuple[str, ...], str]]:
    """Name the blocks of a report, as `block_of` tells them apart: by the scorer, and by what else differs."""
    seen = dict.fromkeys(map(block_of, rows))
    models, ids = len({model for model, *_ in seen}) > 1, len({block[3] for block in seen}) > 1
    named = []
    for block in seen:
        model, scorer, decider, id_name = block
        own = decider == id_name or not decider
        parts = [scorer, decider, model if models else "", id_name if ids or not own else ""]
        named.append((block, " · ".join(dict.fromkeys(part for part in parts if part))))
    return named


def label_of(row: Row) -> str:
    """Name the OOD set of a row, or what its mean is over."""
    name = plain(row.ood)
    return f"mean {name}".replace("mean all", "mean") if row.kind == "mean" else name
