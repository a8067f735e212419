"""`oodkit compare`."""

from __future__ import annotations

from pathlib import Path

import click

from ood_toolkit.cli import options
from ood_toolkit.cli.place import Place
from ood_toolkit.cli.streams import print_form, shape


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, type=Place(), metavar="RUN...")
@click.option("--scorers", multiple=True, metavar="SPECS", help="Only these scorers, such as msp,knn:k=100.")
@click.option(
    "--against",
    default="",
    metavar="SPEC|best",
    help="Test everything against this scorer of the first run, or against the best of all runs on each pair of sets. "
    "Default: each scorer against itself in the first run.",
)
@click.option(
    "--spread",
    is_flag=True,
    help="Instead of tests: mean and sample standard deviation of each row, over runs of other seeds or checkpoints.",
)
@click.option("--protocol", metavar="NAME", help="With --spread: compute the metrics of all runs again by these rules.")
@options.ci_replicates
@options.seed
@options.style
def command(
    runs: tuple[Path, ...], scorers: tuple[str, ...], against: str, spread: bool, protocol: str | None,
    ci_replicates: int, seed: int, style: str,
) -> None:  # fmt: skip
    """Compare runs that `oodkit bench --output RUN` wrote: who is better by more than chance.

    Differences of AUROC (DeLong's test) and FPR95(ID) (paired bootstrap) on the same images, matched by their ids,
    with 95 % intervals and p-values corrected after Holm over the table. One run is enough with --against.
    """
    from ood_toolkit.api.spec import split_specs
    from ood_toolkit.cli.progress import clear, progress
    from ood_toolkit.report import Report
    from ood_toolkit.report import comparison as comparing
    from ood_toolkit.report.columns import measures_of
    from ood_toolkit.report.comparison_tables import (
        about_differences,
        about_runs,
        differences_grids,
        spread_grid,
        text_of,
    )
    from ood_toolkit.report.run_folder import read_run

    if spread and (against or scorers):
        raise click.UsageError("--spread: goes without --against and --scorers; it tests nothing")
    if protocol and not spread:
        raise click.UsageError(
            "--protocol: goes with --spread; tests are of AUROC and FPR95(ID), whatever the protocol"
        )
    scorers = tuple(spec for text in scorers for spec in split_specs(text))
    if len(runs) < 2 and not against:
        raise click.UsageError("expected two or more runs, or one with --against SPEC")
    if len(set(runs)) < len(runs):
        raise click.UsageError("a run is named twice")
    notes: list[str] = []
    lines: list[str] = []
    reports = {}
    for run in runs:
        held = read_run(run)
        reports[held.name] = Report(held.rows, held.header, held.answers)
    if spread:
        if protocol:
            reports = {name: comparing.measured(report, protocol) for name, report in reports.items()}
        records = comparing.spread(reports, notes)
        grids = [spread_grid(records, measures_of(next(iter(reports.values())).header))]
    else:
        replicates = ci_replicates if "ci_replicates" in options.given() else None
        records = comparing.compared_runs(reports, scorers, against, replicates, seed, notes, progress)
        clear()
        grids, lines = differences_grids(records), [about_differences(records)]
    print_form(text_of(records, grids, style, *shape(), [*about_runs(reports), *lines], notes), "")
