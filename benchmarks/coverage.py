"""How often 95 % intervals hold the true value, where it is known: two normal distributions of deviation 1.

    python benchmarks/coverage.py [--replications 1000] [--replicates 200]

Prints for each AUROC and each number of images the share of intervals in per cent that cover the truth, and in
brackets their mean width in points. AUPR is the trapezoid area with ID positive; its truth, and that of FPR95(ID), are
those of the two distributions.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import click
import numpy as np

from ood_toolkit import metrics
from ood_toolkit.metrics import Interval, resampling

AREAS = (0.7, 0.85, 0.95, 0.99)
SIZES = ((100, 100), (500, 500), (2000, 500))
COLUMNS = ("DeLong, plain", "DeLong, logit", "auroc", "fpr95_id", "aupr_in")


@click.command()
@click.option("--replications", default=1000, show_default=True, help="Data sets drawn for each line.")
@click.option("--replicates", default=200, show_default=True, help="Resamples of each.")
def main(replications: int, replicates: int) -> None:
    """Print the table, as Markdown."""
    print(f"| AUROC | ID, OOD | {' | '.join(COLUMNS[:2])} | {' | '.join(f'bootstrap, {key}' for key in COLUMNS[2:])} |")
    print("|---|---|" + "---:|" * len(COLUMNS))
    for area in AREAS:
        for n, m in SIZES:
            cells = simulated(area, n, m, replications, replicates)
            print(f"| {area} | {n}, {m} | " + " | ".join(cells) + " |", flush=True)


def simulated(area: float, n: int, m: int, replications: int, replicates: int) -> list[str]:
    """Draw data sets and give coverage and width of each kind of interval."""
    shift = 2**0.5 * NormalDist().inv_cdf(area)
    truth = [area, area, area, true_fpr95(shift), true_aupr(shift, n, m)]
    draw = np.random.default_rng(0)
    found = [intervals(draw.normal(shift, 1, n), draw.normal(0, 1, m), replicates, i) for i in range(replications)]
    cells = []
    for value, made in zip(truth, zip(*found, strict=True), strict=True):
        covered = np.mean([value in interval for interval in made])
        width = np.mean([interval.high - interval.low for interval in made])
        cells.append(f"{100 * covered:.1f} ({100 * width:.2f})")
    return cells


def intervals(inside: np.ndarray, outside: np.ndarray, replicates: int, seed: int) -> list[Interval]:
    """Give every kind of interval, in the order of the columns."""
    native = metrics.PROTOCOLS["native"]
    rules = replace(native, measures={key: native.measures[key] for key in COLUMNS[2:]})
    values = resampling.resampled([(inside, outside)], rules, replicates, seed)[:, 0]
    drawn = resampling.percentiles(rules, values, 0.95)
    delong = [metrics.auroc_interval(inside, outside, scale=scale) for scale in ("plain", "logit")]
    return [*delong, *(drawn[key] for key in COLUMNS[2:])]


def true_fpr95(shift: float) -> float:
    """Give the share of OOD above the threshold that 95 % of ID reach."""
    normal = NormalDist()
    return 1 - normal.cdf(shift + normal.inv_cdf(0.05))


def true_aupr(shift: float, n: int, m: int) -> float:
    """Give the area under the precision-recall curve of both distributions, in the parts n : m, by fine steps."""
    normal = NormalDist()
    thresholds = np.linspace(shift + 7, -7, 20001)
    recall = np.array([1 - normal.cdf(t - shift) for t in thresholds])
    fall_out = np.array([1 - normal.cdf(t) for t in thresholds])
    precision = n * recall / (n * recall + m * fall_out)
    return float(np.sum(np.diff(recall) * (precision[1:] + precision[:-1]) / 2))


if __name__ == "__main__":
    main()
