"""Intervals for the rows of a report, from the scores of every image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from ood_toolkit import metrics
from ood_toolkit.errors import MetricError
from ood_toolkit.metrics.named import OSCR, with_measures
from ood_toolkit.report.asked_metrics import known_images, of_two_arrays
from ood_toolkit.report.images_of_rows import case_of, right_and_wrong
from ood_toolkit.report.report import Report
from ood_toolkit.report.results import Row

__all__ = ["CONFIDENCE", "Progress", "silent", "with_intervals", "without_intervals"]

CONFIDENCE = 0.95
ENDS = ("low", "high")
Progress = Callable[[str, int, int, str], None]
"""Is told what is being computed, how much of it is done, of how much, and of what."""


def silent(what: str, done: int, of: int, each: str) -> None:
    """Say nothing of the progress."""


def with_intervals(report: Report, replicates: int = 1000, seed: int = 0, progress: Progress = silent) -> Report:
    """Add the ends of 95 % intervals to rows, as `auroc_low`, `auroc_high` and so on.

    `auroc` has DeLong's, every other metric of the protocol, and of right against wrong predictions, that of a
    bootstrap with as many replicates; see `metrics.intervals` and `metrics.selective_intervals`. Rates of decisions,
    means over sets and means over classes get none. A row whose scores have no interval (fewer than two images) says so
    in a note.
    """
    rows: list[Row] = []
    for row in report.rows:
        if row.status == "ok" and row.kind != "mean" and "auroc" in row.metrics:
            progress("intervals", len(rows), len(report.rows), "rows")
            try:
                found = _intervals(report, row, replicates, seed)
            except MetricError as error:
                row = replace(row, notes=(*row.notes, f"no interval: {error}"))
            else:
                ends = {f"{key}_{end}": getattr(one, end) for key, one in found.items() for end in ENDS}
                row = replace(row, metrics={**row.metrics, **ends})
        rows.append(row)
    about = {"confidence": CONFIDENCE, "auroc": "DeLong", "others": "bootstrap", "replicates": replicates, "seed": seed}
    return replace(report, rows=rows, header={**report.header, "intervals": about})


def _intervals(report: Report, row: Row, replicates: int, seed: int) -> Mapping[str, metrics.Interval]:
    """Give the interval of each metric of a row that has one."""
    if row.kind == "misclassification":
        return metrics.selective_intervals(*right_and_wrong(report, row), replicates, seed, CONFIDENCE)
    case = case_of(report, row)
    if case is None:
        return {}
    rules = metrics.find_protocol(str(report.header.get("protocol", "native")))
    asked = [key for key in report.header.get("metrics", ()) if key in row.metrics]
    protocol = with_measures(rules, of_two_arrays(asked))
    found = metrics.intervals(*case.scores, protocol, replicates, seed, CONFIDENCE)
    if OSCR in asked:
        found[OSCR] = metrics.oscr_interval(*known_images(case), replicates, seed, CONFIDENCE)
    return found


def without_intervals(row: Row) -> Row:
    """Give a row without the ends of intervals."""
    kept = {key: value for key, value in row.metrics.items() if not key.endswith(tuple(f"_{end}" for end in ENDS))}
    return replace(row, metrics=kept)
