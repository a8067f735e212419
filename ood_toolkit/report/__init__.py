"""Results: rows and their metrics, run folders, comparisons; tables for people, and forms for other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ood_toolkit.report.report import Report

__all__ = ["Report"]


def __getattr__(name: str) -> Any:
    if name != "Report":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ood_toolkit.report.report import Report

    return Report
