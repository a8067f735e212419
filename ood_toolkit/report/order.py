"""The order of the scorers in a table: by a metric, the best first, by name, or by what they cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from ood_toolkit.api.spec import nearest
from ood_toolkit.errors import MetricError
from ood_toolkit.report.results import Row

__all__ = ["block_of", "lower_is_better", "mean_of", "ordered"]

ERRORS = frozenset({"detection_error", "aurc", "eaurc", "augrc"})
NONE, NAME, SECONDS = "none", "name", "seconds"
Blocks = dict[tuple[str, ...], list[Row]]


def ordered(rows: Sequence[Row], by: str) -> list[Row]:
    """Give rows in another order of their scorers: by `name`, `seconds`, a metric's mean, or `none` for as they are.

    A metric has its best values first; scorers without one come last. Raises `MetricError` for one that no row has.
    """
    if by == NONE:
        return list(rows)
    blocks: Blocks = {}
    for row in rows:
        blocks.setdefault(block_of(row), []).append(row)
    key = _key(rows, by)
    return [row for block in sorted(blocks, key=lambda block: key(blocks[block])) for row in blocks[block]]


def _key(rows: Sequence[Row], by: str) -> Callable[[list[Row]], tuple[float, str]]:
    if by == NAME:
        return lambda block: (0.0, block[0].scorer)
    if by == SECONDS:
        return lambda block: (max(row.seconds for row in block) if _ran(block) else math.inf, "")
    known = dict.fromkeys(name for row in rows for name in row.metrics if not name.endswith(("_low", "_high")))
    if by not in known:
        words = [*known, NAME, SECONDS, NONE]
        raise MetricError(f"--sort: expected a metric of this run, name, seconds or none, got {by!r}; "
                          f"{nearest(by, words)}")  # fmt: skip
    sign = 1 if lower_is_better(by) else -1
    return lambda block: (sign * value if (value := mean_of(block, by)) is not None else math.inf, "")


def lower_is_better(metric: str) -> bool:
    """Tell whether the best value of a metric is the lowest, as of errors and of false positive rates."""
    from ood_toolkit.metrics.named import MACRO  # not at start-up, as in `heading`

    plain = metric.removeprefix(MACRO)
    return plain in ERRORS or (plain.startswith("fpr") and plain.endswith(("_id", "_ood")))


def mean_of(block: Sequence[Row], metric: str) -> float | None:
    """Give the mean of a metric over all OOD sets, of the only one, or of ID alone; None for none."""
    ranks: Mapping[str, int] = {"mean": 0, "ood": 1, "misclassification": 2}
    found = sorted((row for row in block if math.isfinite(row.metrics.get(metric, math.nan))),
                   key=lambda row: (ranks[row.kind], row.ood != "all"))  # fmt: skip
    if not found:
        return None
    part = [row for row in found if row.kind == found[0].kind]
    if part[0].kind == "mean" and part[0].ood == "all":
        return part[0].metrics[metric]
    sets = [row for row in found if row.kind == "ood"] or part
    return sum(row.metrics[metric] for row in sets) / len(sets)


def _ran(block: Sequence[Row]) -> bool:
    return any(row.status == "ok" for row in block)


def block_of(row: Row) -> tuple[str, ...]:
    """Tell rows of one scorer, model, decider and ID set from those of the next."""
    return row.model, row.scorer, row.decider, row.id
