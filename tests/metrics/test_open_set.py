"""OSCR against a loop over thresholds and over pairs, its curve and its interval, with ties and at the ends."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ood_toolkit import metrics
from ood_toolkit.errors import MetricError

pytestmark = pytest.mark.quick

TIED = st.lists(st.tuples(st.integers(-4, 4).map(float), st.booleans()), min_size=1, max_size=30)
OOD = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=30)


def slow_points(images, ood):
    """CCR and FPR at each threshold, from strict to loose, each counted afresh."""
    yield Fraction(0), Fraction(0)
    for t in sorted({*(score for score, _ in images), *ood}, reverse=True):
        correct = Fraction(sum(right and score >= t for score, right in images), len(images))
        yield correct, Fraction(sum(score >= t for score in ood), len(ood))


def slow_oscr(images, ood):
    points = list(slow_points(images, ood))
    return sum((b[1] - a[1]) * (b[0] + a[0]) / 2 for a, b in pairwise(points))


def arrays(images):
    return [score for score, _ in images], [right for _, right in images]


@given(TIED, OOD)
def test_oscr_is_the_area_of_the_slow_curve(images, ood):
    scores, right = arrays(images)
    assert metrics.oscr(scores, ood, right) == float(slow_oscr(images, ood))


@given(TIED, OOD)
def test_oscr_is_the_share_of_pairs_that_are_right_and_in_order(images, ood):
    won = sum(
        right * (Fraction(score > other) + Fraction(score == other, 2)) for score, right in images for other in ood
    )
    scores, right = arrays(images)
    assert metrics.oscr(scores, ood, right) == float(won / (len(images) * len(ood)))


def test_oscr_is_accuracy_times_auroc_of_right_images():
    rng = np.random.default_rng(0)
    scores, ood, right = rng.normal(1, 1, 700).round(1), rng.normal(0, 1, 500).round(1), rng.random(700) < 0.8
    assert metrics.oscr(scores, ood, right) == pytest.approx(
        right.mean() * metrics.auroc(scores[right], ood), abs=1e-15
    )
    assert metrics.oscr(scores, ood, np.ones(700, dtype=bool)) == metrics.auroc(scores, ood)


def test_values_worked_by_hand():
    # From the top: right 4, OOD 3, wrong 3, right 2, OOD 1. Points (0, 0), (0, 1/3), (1/2, 1/3), (1/2, 2/3), (1, 2/3).
    assert metrics.oscr([4, 3, 2], [3, 1], [True, False, True]) == 1 / 2 * 1 / 3 + 1 / 2 * 2 / 3
    assert metrics.oscr([1, 1, 1, 1], [1], [1, 1, 1, 0]) == 3 / 8  # one straight line up to the accuracy
    assert metrics.oscr([2, 3], [0, 1], [False, False]) == 0.0
    assert metrics.oscr([2, 3], [0, 1], [True, True]) == 1.0
    assert metrics.oscr([float("inf"), 0], [float("-inf"), 0], [True, True]) == 7 / 8


@given(TIED, OOD)
def test_the_curve_goes_through_the_slow_points(images, ood):
    scores, right = arrays(images)
    curve = metrics.oscr_curve(scores, ood, right)
    expected = [(float(fpr), float(ccr)) for ccr, fpr in slow_points(images, ood)]
    assert list(zip(curve.ood_accepted.tolist(), curve.id_right.tolist(), strict=True)) == expected
    area = np.trapezoid(curve.id_right, curve.ood_accepted)
    assert area == pytest.approx(metrics.oscr(scores, ood, right), abs=1e-12)


def test_the_interval_is_that_of_a_bootstrap_by_hand():
    rng = np.random.default_rng(5)
    scores, ood, right = rng.integers(0, 9, 25) * 1.0, rng.integers(-3, 6, 20) * 1.0, rng.random(25) < 0.7
    images = sorted(zip(scores.tolist(), right.tolist(), strict=True))
    generator, values = np.random.default_rng(2), []
    for _ in range(39):
        drawn, others = generator.integers(0, 25, 25), generator.integers(0, 20, 20)
        values.append(float(slow_oscr([images[i] for i in drawn], [np.sort(ood)[i] for i in others])))
    found = metrics.oscr_interval(scores, ood, right, 39, seed=2)
    assert (found.low, found.high) == pytest.approx((min(values), max(values)))  # the least and the largest of 39
    order = rng.permutation(25)
    assert metrics.oscr_interval(scores[order], ood[::-1], right[order], 39, seed=2) == found


@pytest.mark.parametrize(("given", "message"), [
    (([1.0, 2.0], [0.0], [True]), "id_scores and right: expected one value per image in both, got 2 and 1"),
    (([1.0], [0.0], [2]), "right: expected True or False"), (([], [0.0], []), "id_scores: expected at least one"),
    (([1.0], [float("nan")], [True]), "ood_scores: .*1 NaN"), (([1.0], [], [True]), "ood_scores: expected at least"),
])  # fmt: skip
def test_bad_input_is_refused(given, message):
    for metric in (metrics.oscr, metrics.oscr_curve, metrics.oscr_interval):
        with pytest.raises(MetricError, match=message):
            metric(*given)
