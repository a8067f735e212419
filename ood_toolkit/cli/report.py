"""`oodkit report`."""

from __future__ import annotations

from pathlib import Path

import click

from ood_toolkit.cli import options, printing
from ood_toolkit.cli.place import Place


@click.command("report")
@click.argument("run", type=Place())
@options.style
@click.option(
    "--protocol",
    metavar="NAME",
    help="Compute the metrics again by these rules, from the scores of every image: native, openood-v1.5, "
    "pytorch-ood, mcm, clipn, knn-ood or vim.",
)
@click.option("--scorers", multiple=True, metavar="SPECS", help="Only these scorers of the run, such as msp,knn:k=100.")
@options.metrics
@options.html
@printing.sort
@options.ci
@options.ci_replicates
@options.paired
@options.against
@click.option(
    "--scores",
    type=Place(dir_okay=False),
    metavar="FILE.parquet|csv",
    help="Write the scores of every image there, a row for each image and scorer, and print nothing. Such a table "
    "that is there is replaced, any other file refused.",
)
def command(
    run: Path,
    style: str,
    scorers: tuple[str, ...],
    protocol: str | None,
    metrics: tuple[str, ...],
    sort: str | None,
    ci: bool,
    ci_replicates: int,
    paired: bool,
    against: str,
    html: Path | None,
    scores: Path | None,
) -> None:
    """Print a run again, which `oodkit bench --output RUN` wrote, or show it as a page.

    Intervals and tests are computed from the scores of every image, with the run's own seed. Published values that a
    preset has are shown again, under another protocol beside the new numbers. With --html the page is written in the
    place of the table, with --scores the scores of every image; nothing else is.
    """
    if scores is not None:
        _write_scores(run, scores)
        return
    from ood_toolkit.api.spec import split_specs
    from ood_toolkit.benchmark.checks import check_comparisons
    from ood_toolkit.benchmark.reading import read_metrics
    from ood_toolkit.benchmark.settings import Settings
    from ood_toolkit.cli.progress import clear, progress
    from ood_toolkit.errors import DataError
    from ood_toolkit.report import Report
    from ood_toolkit.report.comparison import compared, measured
    from ood_toolkit.report.run_folder import read_run
    from ood_toolkit.report.some_scorers import only

    with options.usage():
        check_comparisons(Settings(ci=ci, ci_replicates=ci_replicates, paired=paired, against=against))
        asked = read_metrics(metrics)
    if html is not None:
        printing.check_html(html)
    held = read_run(run)
    if "seminar" in held.header:
        from ood_toolkit.learning.seminar.schema import check_seminar

        check_seminar(run / "result.json", held.header)
        if html is not None:
            raise DataError(f"--html: {run} is a run of the seminar, which is tables alone; leave it out")
    report = Report(held.rows, held.header, held.answers, held.gallery)
    if scorers:
        report = only(report, [spec for text in scorers for spec in split_specs(text)])
    if protocol is not None:
        report = measured(report, protocol)
    report = report.with_metrics(*asked)
    report = compared(report, ci_replicates if ci else 0, paired, seed_of(held.header.get("seed")), against, progress)
    clear()
    if html is not None:
        printing.write_html(report, html)
    else:
        printing.print_report(report, style, sort)


def _write_scores(run: Path, file: Path) -> None:
    """Write the long table; what else was asked for would have no effect."""
    from ood_toolkit.cli.reserving import reserve
    from ood_toolkit.cli.streams import print_message
    from ood_toolkit.report.scores import check_scores_file, write_scores

    if other := sorted(options.given() - {"run", "scores"}):
        flag = "--format" if other[0] == "style" else f"--{other[0].replace('_', '-')}"
        raise click.UsageError(f"{flag}: does not go with --scores, which writes scores as they are")
    reserve(file, check_scores_file(file))
    print_message(f"{file}: {write_scores(run, file):,} rows")


def seed_of(seed: object) -> int:
    """Give a run's seed, 0 where it says none that can be used."""
    return seed if isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0 else 0
