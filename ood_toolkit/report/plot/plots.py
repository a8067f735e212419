"""`Plots`: every plot of a report, as `report.plot` offers them and `oodkit plot` writes them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ood_toolkit.errors import UsageError
from ood_toolkit.report.plot import curves, histograms, points, reliability, style, thresholds
from ood_toolkit.report.plot.selection import Wanted, specs_of
from ood_toolkit.report.results import Found

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["KINDS", "Plots", "drawn"]

KINDS: Mapping[str, Callable[..., Any]] = {
    "roc": curves.roc,
    "hist": histograms.hist,
    "thresholds": thresholds.thresholds,
    "risk-coverage": curves.risk_coverage,
    "scatter": points.scatter,
    "pareto": points.pareto,
    "reliability": reliability.reliability,
}
SINGLE = "scorer"


def drawn(found: Found, kind: str, scorers: Sequence[str] = (), **asked: Any) -> Axes:
    """Draw a plot of a kind with what was asked for; `UsageError` for what does not go with the kind."""
    draw = KINDS[kind]
    takes = signature(draw).parameters
    for name, value in asked.items():
        if value and name not in takes:
            raise UsageError(f"--{name.replace('id_name', 'id')}: does not go with --kind {kind}")
    given = {name: value for name, value in asked.items() if name in takes}
    specs = specs_of(scorers) if scorers else None
    if specs and SINGLE in takes:
        if len(specs) > 1:
            raise UsageError(f"--scorers: --kind {kind} shows one scorer, got {len(specs)}")
        given[SINGLE] = specs[0]
    elif specs and "scorers" not in takes:
        raise UsageError(f"--scorers: does not go with --kind {kind}")
    elif specs:
        given["scorers"] = specs
    return draw(found, **given)


@dataclass(frozen=True, eq=False)
class Plots:
    """Plots of one report, each in one matplotlib `Axes`, which is given back.

    All take `ax`, the axes to draw in, else a new figure at a column's width is made; `id_name`, `ood` and `model`
    choose among several, and the first of the run counts where none is named; further keywords go to what draws the
    data. `DataError` says in one line what a run lacks. Needs the extra `ood-toolkit[plots]`.
    """

    found: Found

    def roc(
        self, *, scorers: Wanted = None, ood: str | None = None, id_name: str | None = None, model: str | None = None,
        log: bool = False, ax: Axes | None = None, **line: Any,
    ) -> Axes:  # fmt: skip
        """Share of ID accepted against share of OOD accepted, a line a scorer, the best first.

        A mark stands where 95 % of ID are accepted: FPR95(ID). The points are those of `metrics.roc_curve`. `log`
        spreads low rates of OOD. More than eight scorers are cut to the best by AUROC, and the legend says so.
        """
        return curves.roc(self.found, scorers=scorers, ood=ood, id_name=id_name, model=model, log=log, ax=ax, **line)

    def hist(
        self, *, scorer: str | None = None, ood: str | None = None, id_name: str | None = None,
        model: str | None = None, bins: int = 40, log: bool = False, ax: Axes | None = None, **patch: Any,
    ) -> Axes:  # fmt: skip
        """Histograms of one score over ID predicted rightly, ID predicted wrongly, and OOD, with the threshold.

        Each group adds up to 100 %. The outermost bins hold the half per cent of a group that lies beyond them.
        `log` shows small shares, too.
        """
        return histograms.hist(
            self.found, scorer=scorer, ood=ood, id_name=id_name, model=model, bins=bins, log=log, ax=ax, **patch
        )

    def thresholds(
        self, *, scorer: str | None = None, ood: str | None = None, id_name: str | None = None,
        model: str | None = None, ax: Axes | None = None, **line: Any,
    ) -> Axes:  # fmt: skip
        """Scores of the images predicted as each class, ID and OOD, with the threshold that decides.

        Lines reach from the 5th to the 95th percentile, the mark is the median. At the right stands the share of ID
        that is accepted. A margin over class-wise thresholds is shown as base score and thresholds.
        """
        return thresholds.thresholds(self.found, scorer=scorer, ood=ood, id_name=id_name, model=model, ax=ax, **line)

    def risk_coverage(
        self, *, scorers: Wanted = None, id_name: str | None = None, model: str | None = None, ax: Axes | None = None,
        **line: Any,
    ) -> Axes:  # fmt: skip
        """Share of wrong predictions among the ID images that are kept, a line a scorer, by AURC.

        The points are those of `metrics.risk_coverage`; the pale line is that of a perfect ranking.
        """
        return curves.risk_coverage(self.found, scorers=scorers, id_name=id_name, model=model, ax=ax, **line)

    def scatter(
        self, *, scorers: Wanted = None, ood: str | None = None, id_name: str | None = None, model: str | None = None,
        ax: Axes | None = None, **points_: Any,
    ) -> Axes:  # fmt: skip
        """One score against another, image by image, with both thresholds; the run's first two scorers by default.

        At most 500 images of each set are drawn, at even steps; the legend says of how many.
        """
        return points.scatter(self.found, scorers=scorers, ood=ood, id_name=id_name, model=model, ax=ax, **points_)

    def pareto(
        self, *, scorers: Wanted = None, ood: str | None = None, id_name: str | None = None, model: str | None = None,
        metric: str = "auroc", ax: Axes | None = None, **points_: Any,
    ) -> Axes:  # fmt: skip
        """Seconds for fitting and scoring against a metric, its mean over OOD sets where none is named.

        Those that no other scorer beats in both are marked, joined and named.
        """
        return points.pareto(
            self.found, scorers=scorers, ood=ood, id_name=id_name, model=model, metric=metric, ax=ax, **points_
        )

    def reliability(
        self, *, id_name: str | None = None, model: str | None = None, bins: int = 15, ax: Axes | None = None,
        **points_: Any,
    ) -> Axes:  # fmt: skip
        """Accuracy against confidence in the bins of `metrics.ece`, with Clopper-Pearson intervals of 95 %."""
        return reliability.reliability(self.found, id_name=id_name, model=model, bins=bins, ax=ax, **points_)

    @staticmethod
    def save(ax: Axes, file: str | os.PathLike[str]) -> None:
        """Write a plot as PDF with its fonts, as SVG whose text is text, or as PNG with 300 dots an inch.

        The same plot gives the same bytes. The file appears whole. `DataError` for another suffix.
        """
        style.save(ax, Path(file))
