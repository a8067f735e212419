"""How a report is printed: as a table with what was published beside it, or in a form for other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ood_toolkit.cli.streams import print_form, print_line, shape

if TYPE_CHECKING:
    from ood_toolkit.report import Report

__all__ = ["print_report"]


def print_report(report: Report, style: str) -> None:
    """Print a report; a table stands between the preset that ran and the published values, where its header has any."""
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
    print_form(report.table(*shape()))
    if "published" in report.header:
        print_form("\n" + comparison_text(report.header["published"], *shape()))
