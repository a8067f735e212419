"""Results for people and for other programs: tables, JSON, CSV, Markdown, LaTeX."""

from ood_toolkit.report.report import Report

__all__ = ["Report"]
