"""`oodkit bench`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ood_toolkit.benchmark.checks import SEMINAR, check_command
from ood_toolkit.cli import options, printing
from ood_toolkit.cli.help import Grouped
from ood_toolkit.cli.place import Place
from ood_toolkit.cli.seminar import seminar

if TYPE_CHECKING:
    from ood_toolkit.benchmark.presets.applied import Benchmark
    from ood_toolkit.benchmark.settings import Settings
    from ood_toolkit.report import Report

USUAL = 12
"""Images of each kind of error that a page shows where nothing else is asked for."""


HEADINGS = {
    "What is compared": ("preset", "scorers", "ready", "ids", "groups", "csid", "models", "combiners", "on", "dry_run"),
    "Texts and heads": ("prompts", "heads", "recipe", "negatives", "texts"),
    "Which images": ("val_split", "tune", "limit", "seed", "seeds"),
    "Metrics and tests": ("protocol", "metrics", "ci", "ci_replicates", "paired", "against"),
    "Result": ("style", "sort", "output", "html", "gallery"),
    "Encoding": (
        "data_root", "download", "store", "keep", "precision", "device", "batch_size", "workers", "compile", "engine",
        "exchange", "strict", "rehash",
    ),
}  # fmt: skip
"""Parameters by the heading that they have in the help."""


@click.command("bench", cls=Grouped, headings=HEADINGS)
@click.option(
    "--preset",
    metavar="NAME",
    help="A named benchmark, or the path of a .toml file: its sets, protocol, prompts, preprocessing and scorers hold "
    "where no option says otherwise, and published values stand beside the measured ones. oodkit published lists them.",
)
@options.all_of_settings
@options.style
@printing.sort
@click.option("--output", type=Place(), metavar="DIR", help="Also write the run folder.")
@options.html
@click.option(
    "--gallery", type=click.IntRange(0), metavar="N",
    help="Keep thumbnails of N images of each kind of error, of every scorer and OOD set, in the run folder and on the "
    "page.  [default: 12 with --html, else 0]",
)  # fmt: skip
@click.option(
    "--seeds",
    metavar="0,1,2",
    help="Run once with each of these seeds and give mean and spread; --output holds them all.",
)
@click.option("--dry-run", is_flag=True, help="Only say which models and data sets the run needs, and which are here.")
@click.option(
    "--on",
    metavar="embedded|DIR",
    help="With --preset ust-etri: run it on the embedded sets, or on the CLIP vectors in a folder.",
)
def command(
    style: str, sort: str | None, output: Path | None, html: Path | None, gallery: int | None, seeds: str | None,
    dry_run: bool, preset: str | None, on: str | None, **typed: Any,
) -> int:  # fmt: skip
    """Compare scorers: how well each tells an ID set from OOD sets, and right from wrong predictions.

    Without options: the embedded digits against letters and patches, encoded by digits-clip.
    """
    from ood_toolkit.benchmark.reading import read_seeds
    from ood_toolkit.cli.next_steps import show_next
    from ood_toolkit.cli.progress import clear
    from ood_toolkit.cli.reserving import reserve
    from ood_toolkit.data.root import default_data_root
    from ood_toolkit.report.run_folder import check_new_folder
    from ood_toolkit.store.files import default_store

    given, settings = options.given(), options.settings_of(**typed)
    with options.usage():
        check_command(
            given, preset=preset, on=on, seeds=seeds, dry_run=dry_run, keeps=output is not None,
            html=html is not None, gallery=gallery is not None,
        )  # fmt: skip
        several = None if seeds is None else read_seeds(seeds)
    if html is not None:
        printing.check_html(html)
    if output is not None:
        reserve(output)
        check_new_folder(output)
    if dry_run:
        return _needed(settings, given, preset)
    if several is not None:
        return _repeated(several, settings, given, preset, style, output)
    with options.usage():
        shown = (0 if html is None else USUAL) if gallery is None else gallery
        report = seminar(on, given, settings) if preset == SEMINAR else _measured(settings, given, preset, shown)
    clear()
    code = _told(report, style, output, sort, html)
    if preset is None and not given & {"ids", "groups", "csid", "models"}:
        show_next(settings.store or default_store(), settings.data_root or default_data_root())
    return code


def _repeated(
    seeds: list[int], settings: Settings, given: set[str], preset: str | None, style: str, output: Path | None
) -> int:
    """Run once with each seed, save every run as `seed-N`, and print mean and spread; exit code as of the worst."""
    from ood_toolkit.cli.streams import print_form, shape
    from ood_toolkit.report.columns import measures_of
    from ood_toolkit.report.comparison import spread
    from ood_toolkit.report.comparison_tables import about_runs, spread_grid, text_of

    reports = {}
    for seed in seeds:
        with options.usage():
            reports[f"seed {seed}"] = _measured(replace(settings, seed=seed), given, preset)
        if output is not None:
            reports[f"seed {seed}"].save(output / f"seed-{seed}")
    notes: list[str] = []
    records = spread(reports, notes)
    grids = [spread_grid(records, measures_of(reports[f"seed {seeds[0]}"].header))]
    print_form(text_of(records, grids, style, *shape(), about_runs(reports), notes), "")
    return 1 if any(report.failed or not report.ran for report in reports.values()) else 0


def _needed(settings: Settings, given: set[str], preset: str | None) -> int:
    """Say what the run needs and what of it is here; exit code 1 where something is missing."""
    from ood_toolkit.api.registry import get_registry
    from ood_toolkit.benchmark.preflight import all_here, looked_for
    from ood_toolkit.benchmark.run import checked
    from ood_toolkit.cli.listing import print_rows
    from ood_toolkit.cli.streams import print_line

    registry = get_registry()
    benchmark = None if preset is None else _benchmark(preset)
    with options.usage():
        settings = checked(settings if benchmark is None else benchmark.filled(settings, given), registry)
    found = looked_for(settings, registry, () if benchmark is None else benchmark.models())
    print_rows([one.flat() for one in found], False)
    print_line(f"scorers: {', '.join(one.spec for one in registry.scorers(settings.scorers, {}))}")
    return 0 if all_here(found) else 1


def _benchmark(preset: str) -> Benchmark:
    from ood_toolkit.api.registry import get_registry
    from ood_toolkit.benchmark.presets import find_preset
    from ood_toolkit.benchmark.presets.applied import Benchmark

    return Benchmark(find_preset(preset), get_registry())


def _measured(settings: Settings, given: set[str], preset: str | None, gallery: int = 0) -> Report:
    """Run the settings, as a preset fills them, and compare what they gave."""
    from ood_toolkit.api.registry import get_registry
    from ood_toolkit.benchmark.checks import reference
    from ood_toolkit.benchmark.run import run
    from ood_toolkit.cli.progress import Stderr, progress
    from ood_toolkit.report.comparison import compared

    registry, told = get_registry(), Stderr()
    benchmark = None if preset is None else _benchmark(preset)
    settings = settings if benchmark is None else benchmark.filled(settings, given)
    suggested = () if benchmark is None else benchmark.models()
    report = run(settings, registry, told, given, sys.argv[1:], suggested, gallery).with_metrics(*settings.metrics)
    if settings.ci or settings.paired:
        against = reference(settings, registry)
        replicates = settings.ci_replicates if settings.ci else 0
        report = compared(report, replicates, settings.paired, settings.seed, against, progress)
    return report if benchmark is None else benchmark.beside(report)


def _told(report: Report, style: str, output: Path | None, sort: str | None = None, html: Path | None = None) -> int:
    """Save and print a report, printing it even where it cannot be saved; exit code 1 where something failed."""
    from ood_toolkit.cli.streams import print_message

    try:
        if output is not None:
            report.save(output)
        if html is not None:
            printing.write_html(report, html)
    finally:
        printing.print_report(report, style, sort)
    for row in report.failed[:1]:
        print_message(f"oodkit: {row.scorer} failed: {row.notes[0]}")
    if not report.ran:
        print_message("oodkit: no scorer could run; see the notes above")
    return 1 if report.failed or not report.ran else 0
