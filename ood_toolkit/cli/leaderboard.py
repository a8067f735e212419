"""`oodkit leaderboard`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ood_toolkit.cli import options
from ood_toolkit.cli.choice import Choice
from ood_toolkit.cli.place import Place
from ood_toolkit.cli.streams import print_form, shape
from ood_toolkit.report.leaderboard.demands import COSTS, SUPERVISION

if TYPE_CHECKING:
    from ood_toolkit.report.leaderboard.board import Board
    from ood_toolkit.report.leaderboard.entries import Contribution

PAGE_NAME = "index.html"


@click.command("leaderboard")
@click.argument("runs", nargs=-1, required=True, type=Place(), metavar="RUN...")
@click.option("--model", "models", multiple=True, metavar="TEXT", help="Only models whose name holds this. Repeat it.")
@click.option("--scorers", multiple=True, metavar="SPECS", help="Only these scorers, such as msp,knn:k=100.")
@click.option(
    "--supervision", multiple=True, type=Choice(SUPERVISION),
    help="Only scores that learn from no image of the ID classes, from a few, or from a training set. Repeat it.",
)  # fmt: skip
@click.option(
    "--cost", "costs", multiple=True, type=Choice(COSTS),
    help="Only scores that need this beside the class texts: logits alone, features, further texts, the training set. "
    "Repeat it.",
)  # fmt: skip
@click.option("--ood", multiple=True, metavar="A,B", help="Rank on these OOD sets alone.")
@click.option("--protocol", metavar="NAME", help="Compute the metrics of all runs again by these rules.")
@click.option(
    "--html", type=Place(file_okay=False), metavar="DIR",
    help=f"Also write a page, DIR/{PAGE_NAME}, that opens offline and can be sorted and filtered. Such a page that is "
    "there is replaced, any other file refused.",
)  # fmt: skip
@options.style
def command(
    runs: tuple[Path, ...], models: tuple[str, ...], scorers: tuple[str, ...], supervision: tuple[str, ...],
    costs: tuple[str, ...], ood: tuple[str, ...], protocol: str | None, html: Path | None, style: str,
) -> None:  # fmt: skip
    """Rank the scorers of runs that `oodkit bench --output RUN` wrote, over models, sets and seeds.

    Mean rank and mean AUROC with 95 % intervals over sets; near, far and full spectrum apart; published values of a
    preset beside measured ones. A scorer that lacks a set is marked and not ranked. Runs of other protocols, images or
    settings of a model are refused.
    """
    from ood_toolkit.api.spec import split_specs
    from ood_toolkit.benchmark.reading import read_lists
    from ood_toolkit.report.comparison_tables import text_of
    from ood_toolkit.report.leaderboard.asked import Asked
    from ood_toolkit.report.leaderboard.board import board_of
    from ood_toolkit.report.leaderboard.tables import board_grids, board_lines, board_notes, board_records

    if len(set(runs)) < len(runs):
        raise click.UsageError("a run is named twice")
    if html is not None:
        _reserve_page(html)
    read = _read(runs, protocol)
    specs = tuple(spec for text in scorers for spec in split_specs(text))
    board = board_of(read, Asked(models, specs, supervision, costs, read_lists(ood)))
    if html is not None:
        _write_page(board, html)
    grids, lines, notes = board_grids(board), board_lines(board), board_notes(board)
    print_form(text_of(board_records(board), grids, style, *shape(), lines, notes), "")


def _read(runs: tuple[Path, ...], protocol: str | None) -> list[Contribution]:
    """Read one run after the other, so that the scores of one are in memory at a time."""
    from ood_toolkit.cli.progress import clear, progress
    from ood_toolkit.report import Report
    from ood_toolkit.report.comparison import measured
    from ood_toolkit.report.leaderboard.entries import contribution_of
    from ood_toolkit.report.run_folder import read_run

    found = []
    for place, run in enumerate(runs):
        progress("reading", place, len(runs), "runs")
        held = read_run(run)
        report = Report(held.rows, held.header, held.answers)
        found.append(contribution_of(held.name, report if protocol is None else measured(report, protocol)))
    clear()
    return found


def _write_page(board: Board, folder: Path) -> None:
    from ood_toolkit.cli.printing import print_written
    from ood_toolkit.report.html.leaderboard import leaderboard_page
    from ood_toolkit.store.files import replaced_file

    file = folder / PAGE_NAME
    with replaced_file(file) as partial:
        partial.write_text(leaderboard_page(board), encoding="utf-8")
    print_written(file)


def _reserve_page(folder: Path) -> None:
    from ood_toolkit.cli.reserving import reserve
    from ood_toolkit.report.html.kind import PAGE

    reserve(folder / PAGE_NAME, PAGE)
