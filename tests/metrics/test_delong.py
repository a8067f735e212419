"""DeLong's variance and intervals against structural components in loops, and by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ood_toolkit import metrics
from ood_toolkit.errors import MetricError
from ood_toolkit.metrics import Interval

TIED = st.lists(st.integers(-6, 6).map(float), min_size=2, max_size=40)
SCORES = TIED | st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30)


def wins(x, y):
    return 1.0 if x > y else 0.5 if x == y else 0.0


def components(id_scores, ood_scores):
    """V10 and V01 by all pairs."""
    v10 = [sum(wins(x, y) for y in ood_scores) / len(ood_scores) for x in id_scores]
    v01 = [sum(wins(x, y) for x in id_scores) / len(id_scores) for y in ood_scores]
    return v10, v01


def sample_variance(values):
    mean = sum(values) / len(values)
    return sum((v - mean) ** 2 for v in values) / (len(values) - 1)


def slow_variance(id_scores, ood_scores):
    v10, v01 = components(id_scores, ood_scores)
    return sample_variance(v10) / len(v10) + sample_variance(v01) / len(v01)


@given(SCORES, SCORES)
def test_the_variance_is_that_of_the_components(id_scores, ood_scores):
    assert metrics.auroc_variance(id_scores, ood_scores) == pytest.approx(
        slow_variance(id_scores, ood_scores), rel=1e-9, abs=1e-15
    )


def test_by_hand():
    # V10 = 1/2, 1, 1 and V01 = 1, 2/3: variances 1/12 and 1/18, so 1/36 + 1/36.
    assert metrics.auroc_variance([2, 4, 6], [1, 3]) == pytest.approx(1 / 18, rel=1e-12)
    area, s = 5 / 6, math.sqrt(1 / 18)
    plain = metrics.auroc_interval([2, 4, 6], [1, 3], scale="plain")
    assert plain == Interval(pytest.approx(area - 1.959963984540054 * s), 1.0)
    found = metrics.auroc_interval([2, 4, 6], [1, 3], confidence=0.9)
    step = 1.6448536269514722 * s / (area * (1 - area))
    ends = [1 / (1 + math.exp(-(math.log(5) + sign * step))) for sign in (-1, 1)]
    assert [found.low, found.high] == pytest.approx(ends, rel=1e-12)


@given(SCORES, SCORES, st.sampled_from(["plain", "logit"]))
def test_it_turns_with_the_scores_and_ignores_their_order_and_scale(id_scores, ood_scores, scale):
    here = metrics.auroc_interval(id_scores, ood_scores, scale=scale)
    assert here == metrics.auroc_interval(id_scores[::-1], sorted(ood_scores), scale=scale)
    ranks = {value: rank**3 for rank, value in enumerate(sorted({*id_scores, *ood_scores}))}
    mapped = [ranks[x] for x in id_scores], [ranks[y] for y in ood_scores]
    assert here == metrics.auroc_interval(*mapped, scale=scale)
    turned = metrics.auroc_interval([-x for x in id_scores], [-y for y in ood_scores], scale=scale)
    assert [turned.low, turned.high] == pytest.approx([1 - here.high, 1 - here.low], abs=1e-12)
    assert 0 <= here.low <= metrics.auroc(id_scores, ood_scores) + 1e-12
    assert metrics.auroc(id_scores, ood_scores) - 1e-12 <= here.high <= 1


@pytest.mark.parametrize("scale", ["plain", "logit"])
@pytest.mark.parametrize(
    ("id_scores", "ood_scores", "area"), [([3, 4], [1, 2], 1.0), ([1, 2], [3, 4], 0.0), ([7] * 5, [7] * 3, 0.5)]
)
def test_without_any_spread_the_interval_is_a_point(id_scores, ood_scores, area, scale):
    assert metrics.auroc_variance(id_scores, ood_scores) == 0.0
    assert metrics.auroc_interval(id_scores, ood_scores, scale=scale) == Interval(area, area)


def test_a_higher_confidence_is_a_wider_interval_and_the_ends_belong_to_it():
    narrow, wide = (metrics.auroc_interval([2, 4, 6, 8], [1, 3, 5], c) for c in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high
    assert narrow.low in narrow
    assert wide.high not in narrow


def test_what_cannot_be_done_is_said():
    with pytest.raises(MetricError, match="expected at least two ID and two OOD images for its variance, got 1 and 2"):
        metrics.auroc_interval([1], [2, 3])
    for wrong in (0, 1, 95, -0.1, float("nan"), "0.95", True):
        with pytest.raises(MetricError, match=r"confidence: expected a number between 0 and 1, such as 0\.95"):
            metrics.auroc_interval([1, 2], [2, 3], wrong)
    with pytest.raises(MetricError, match="scale: expected logit or plain, got 'probit'"):
        metrics.auroc_interval([1, 2], [2, 3], scale="probit")
