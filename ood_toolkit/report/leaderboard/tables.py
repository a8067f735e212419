"""A leaderboard as records for programs, and as tables with what has to be said above and below them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ood_toolkit.metrics import find_protocol
from ood_toolkit.report.columns import NAMES, percent
from ood_toolkit.report.grid import Grid
from ood_toolkit.report.leaderboard.board import Board
from ood_toolkit.report.leaderboard.demands import MEANING
from ood_toolkit.report.leaderboard.entries import Entry, Pair, Who
from ood_toolkit.report.leaderboard.standings import Estimate, Part, Standing
from ood_toolkit.report.published import cited, numbered, stated

__all__ = [
    "board_grids",
    "board_lines",
    "board_notes",
    "board_records",
    "label_of",
    "model_of",
    "part_name",
    "part_title",
    "sources_of",
]


def board_records(board: Board) -> list[dict[str, Any]]:
    """Give each entry of each part as plain values; numbers in full precision, metrics as shares."""
    return [_record(board, part, standing) for part in board.parts for standing in part.standings]


def _record(board: Board, part: Part, standing: Standing) -> dict[str, Any]:
    who = standing.entry.who
    return {
        "part": part.name, "scope": part.scope, "place": standing.place, "ranked": part.ranked,
        "kind": "published" if who.source else "measured",
        "model": who.model, "head": who.head, "scorer": who.scorer, "decider": who.decider,
        "supervision": standing.entry.supervision, "cost": standing.entry.cost,
        **_ends("mean_rank", standing.rank),
        **{key: value for m in board.measures for key, value in _ends(m, standing.measures.get(m)).items()},
        "results": standing.results, "of_results": len(part.trials),
        "lacking": [_trial_text(trial.pair, trial.seed) for trial in standing.lacking],
        "interval_over": part.over, "protocol": who.protocol or board.protocol, "source": who.source,
    }  # fmt: skip


def _ends(name: str, found: Estimate | None) -> dict[str, float | None]:
    values = (None, None, None) if found is None else (found.value, found.low, found.high)
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def board_grids(board: Board) -> list[Grid]:
    """Lay out a table for each part; the protocol stands in the head of every number."""
    sources = sources_of(board)
    return [_grid(board, part, sources) for part in board.parts]


def _grid(board: Board, part: Part, sources: Mapping[str, str]) -> Grid:
    told: dict[str, Callable[[Entry], str]] = {
        "model": lambda entry: model_of(entry.who),
        "scorer": lambda entry: label_of(entry.who, sources),
        "decides": lambda entry: entry.who.decider,
        "supervision": lambda entry: entry.supervision or "-",
        "cost": lambda entry: entry.cost or "-",
    }
    columns = {name: [write(standing.entry) for standing in part.standings] for name, write in told.items()}
    shown = [name for name in columns if name == "scorer" or len(set(columns[name])) > 1]
    cells = []
    for y, standing in enumerate(part.standings):
        values = [_rank(standing, part), *(_share(m, standing.measures.get(m)) for m in board.measures)]
        cells.append([_place(standing), *(columns[name][y] for name in shown), *values])
    one = {name: columns[name][0] for name in ("supervision", "cost") if name not in shown}
    same = [f"; {name} {word}" for name, word in one.items() if word != "-"]
    numbers = [f"{name} ({board.protocol})" for name in ("mean rank", *(NAMES[m] for m in board.measures))]
    title = f"{part_title(part)}{''.join(same)} (%)"
    return Grid(title, ["#", *shown, *numbers], cells, [False] * len(cells), 1 + len(shown))


def part_name(part: Part) -> str:
    """Name a part: its group of OOD sets and, but for the ID test alone, what counts as in-distribution."""
    return f"{part.name}, {part.scope}" if part.scope else part.name


def part_title(part: Part) -> str:
    """Name a part with how many are ranked on how many sets, and what the intervals are over."""
    over = f"; intervals over {part.over}" if part.over else ""
    return f"{part_name(part)}: {part.ranked} ranked on {_counted(len(part.pairs), 'set')}{over}"


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def model_of(who: Who) -> str:
    """Name the model of an entry, with its trained head."""
    return f"{who.model}, head {who.head}" if who.head else who.model


def label_of(who: Who, sources: Mapping[str, str]) -> str:
    """Name an entry; what was published says so, with the number of its source."""
    if not who.source:
        return who.scorer
    return f"{cited(who.scorer, False, sources[_stated(who)])} published"


def _stated(who: Who) -> str:
    return stated(who.source, who.protocol)


def sources_of(board: Board) -> dict[str, str]:
    """Give the sources of what was published their numbers."""
    whos = [standing.entry.who for part in board.parts for standing in part.standings]
    return numbered(_stated(who) for who in whos if who.source)


def _place(standing: Standing) -> str:
    return "-" if standing.place is None else str(standing.place)


def _rank(standing: Standing, part: Part) -> str:
    found = standing.rank
    if found is None:
        return f"{standing.results} of {len(part.trials)}"
    ends = "" if found.low is None or found.high is None else f" [{found.low:.0f}, {found.high:.0f}]"
    return f"{found.value:.2f}{ends}"


def _share(measure: str, found: Estimate | None) -> str:
    """Write a metric in per cent, AUROC with its interval."""
    value = percent(None if found is None else found.value)
    if found is None or found.low is None or found.high is None or measure != "auroc":
        return value
    return f"{value} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def board_lines(board: Board) -> list[str]:
    """Say what was ranked: runs, sets with their sizes by part, seeds, protocol."""
    lines = [f"{_counted(len(board.runs), 'run')}: {', '.join(board.runs)}"]
    for part in board.parts:
        lines += list(_sets(board, part))
    seeds = [str(seed) for seed in board.seeds if seed is not None]
    lines += [f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(seeds)}"] if seeds else []
    protocol = find_protocol(board.protocol)
    return [*lines, f"protocol {protocol.name}; FPR95: {protocol.fpr_rule}"]


def _sets(board: Board, part: Part) -> Iterator[str]:
    by_id: dict[str, list[Pair]] = {}
    for pair in part.pairs:
        by_id.setdefault(pair.id, []).append(pair)
    for name, pairs in by_id.items():
        known = [(pair, board.sizes.get(pair, (0, 0))) for pair in pairs]
        ood = ", ".join(f"{pair.ood} ({sizes[1]:,})" for pair, sizes in known)
        yield f"{part_name(part)}: ID {name} ({known[0][1][0]:,}) against {ood}"


def board_notes(board: Board) -> list[str]:
    """Say what ranks, intervals and marks mean, what lacks a set and why, and where published numbers are from."""
    over = {part.over for part in board.parts} - {""}
    notes = [
        "mean rank: by AUROC among the ranked entries of a table, 1 the best, equal ones share the mean of their "
        "ranks; means are over seeds, then over sets, and each set counts the same"
    ]
    if over:
        notes.append(
            f"in brackets: 95 % intervals over {' or '.join(sorted(over))}, Student's t, cut to what is possible; they "
            "say how far a mean would move with others of their kind, nothing of the images of a set and nothing of "
            "two scorers on the same images: oodkit compare tests those"
        )
    notes += MEANING
    notes += _unranked(board)
    sources = sources_of(board)
    if sources:
        notes.append(
            "published: as printed by its source on as many images, ranked alone against the measured entries, whose "
            "ranks it does not change; FPR95 only under the same protocol, AUROC is one under all"
        )
        notes += [f"[{number}] {source}" for source, number in sources.items()]
    return [*notes, *board.notes]


def _unranked(board: Board) -> Iterator[str]:
    """Name what has no rank: entries that lack a set, and what has no result at all."""
    said: dict[str, dict[str, None]] = {}
    for part in board.parts:
        for standing in part.standings:
            source = standing.entry.who.source
            for trial in standing.lacking:
                why = standing.entry.why.get(trial, "its source gives none" if source else "no run has it")
                where = _trial_text(trial.pair, trial.seed)
                name = " of ".join(filter(None, (standing.entry.who.scorer, model_of(standing.entry.who))))
                said.setdefault(f"{where}: {why}", {})[name] = None
    for why, names in said.items():
        yield f"not ranked: {', '.join(names)} lacks {why}"
    for why, scorers in board.never.items():
        yield f"without a result: {', '.join(scorers)}: {why}"


def _trial_text(pair: Pair, seed: int | None) -> str:
    return f"{pair}{'' if seed is None else f', seed {seed}'}"
