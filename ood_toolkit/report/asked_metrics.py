"""Metrics that were asked for beside those of the protocol, computed for rows from the scores of every image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ood_toolkit import metrics
from ood_toolkit.metrics.named import MACRO, OSCR, metric_key, with_measures
from ood_toolkit.metrics.ranking import Ranking
from ood_toolkit.report.evaluation import mean_rows
from ood_toolkit.report.images_of_rows import Case, case_of
from ood_toolkit.report.order import block_of
from ood_toolkit.report.results import Found, Row

__all__ = ["added_metrics", "has_metric", "known_images", "of_two_arrays", "rows_with"]


def added_metrics(found: Found, names: Iterable[str]) -> tuple[list[Row], dict[str, Any]]:
    """Give rows and header of a report with these metrics, too, named as `metric_key` knows them.

    Rows of an OOD set get what their images can give; else a note says what is missing. A mean over sets has a metric
    where all its sets do. The header lists under `metrics` what was asked for. Raises `MetricError` for an unknown
    name, `DataError` where the scores of every image are not there.
    """
    asked = list(dict.fromkeys(map(metric_key, names)))
    listed = list(dict.fromkeys([*found.header.get("metrics", ()), *asked]))
    rows = [_with(found, row, asked) for row in found.rows]
    return _with_means(rows, found.header.get("groups") or {}, asked), {**found.header, "metrics": listed}


def rows_with(found: Found, name: str) -> tuple[str, Sequence[Row]]:
    """Give the key of a metric and rows that hold it: those of the report, where it has none of it with it added."""
    key = name if has_metric(found, name) else metric_key(name)
    return key, found.rows if has_metric(found, key) else added_metrics(found, [key])[0]


def has_metric(found: Found, key: str) -> bool:
    """Tell whether any row of a report has a metric."""
    return any(key in row.metrics for row in found.rows)


def of_two_arrays(keys: Iterable[str]) -> list[str]:
    """Give those of the keys that need no more than the scores of ID and of OOD images."""
    return [key for key in keys if key != OSCR and not key.startswith(MACRO)]


def _with(found: Found, row: Row, asked: Sequence[str]) -> Row:
    """Add what is asked for and a row does not have yet."""
    keys = [key for key in asked if key not in row.metrics]
    case = case_of(found, row) if keys else None
    if case is None:
        return row
    values, notes = _computed(case, keys, str(found.header.get("protocol", "native")))
    return replace(row, metrics={**row.metrics, **values}, notes=(*row.notes, *notes))


def _computed(case: Case, keys: Sequence[str], protocol: str) -> tuple[dict[str, float], list[str]]:
    rules, notes = metrics.find_protocol(protocol), list[str]()
    ranking = Ranking.of(*case.scores)
    measures = with_measures(rules, of_two_arrays(keys)).measures
    values = {key: measures[key](ranking) for key in of_two_arrays(keys)}
    averaged = [key for key in keys if key.startswith(MACRO)]
    if OSCR in keys:
        if case.test.right is None or not case.test.known.any():
            notes.append(f"no {OSCR}: which predictions on ID are right is not known")
        else:
            values[OSCR] = metrics.oscr(*known_images(case))
    if averaged:
        plain = [key.removeprefix(MACRO) for key in averaged]
        whole = with_measures(rules, plain)
        wanted = replace(whole, measures={key: whole.measures[key] for key in plain})
        classes = case.ood.source
        if classes is None or (classes == "").all():
            notes.append(f"no {', '.join(averaged)}: the images of {case.row.ood} have no classes of their own")
        else:
            inside, outside = case.scores
            has = classes != ""
            means = metrics.macro_average(inside, outside[has], classes[has], wanted)
            values |= {f"{MACRO}{key}": value for key, value in means.items()}
            notes += _left_out(case.row.ood, int((~has).sum()))
    return {key: values[key] for key in keys if key in values}, notes


def known_images(case: Case) -> tuple[Any, Any, Any]:
    """Give ID scores, OOD scores and whether predictions are right, of ID images whose class is known."""
    known, (inside, outside) = case.test.known, case.scores
    return inside[known], outside, None if case.test.right is None else case.test.right[known]


def _left_out(ood: str, count: int) -> list[str]:
    return [f"{count:,} images of {ood} without a class are left out of means over classes"] if count else []


def _with_means(rows: Sequence[Row], groups: Mapping[str, Sequence[str]], asked: Sequence[str]) -> list[Row]:
    """Give the means over sets the metrics that all their sets have."""
    blocks: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if row.kind == "ood":
            blocks.setdefault(block_of(row), []).append(row)
    means = {(block, mean.ood): mean.metrics for block, part in blocks.items() for mean in mean_rows(part, groups)}
    made = []
    for row in rows:
        fresh = means.get((block_of(row), row.ood), {}) if row.kind == "mean" else {}
        more = {key: fresh[key] for key in asked if key in fresh and key not in row.metrics}
        made.append(replace(row, metrics={**row.metrics, **more}) if more else row)
    return made
