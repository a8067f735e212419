"""`only`: a report of some of its scorers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ood_toolkit.api.spec import nearest
from ood_toolkit.errors import ScorerError
from ood_toolkit.report.report import Report

__all__ = ["check_known", "only"]


def check_known(specs: Sequence[str], known: Sequence[str], where: str) -> None:
    """Refuse scorers that are not among those of a run, with the nearest that is."""
    for spec in specs:
        if spec not in known:
            raise ScorerError(f"no scorer {spec!r} in {where}; {nearest(spec, known)}")


def only(report: Report, specs: Sequence[str]) -> Report:
    """Give the rows of these scorers alone, with their paired tests and published values; `ScorerError` if one is none.

    The order stays. p-values stay corrected over all the tests of the whole report.
    """
    check_known(specs, list(dict.fromkeys(row.scorer for row in report.rows)), "this run")
    header = dict(report.header)
    for key in ("paired", "published"):
        if isinstance(held := header.get(key), list):
            header[key] = [one for one in held if _is_of(one, specs)]
    return replace(report, rows=[row for row in report.rows if row.scorer in specs], header=header)


def _is_of(one: dict[str, Any], specs: Sequence[str]) -> bool:
    """Tell whether a test, or a published value, is of these scorers alone."""
    return one["scorer"] in specs and one.get("against", {"scorer": one["scorer"]})["scorer"] in specs
