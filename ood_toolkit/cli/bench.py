"""`oodkit bench`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ood_toolkit.cli import options
from ood_toolkit.cli.seminar import NAME as SEMINAR
from ood_toolkit.cli.seminar import seminar

if TYPE_CHECKING:
    from ood_toolkit.benchmark.settings import Settings
    from ood_toolkit.report import Report

FORMATS = ("table", "json", "csv", "markdown", "latex")


@click.command("bench")
@click.option(
    "--preset",
    metavar="NAME",
    help="A named benchmark, or the path of a .toml file: its sets, protocol, prompts, preprocessing and scorers hold "
    "where no option says otherwise, and published values stand beside the measured ones. oodkit published lists them.",
)
@options.all_of_settings
@click.option(
    "--format",
    "style",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="Form of the result.",
)
@click.option("--output", type=click.Path(path_type=Path), metavar="DIR", help="Also write the run folder.")
@click.option(
    "--on",
    metavar="embedded|DIR",
    help="With --preset ust-etri: run it on the embedded sets, or on the CLIP vectors in a folder.",
)
def command(style: str, output: Path | None, preset: str | None, on: str | None, **typed: Any) -> int:
    """Compare scorers: how well each tells an ID set from OOD sets, and right from wrong predictions.

    Without options: the embedded digits against letters and patches, encoded by digits-clip.
    """
    from ood_toolkit.cli.progress import clear
    from ood_toolkit.report.run_folder import check_new_folder

    if output is not None:
        check_new_folder(output)
    if on is not None and preset != SEMINAR:
        raise click.UsageError(f"--on: goes with --preset {SEMINAR}")
    given, settings = options.given(), options.settings_of(**typed)
    with options.usage():
        report = seminar(on, given, settings) if preset == SEMINAR else _measured(settings, given, preset)
    clear()
    return _told(report, style, output)


def _measured(settings: Settings, given: set[str], preset: str | None) -> Report:
    """Run the settings, as a preset fills them, and compare what they gave."""
    from ood_toolkit.api.registry import get_registry
    from ood_toolkit.benchmark.checks import check_comparisons, reference
    from ood_toolkit.benchmark.presets import find_preset
    from ood_toolkit.benchmark.presets.applied import Benchmark
    from ood_toolkit.benchmark.run import run
    from ood_toolkit.cli.progress import Stderr, progress
    from ood_toolkit.report.comparison import compared

    registry, told = get_registry(), Stderr()
    benchmark = None if preset is None else Benchmark(find_preset(preset), registry)
    check_comparisons(settings.ci, settings.ci_replicates, settings.paired, settings.against)
    settings = settings if benchmark is None else benchmark.filled(settings, given)
    against = reference(settings, registry)
    report = run(settings, registry, told, given, sys.argv[1:])
    if settings.ci or settings.paired:
        replicates = settings.ci_replicates if settings.ci else 0
        report = compared(report, replicates, settings.paired, settings.seed, against, progress)
    return report if benchmark is None else benchmark.beside(report)


def _told(report: Report, style: str, output: Path | None) -> int:
    """Save and print a report, printing it even where it cannot be saved; exit code 1 where something failed."""
    from ood_toolkit.cli.printing import print_report
    from ood_toolkit.cli.streams import print_message

    try:
        if output is not None:
            report.save(output)
    finally:
        print_report(report, style)
    for row in report.failed[:1]:
        print_message(f"oodkit: {row.scorer} failed: {row.notes[0]}")
    if not report.ran:
        print_message("oodkit: no scorer could run; see the notes above")
    return 1 if report.failed or not report.ran else 0
