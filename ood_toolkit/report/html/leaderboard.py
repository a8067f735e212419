"""`leaderboard_page`: a leaderboard as one HTML file that opens offline; ranks follow what is filtered."""

from __future__ import annotations

from typing import Any

from ood_toolkit.report.cells import plain
from ood_toolkit.report.columns import NAMES
from ood_toolkit.report.html.page import made_page
from ood_toolkit.report.leaderboard.board import Board
from ood_toolkit.report.leaderboard.demands import COSTS, SUPERVISION
from ood_toolkit.report.leaderboard.entries import Entry, Pair
from ood_toolkit.report.leaderboard.standings import Part, spread_quantile
from ood_toolkit.report.leaderboard.tables import board_lines, board_notes, label_of, model_of, part_name, sources_of
from ood_toolkit.report.order import lower_is_better

__all__ = ["leaderboard_page"]

SCRIPTS = ("dom", "leaderboard")


def leaderboard_page(board: Board) -> str:
    """Give a page of a leaderboard: a part at a time, sorted by a click on a head, filtered, ranked among what is left.

    Names are text in it and never markup, its policy lets its own scripts alone run, and it asks for nothing.
    """
    ids = dict.fromkeys(pair.id for part in board.parts for pair in part.pairs if not pair.scope)
    held = {
        "title": plain(f"{' and '.join(ids) or 'OOD detection'}: leaderboard"),
        "lines": list(map(plain, board_lines(board))),
        "notes": list(map(plain, board_notes(board))),
        "protocol": board.protocol,
        "columns": [{"key": m, "label": NAMES[m], "lower": lower_is_better(m)} for m in board.measures],
        "supervision": SUPERVISION,
        "cost": COSTS,
        "parts": [_part(board, part) for part in board.parts],
    }
    return made_page("leaderboard.html", held, SCRIPTS)


def _part(board: Board, part: Part) -> dict[str, Any]:
    """Give what is ranked on the sets of a part, with all its numbers; the page computes ranks and means of them."""
    several = len({pair.id for pair in part.pairs}) > 1
    sources = sources_of(board)
    entries = [standing.entry for standing in part.standings]
    return {
        "name": plain(part_name(part)),
        "seeds": [list(range(len(_values(part, entries[0], pair, "auroc")))) for pair in part.pairs],
        "pairs": [plain(f"{pair.id}, {pair.ood}" if several else pair.ood) for pair in part.pairs],
        "quantiles": [spread_quantile(freedom) for freedom in range(1, max(len(part.trials), 2))],
        "entries": [
            {
                "name": plain(label_of(entry.who, sources)),
                "model": plain(model_of(entry.who)),
                "decider": plain(entry.who.decider),
                "published": bool(entry.who.source),
                "supervision": entry.supervision,
                "cost": entry.cost,
                "values": {m: [_values(part, entry, pair, m) for pair in part.pairs] for m in board.measures},
            }
            for entry in entries
        ],
    }


def _values(part: Part, entry: Entry, pair: Pair, measure: str) -> list[float | None]:
    """Give a metric on a pair of sets, one number a seed, None where there is none."""
    return [entry.results.get(trial, {}).get(measure) for trial in part.trials if trial.pair == pair]
