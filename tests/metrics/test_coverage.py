"""Intervals cover what they should: a simulation in which the truth is known."""

from dataclasses import replace
from statistics import NormalDist

import numpy as np

from ood_toolkit import metrics
from ood_toolkit.metrics import resampling

IMAGES, REPLICATIONS, REPLICATES, TRUTH = 500, 2000, 150, 0.85
SHIFT = 2**0.5 * NormalDist().inv_cdf(TRUTH)
"""Between two normal distributions of deviation 1, for this AUROC."""


def true_aupr():
    """The area under the precision-recall curve of the two distributions in equal parts, by fine steps."""
    normal = NormalDist()
    thresholds = np.linspace(SHIFT + 7, -7, 20001)
    recall = np.array([1 - normal.cdf(t - SHIFT) for t in thresholds])
    fall_out = np.array([1 - normal.cdf(t) for t in thresholds])
    precision = recall / (recall + fall_out)
    return float(np.sum(np.diff(recall) * (precision[1:] + precision[:-1]) / 2))


def test_95_per_cent_intervals_cover_93_to_97_per_cent():
    native = metrics.PROTOCOLS["native"]
    rules = replace(native, measures={key: native.measures[key] for key in ("auroc", "aupr_in")})
    truth = {"plain": TRUTH, "logit": TRUTH, "auroc": TRUTH, "aupr_in": true_aupr()}
    hits = dict.fromkeys(truth, 0)
    draw = np.random.default_rng(20)
    for place in range(REPLICATIONS):
        inside, outside = draw.normal(SHIFT, 1, IMAGES), draw.normal(0, 1, IMAGES)
        values = resampling.resampled([(inside, outside)], rules, REPLICATES, place)[:, 0]
        found = resampling.percentiles(rules, values, 0.95)
        found |= {scale: metrics.auroc_interval(inside, outside, scale=scale) for scale in ("plain", "logit")}
        for key, interval in found.items():
            hits[key] += truth[key] in interval
    shares = {key: count / REPLICATIONS for key, count in hits.items()}
    assert all(0.93 <= share <= 0.97 for share in shares.values()), shares
