"""AURC, E-AURC and AUGRC against loops over images, values worked by hand, and the limits they must keep."""

from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ood_toolkit import metrics
from ood_toolkit.errors import MetricError

pytestmark = pytest.mark.quick

TIED = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=40)
SCORES = TIED | st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)


def slow_aurc(right, wrong):
    """Average over images the share of wrong ones among all that score at least as high."""
    total = Fraction(0)
    for t in right + wrong:
        errors = sum(s >= t for s in wrong)
        total += Fraction(errors, errors + sum(s >= t for s in right))
    return total / (len(right) + len(wrong))


def perfect_aurc(right, wrong):
    """Rank r right ones before w wrong ones, all distinct, and take the slow average."""
    return slow_aurc([float(len(wrong) + i) for i in range(len(right))], [float(i) for i in range(len(wrong))])


@given(SCORES, SCORES)
def test_aurc_is_the_slow_average(right, wrong):
    assert metrics.aurc(right, wrong) == pytest.approx(float(slow_aurc(right, wrong)), abs=1e-12)


@given(SCORES, SCORES)
def test_eaurc_is_the_excess_over_a_perfect_ranking(right, wrong):
    expected = float(slow_aurc(right, wrong) - perfect_aurc(right, wrong))
    assert expected >= 0
    assert metrics.eaurc(right, wrong) == pytest.approx(expected, abs=1e-12)
    assert metrics.eaurc(right, wrong) >= 0


@given(st.integers(1, 60), st.integers(1, 60))
def test_eaurc_of_a_perfect_ranking_is_zero(r, w):
    right, wrong = list(range(w, w + r)), list(range(w))
    assert metrics.eaurc(right, wrong) == pytest.approx(0, abs=1e-15)
    assert metrics.aurc(right, wrong) == pytest.approx(sum(j / (r + j) for j in range(1, w + 1)) / (r + w))


def test_eaurc_is_not_negative_by_rounding():
    sizes = [(r, w) for r in range(1, 40) for w in range(1, 40)]
    assert min(metrics.eaurc(range(w, w + r), range(w)) for r, w in sizes) == 0


def test_values_worked_by_hand():
    # From the top: right, wrong, right, wrong. Risks 0, 1/2, 1/3, 1/2, mean 1/3; perfect 0, 0, 1/3, 1/2.
    assert metrics.aurc([4, 2], [3, 1]) == pytest.approx(1 / 3)
    assert metrics.eaurc([4, 2], [3, 1]) == pytest.approx(1 / 3 - 5 / 24)
    # One distinct score: the only coverage is everything, the risk is the error rate.
    assert metrics.aurc([7, 7, 7], [7]) == 0.25


def slow_augrc(right, wrong):
    """Draw the curve point by point, each threshold from a count of its own, and add up the trapezoids."""
    n, area, before = len(right) + len(wrong), Fraction(0), (Fraction(0), Fraction(0))
    for t in sorted({*right, *wrong}, reverse=True):
        errors = sum(s >= t for s in wrong)
        here = Fraction(errors + sum(s >= t for s in right), n), Fraction(errors, n)
        area += (here[0] - before[0]) * (here[1] + before[1]) / 2
        before = here
    return area


@given(SCORES, SCORES)
def test_augrc_is_the_area_of_the_slow_curve(right, wrong):
    assert metrics.augrc(right, wrong) == pytest.approx(float(slow_augrc(right, wrong)), abs=1e-15)


@given(TIED, TIED)
def test_augrc_follows_from_error_rate_and_auroc(right, wrong):
    pairs = len(right) * len(wrong)
    won = sum(Fraction(r > w) + Fraction(r == w, 2) for r in right for w in wrong) / pairs
    error = Fraction(len(wrong), len(right) + len(wrong))
    expected = error * (1 - error) * (1 - won) + error**2 / 2
    assert slow_augrc(right, wrong) == expected
    assert metrics.augrc(right, wrong) == float(expected)


def test_augrc_worked_by_hand():
    # From the top right, wrong, right, wrong: points (1/4, 0), (1/2, 1/4), (3/4, 1/4), (1, 1/2).
    assert metrics.augrc([4, 2], [3, 1]) == (1 / 32 + 2 / 32 + 3 / 32)
    assert metrics.augrc([7, 7, 7], [7]) == 1 / 8  # one straight line to the error rate
    assert metrics.augrc([2, 3], [1, 0]) == 1 / 8  # perfect: half the square of the error rate
    assert metrics.augrc([0, 1], [2, 3]) == 1 / 2 - 1 / 8  # the worst


def test_areas_are_counted_without_overflow():
    rng = np.random.default_rng(0)
    right, wrong = rng.normal(1, 1, 1_500_000), rng.normal(0, 1, 500_000)
    assert metrics.augrc(right, wrong) == pytest.approx(3 / 16 * (1 - metrics.auroc(right, wrong)) + 1 / 32)


@pytest.mark.parametrize("metric", [metrics.aurc, metrics.eaurc, metrics.augrc])
@pytest.mark.parametrize(("right", "wrong", "message"), [
    ([], [1.0], "right_scores: expected at least one image"), ([1.0], [float("nan")], "wrong_scores: .*1 NaN"),
    ([[1.0]], [1.0], r"right_scores: expected shape \(n,\)"), (["a"], [1.0], "right_scores: expected real numbers"),
])  # fmt: skip
def test_bad_input_is_refused(metric, right, wrong, message):
    with pytest.raises(MetricError, match=message):
        metric(right, wrong)


def test_no_order_of_distinct_scores_beats_the_perfect_one():
    values = [metrics.eaurc(order[:3], order[3:]) for order in permutations(range(5))]
    assert min(values) == 0
    assert max(values) == metrics.eaurc([0, 1, 2], [3, 4])


@given(TIED, TIED)
def test_the_order_of_rows_does_not_matter(right, wrong):
    assert metrics.aurc(right[::-1], wrong[::-1]) == metrics.aurc(right, wrong)


def test_the_excess_nears_its_published_approximation():
    rng = np.random.default_rng(0)
    right, wrong = rng.normal(1, 1, 9000), rng.normal(0, 1, 1000)
    error = 0.1
    published = metrics.aurc(right, wrong) - (error + (1 - error) * np.log(1 - error))
    assert metrics.eaurc(right, wrong) == pytest.approx(published, abs=2e-5)
