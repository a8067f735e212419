"""How a report is printed: as a table with what was published beside it, or in a form for other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ood_toolkit.cli.streams import print_form, print_line, print_message, shape

if TYPE_CHECKING:
    from pathlib import Path

    from ood_toolkit.report import Report

__all__ = ["check_html", "print_report", "sort", "write_html"]


def _known(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Refuse a metric that no protocol has before anything is run."""
    if value in (None, "name", "seconds", "none"):
        return value
    from ood_toolkit.api.spec import nearest
    from ood_toolkit.report.columns import NAMES

    if value not in NAMES:
        known = [*NAMES, "name", "seconds", "none"]
        raise click.BadParameter(f"expected a metric, name, seconds or none, got {value!r}; {nearest(value, known)}")
    return value


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
    from ood_toolkit.report.columns import NAMES

    if sort in NAMES and not any(sort in row.metrics for row in report.rows):
        print_message(f"--sort: this run has no {sort}; its tables are in their own order")
        sort = None
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
