"""`oodkit plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ood_toolkit.cli import options
from ood_toolkit.cli.choice import Choice
from ood_toolkit.cli.place import Place

KINDS = ("roc", "hist", "thresholds", "risk-coverage", "scatter", "pareto", "reliability")


@click.command("plot")
@click.argument("run", type=Place())
@click.option("--kind", type=Choice(KINDS), required=True, help="What is drawn.")
@click.option(
    "--output", "-o", type=Place(dir_okay=False), required=True, metavar="FILE.pdf|svg|png",
    help="Where to; a file of the same format that is there is replaced, any other refused.",
)  # fmt: skip
@click.option(
    "--scorers", multiple=True, metavar="SPECS",
    help="Scorers of the run, such as msp,knn:k=50: one for hist and thresholds, two for scatter. Default: the best "
    "eight in curves, else the first of the run.",
)  # fmt: skip
@click.option("--id", "id_name", metavar="NAME", help="ID set of the run. Default: the first.")
@click.option("--ood", metavar="NAME", help="OOD set of the run. Default: the first; for pareto the mean of all.")
@click.option("--model", metavar="NAME", help="Model of the run, where it has several.")
@click.option("--log", is_flag=True, help="roc: false positives on a logarithmic axis; hist: the shares.")
@click.option(
    "--width", type=click.FloatRange(1, 20), default=3.3, show_default=True, metavar="INCHES",
    help="Width of the figure; 3.3 is a column of a page with two.",
)  # fmt: skip
def command(run: Path, kind: str, output: Path, scorers: tuple[str, ...], width: float, **asked: Any) -> None:
    """Draw a plot of a run, which `oodkit bench --output RUN` wrote, for a paper: PDF, SVG or PNG.

    roc: ID against OOD accepted. hist: histograms of a score with its threshold. thresholds: class by class.
    risk-coverage: wrong predictions among those kept. scatter: one score against another. pareto: seconds against
    AUROC. reliability: accuracy against confidence. Needs matplotlib, the extra `ood-toolkit[plots]`.
    """
    from ood_toolkit.cli.printing import print_written
    from ood_toolkit.cli.progress import clear, progress
    from ood_toolkit.cli.reserving import reserve
    from ood_toolkit.report.plot.style import close, draw_into_files, form_of, save

    form = form_of(output)
    draw_into_files()
    reserve(output, form)
    from ood_toolkit.report.plot.plots import drawn
    from ood_toolkit.report.run_folder import read_run

    progress("drawing")
    found = read_run(run)
    with options.usage():
        ax = drawn(found, kind, scorers, **asked)
    save(ax, output, width)
    close(ax)
    clear()
    print_written(output)
