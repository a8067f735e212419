"""The bootstrap against arrays that are really resampled, and what must not change it."""

import numpy as np
import pytest

from ood_toolkit import metrics
from ood_toolkit.errors import MetricError
from ood_toolkit.metrics import resampling


def scores(n=60, m=45, seed=0, decimals=1):
    draw = np.random.default_rng(seed)
    return draw.normal(1, 1, n).round(decimals), draw.normal(0, 1, m).round(decimals)


def slow(id_scores, ood_scores, protocol, replicates, seed):
    """Sort, draw rows, take the scores, and evaluate them from nothing."""
    draw = np.random.default_rng(seed)
    id_scores, ood_scores = np.sort(id_scores), np.sort(ood_scores)
    values = []
    for _ in range(replicates):
        rows = draw.integers(0, id_scores.size, id_scores.size)
        others = draw.integers(0, ood_scores.size, ood_scores.size)
        values.append(metrics.evaluate(id_scores[rows], ood_scores[others], protocol))
    return values


@pytest.mark.parametrize("protocol", metrics.PROTOCOLS)
@pytest.mark.parametrize("decimals", [0, 1, 8])
def test_it_is_the_bootstrap_of_arrays(protocol, decimals):
    pair = scores(decimals=decimals)
    values = slow(*pair, protocol, 80, seed=7)
    found = metrics.bootstrap(*pair, protocol, replicates=80, seed=7, confidence=0.9)
    assert list(found) == list(metrics.PROTOCOLS[protocol].measures)
    for key, interval in found.items():
        ordered = sorted(value[key] for value in values)
        for end, share in ((interval.low, 0.05), (interval.high, 0.95)):
            below = int(share * 81)  # a value's place counts from 1
            by_hand = ordered[below - 1] + (share * 81 - below) * (ordered[below] - ordered[below - 1])
            assert end == pytest.approx(by_hand, rel=1e-9), key


def test_neither_the_order_of_rows_nor_a_rising_map_matters():
    inside, outside = scores(decimals=1)
    here = metrics.bootstrap(inside, outside, replicates=50, seed=3)
    shuffle = np.random.default_rng(1).permutation
    assert here == metrics.bootstrap(shuffle(inside), shuffle(outside), replicates=50, seed=3)
    assert here == metrics.bootstrap(np.exp(inside), np.exp(outside), replicates=50, seed=3)
    assert here != metrics.bootstrap(inside, outside, replicates=50, seed=4)


def test_classes_are_resampled_each_within_itself():
    values = resampling.resampled([([1.0, 2.0] @ np.eye(2), np.zeros(5))], metrics.PROTOCOLS["native"], 20, 0)
    assert (values[:, 0, 0] == 1.0).all()  # AUROC: with mixed classes some replicates would hold no ID at all


def test_the_metric_lies_in_its_interval_and_the_width_falls_with_the_root_of_n():
    wide, narrow = (metrics.bootstrap(*scores(n, n, seed=5, decimals=6), replicates=300) for n in (100, 1600))
    for key, value in metrics.evaluate(*scores(1600, 1600, seed=5, decimals=6)).items():
        assert value in narrow[key], key
    for key in ("auroc", "aupr_in", "aupr_out"):
        ratio = (wide[key].high - wide[key].low) / (narrow[key].high - narrow[key].low)
        assert 2.5 < ratio < 6.5, key


def test_intervals_takes_delong_for_auroc_and_the_bootstrap_for_the_rest():
    pair = scores()
    found, drawn = metrics.intervals(*pair, "mcm", 40, 2, 0.8), metrics.bootstrap(*pair, "mcm", 40, 2, 0.8)
    assert found == drawn | {"auroc": metrics.auroc_interval(*pair, 0.8)}
    assert found["auroc"] != drawn["auroc"]


def test_one_image_and_perfect_separation_give_points():
    for pair in (([2], [1]), ([5, 6, 7], [1, 2])):
        found = metrics.bootstrap(*pair, replicates=10)
        assert (found["auroc"].low, found["auroc"].high) == (1.0, 1.0)
        assert (found["fpr95_id"].low, found["fpr95_id"].high) == (0.0, 0.0)


def test_infinite_scores_are_the_ends_of_the_order():
    finite = metrics.bootstrap([1, 2, 9], [0, 1, -9], replicates=30)
    assert finite == metrics.bootstrap([1, 2, np.inf], [0, 1, -np.inf], replicates=30)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"replicates": 0}, "replicates: expected a whole number of at least 1, got 0"),
        ({"replicates": 2.5}, "replicates: expected a whole number of at least 1, got 2.5"),
        ({"seed": -1}, "seed: expected a whole number of at least 0, got -1"),
        ({"confidence": 2}, "confidence: expected a number between 0 and 1"),
        ({"protocol": "mmc"}, "unknown name 'mmc'; did you mean 'mcm'"),
    ],
)
def test_what_cannot_be_done_is_said(wrong, said):
    with pytest.raises(MetricError, match=said):
        metrics.bootstrap([1, 2], [0], **wrong)
