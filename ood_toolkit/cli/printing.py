"""How a report is printed: as a table with what was published beside it, or in a form for other programs."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from ood_toolkit.cli.streams import print_form, print_line, print_message, shape

if TYPE_CHECKING:
    from pathlib import Path

    from ood_toolkit.report import Report

__all__ = ["check_html", "print_report", "sort", "write_html"]


WORDS = ("name", "seconds", "none")
"""Orders that are no metric's."""


def _known(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Refuse a metric that there is not before anything is run, and give the key of one."""
    if value is None or value in WORDS:
        return value
    from ood_toolkit.api.spec import nearest
    from ood_toolkit.errors import MetricError
    from ood_toolkit.metrics.named import metric_key
    from ood_toolkit.report.columns import NAMES

    try:
        return value if value in NAMES else metric_key(value)
    except MetricError:
        known = nearest(value, [*NAMES, *WORDS])
        raise click.BadParameter(f"expected a metric, name, seconds or none, got {value!r}; {known}") from None


sort = click.option(
    "--sort",
    callback=_known,
    metavar="METRIC|name|seconds|none",
    help="Order of the scorers in tables: by a metric's mean, such as auroc, the best first; by name or cost; or as "
    "they were named. Default: auroc beyond eight scorers, else none.",
)


def print_report(report: Report, style: str, sort: str | None = None) -> None:
    """Print a report; a table stands between the preset that ran and the published values, where its header has any.

    `sort` orders the scorers of tables; JSON and CSV keep the order in which they ran.
    """
    report, sort = _sortable(report, sort)
    if style in ("markdown", "latex"):
        print_form(report.to_markdown(sort) if style == "markdown" else report.to_latex(sort), "")
        return
    if style != "table":
        print_form(getattr(report, f"to_{style}")(), "")
        return
    from ood_toolkit.report.published import comparison_text, preset_line

    if "seminar" in report.header:
        from ood_toolkit.learning.seminar.text import seminar_text

        print_form(seminar_text(report.header["seminar"], *shape()))
        print_line()
        print_line(f"{len(report.rows)} rows were measured on the way; --format csv or --output shows them all")
        return
    if "preset" in report.header:
        print_line(preset_line(report.header["preset"]))
    print_form(report.table(*shape(), sort=sort))
    if "published" in report.header:
        print_form("\n" + comparison_text(report.header["published"], *shape()))


def _sortable(report: Report, sort: str | None) -> tuple[Report, str | None]:
    """Give a report that has the metric it is sorted by, and that metric; None, with a message, where it has not."""
    from ood_toolkit.errors import DataError, MetricError
    from ood_toolkit.report.asked_metrics import has_metric

    if sort is None or sort in WORDS or has_metric(report, sort):
        return report, sort
    with suppress(DataError, MetricError):  # of a run without scores; of a metric of right against wrong
        report = report.with_metrics(sort)
    if has_metric(report, sort):
        return report, sort
    print_message(f"--sort: this run has no {sort}; its tables are in their own order")
    return report, None


def check_html(file: Path) -> None:
    """Keep the place of a page for this command, and refuse to begin without what it is made with."""
    from ood_toolkit.cli.reserving import reserve
    from ood_toolkit.report.html.kind import PAGE
    from ood_toolkit.report.html.library import check_library

    check_library()
    reserve(file, PAGE)


def write_html(report: Report, file: Path) -> None:
    """Write the page of a report, whole or not at all, and say so on stderr."""
    from ood_toolkit.report.html.page import html_page
    from ood_toolkit.store.files import replaced_file

    content = html_page(report).encode()
    with replaced_file(file) as partial:
        partial.write_bytes(content)
    print_written(file)


def print_written(file: Path) -> None:
    """Say on stderr which file was written, and how large it is."""
    size = file.stat().st_size
    print_message(f"wrote {file} ({f'{size / 1e6:.1f} MB' if size >= 5e5 else f'{size / 1e3:.0f} kB'})")
