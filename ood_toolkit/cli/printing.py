"""How a report is printed: as a table with what was published beside it, or in a form for other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ood_toolkit.cli.listing import stdout_width, use_color

if TYPE_CHECKING:
    from ood_toolkit.report import Report

__all__ = ["print_report"]


def print_report(report: Report, style: str) -> None:
    """Print a report; a table stands between the preset that ran and the published values, where its header has any."""
    if style != "table":
        click.echo(getattr(report, f"to_{style}")(), nl=False)
        return
    from ood_toolkit.report.published import comparison_text, preset_line

    width, color = stdout_width(), use_color()
    if "seminar" in report.header:
        from ood_toolkit.learning.seminar.text import seminar_text

        click.echo(seminar_text(report.header["seminar"], width, color))
        click.echo(f"\n{len(report.rows)} rows were measured on the way; --format csv or --output shows them all")
        return
    if "preset" in report.header:
        click.echo(preset_line(report.header["preset"]))
    click.echo(report.table(width, color))
    if "published" in report.header:
        click.echo("\n" + comparison_text(report.header["published"], width, color))
