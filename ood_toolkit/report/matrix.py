"""Tables for many scorers: scorers down, OOD sets across, one for each metric."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ood_toolkit.report.columns import against, cell_of, heading, measures_of, p_value, percent, reference, told_apart
from ood_toolkit.report.grid import Grid, Places
from ood_toolkit.report.order import block_of, lower_is_better
from ood_toolkit.report.results import Row

__all__ = ["BEYOND", "legend", "matrix_grids", "paired_matrix"]

BEYOND = 8
"""More scorers than this are laid out so where nothing else is asked for."""
LEVEL = 0.05
Block = tuple[str, ...]


def matrix_grids(header: Mapping[str, Any], rows: Sequence[Row]) -> list[Grid]:
    """Give a table for each metric of the protocol, then one of what holds for a scorer on ID alone, and its seconds.

    In each column the best value is marked, and with paired tests against it those AUROCs that cannot be told apart.
    """
    part = [row for row in rows if row.status == "ok" and row.kind in ("ood", "mean")]
    if not part:
        return []
    names, cells = _names(part)
    places = list(dict.fromkeys((row.kind, row.ood) for row in part))
    places.sort(key=lambda place: place[0] == "mean")
    heads = [ood if kind == "ood" else f"mean {ood}".replace("mean all", "mean") for kind, ood in places]
    values = {(block_of(row), (row.kind, row.ood)): row for row in part}
    blocks = list(cells)
    grids = []
    for metric in measures_of(header):
        table = [[_value(values.get((block, place)), metric) for place in places] for block in blocks]
        if any(math.isfinite(value) for line in table for value in line):
            best = _best(table, lower_is_better(metric), len(names))
            tied = _tied(header, blocks, places, best, len(names)) if metric == "auroc" else frozenset()
            texts = [
                [*cells[block], *(_cell(values.get((block, place)), metric) for place in places)] for block in blocks
            ]
            grids.append(_grid(heading(metric), [*names, *heads], texts, len(names), best, tied))
    return [*grids, _own(rows, blocks, names, cells)]


def _own(rows: Sequence[Row], blocks: Sequence[Block], names: list[str], cells: Mapping[Block, list[str]]) -> Grid:
    """Lay out what a scorer has once: the share of ID that it accepts, right against wrong, what it cost."""
    accepted = {block_of(row): row.metrics["id_accepted"] for row in rows if "id_accepted" in row.metrics}
    right = {block_of(row): row.metrics.get("auroc", math.nan) for row in rows if row.kind == "misclassification"}
    seconds = {block: max(row.seconds for row in rows if block_of(row) == block) for block in blocks}
    columns: dict[str, Callable[[Block], str]] = {}
    best: Places = frozenset()
    if accepted:
        columns["accepted"] = lambda block: percent(accepted.get(block))
    if any(math.isfinite(value) for value in right.values()):
        best = _best([[right.get(block, math.nan)] for block in blocks], False, len(names) + len(columns))
        columns["right"] = lambda block: percent(right.get(block))
    columns["seconds"] = lambda block: f"{seconds[block]:.3f}"
    texts = [[*cells[block], *(write(block) for write in columns.values())] for block in blocks]
    return _grid("ID", [*names, *columns], texts, len(names), best, frozenset())


def _grid(title: str, columns: list[str], rows: list[list[str]], names: int, best: Places, tied: Places) -> Grid:
    unit = "" if title == "ID" else " (%)"
    return Grid(f"{title}{unit}", columns, rows, [False] * len(rows), names, best, tied, short=title)


def _names(rows: Sequence[Row]) -> tuple[list[str], dict[Block, list[str]]]:
    """Give the columns that tell scorers apart, and what stands in them, by block."""
    keys = {"model": "model", "scorer": "scorer", "decider": "decides", "id": "ID"}
    deciders = any(row.decider for row in rows)
    wanted = {
        "model": len({row.model for row in rows}) > 1, "scorer": True, "decider": deciders,
        "id": deciders or len({row.id for row in rows}) > 1,
    }  # fmt: skip
    held = [key for key, asked in wanted.items() if asked]
    return [keys[key] for key in held], {block_of(row): [getattr(row, key) for key in held] for row in rows}


def _value(row: Row | None, metric: str) -> float:
    return math.nan if row is None else row.metrics.get(metric, math.nan)


def _cell(row: Row | None, metric: str) -> str:
    return percent(None) if row is None else cell_of(row, metric)


def _best(table: Sequence[Sequence[float]], lower: bool, before: int) -> Places:
    """Find the best cells of each column; where all are the same none is the best."""
    found = set()
    for column in range(len(table[0]) if table else 0):
        values = [line[column] for line in table]
        known = [value for value in values if math.isfinite(value)]
        if len(set(known)) > 1:
            best = min(known) if lower else max(known)
            found |= {(place, before + column) for place, value in enumerate(values) if value == best}
    return frozenset(found)


def _tied(
    header: Mapping[str, Any], blocks: Sequence[Block], places: Sequence[tuple[str, str]], best: Places, before: int
) -> Places:
    """Find the cells that a paired test against the best of their column does not tell apart from it."""
    found = set()
    for test in header.get("paired") or []:
        other = test["against"]
        column = before + places.index(("ood", test["ood"])) if ("ood", test["ood"]) in places else -1
        mine, theirs = (_place(blocks, one, test["id"]) for one in (test, other))
        if (theirs, column) in best and mine is not None and test["p_holm"] >= LEVEL:
            found.add((mine, column))
    return frozenset(found) - best


def _place(blocks: Sequence[Block], one: Mapping[str, Any], id_name: str) -> int | None:
    for place, (model, scorer, decider, of) in enumerate(blocks):
        if (scorer, of) != (one["scorer"], id_name) or one.get("model", model) != model:
            continue
        if one.get("decider", decider) == decider:
            return place
    return None


def paired_matrix(header: Mapping[str, Any]) -> Grid | None:
    """Lay out paired tests with scorers down and OOD sets across: points of difference and the p-value.

    What all tests of the table, or of a column, compare with stands in the title, or in the column's head.
    """
    tests = header.get("paired") or []
    if not tests:
        return None
    whose = told_apart(tests, ("model", "decider"))
    one = reference(tests, whose)
    pairs = list(dict.fromkeys((test["id"], test["ood"]) for test in tests))
    several = len({of for of, _ in pairs}) > 1
    ones = {pair: reference([test for test in tests if (test["id"], test["ood"]) == pair], whose) for pair in pairs}
    lines: dict[Block, dict[tuple[str, str], str]] = {}
    for test in tests:
        pair = (test["id"], test["ood"])
        line = lines.setdefault((test.get("model", ""), test["scorer"], test.get("decider", "")), {})
        other = "" if ones[pair] else f" {against(test, whose)}"
        line[pair] = f"{round(100 * test['difference'], 2) + 0.0:+.2f} ({p_value(test['p_holm'])}){other}"
    held = [place for place in range(3) if place == 1 or len({block[place] for block in lines}) > 1]
    names = [("model", "scorer", "decides")[place] for place in held]
    rows = [
        [*(block[place] for place in held), *(line.get(pair, "-") for pair in pairs)] for block, line in lines.items()
    ]
    heads = [
        (f"{of}, {ood}" if several else ood) + (f" against {ones[of, ood]}" if ones[of, ood] and not one else "")
        for of, ood in pairs
    ]
    title = f"AUROC, paired on the same images: points more than {one or 'another scorer'}, and p (Holm)"
    return Grid(title, [*names, *heads], rows, [False] * len(rows), len(names))


def _champion(grid: Grid) -> str:
    """Name what is best in the last column of a table, the mean where there is one."""
    last = len(grid.columns) - 1
    best = [" ".join(grid.rows[y][: grid.text_columns]) for y, x in sorted(grid.best) if x == last]
    value = {grid.rows[y][last] for y, x in grid.best if x == last}
    return f"; by {grid.short}, {grid.columns[last]}: {', '.join(best)} with {value.pop()} %" if best else ""


def legend(grids: Sequence[Grid], header: Mapping[str, Any]) -> list[str]:
    """Say what the marks and short heads of matrices mean, and what the scorers together took."""
    lines = []
    parts = [{**header, **part} for part in header.get("models", [{}])]
    together = [part["shared_seconds"] for part in parts if "shared_seconds" in part]
    columns = [name for grid in grids if grid.short == "ID" for name in grid.columns]
    words = {
        "accepted": "share of the ID test (%) that is accepted at the scorer's threshold",
        "right": "AUROC of right against wrong predictions on ID (%)",
        "seconds": "fitting and scoring, all sets together"
        + (f", beside {sum(together):.3f} for arrays that several scorers share" if together else ""),
    }
    if columns:
        said = "; ".join(f"{name}: {meaning}" for name, meaning in words.items() if name in columns)
        lines.append(f"ID: {said}")
    if any(grid.best for grid in grids):
        lines.append(f"* the best of its column{_champion(grids[0])}")
    if any(grid.tied for grid in grids):
        lines.append(f"~ not told apart from the best of its column at {LEVEL:g} (paired test, Holm's correction)")
    return lines
