"""Results: rows and their metrics, run folders, comparisons; tables for people, and forms for other programs."""

from ood_toolkit.report.report import Report

__all__ = ["Report"]
