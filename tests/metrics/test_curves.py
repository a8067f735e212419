"""Curves against loops over thresholds, and against the numbers that are read off them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ood_toolkit import metrics
from ood_toolkit.errors import MetricError

pytestmark = pytest.mark.quick

TIED = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=40)
SCORES = TIED | st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)


@given(SCORES, SCORES)
def test_the_area_under_the_points_is_the_auroc(inside, outside):
    curve = metrics.roc_curve(inside, outside)
    middle = (curve.id_accepted[1:] + curve.id_accepted[:-1]) / 2
    assert np.sum(np.diff(curve.ood_accepted) * middle) == pytest.approx(metrics.auroc(inside, outside), abs=1e-12)


@given(SCORES, SCORES)
def test_points_are_shares_at_thresholds_and_the_curve_has_them_all(inside, outside):
    curve = metrics.roc_curve(inside, outside)
    drawn = list(zip(curve.ood_accepted.tolist(), curve.id_accepted.tolist(), strict=True))
    slow = [
        (float(np.mean(np.array(outside) >= t)), float(np.mean(np.array(inside) >= t)))
        for t in sorted({np.inf, *inside, *outside}, reverse=True)
    ]
    assert (drawn[0], drawn[-1]) == ((0.0, 0.0), (1.0, 1.0))
    assert set(drawn) <= set(slow)
    for x, y in slow:  # those that were left out lie on the lines between the others
        low, high = (np.searchsorted(curve.ood_accepted, x, side=side) for side in ("left", "right"))
        if high > low:
            assert curve.id_accepted[low] <= y <= curve.id_accepted[high - 1]
        else:
            assert np.interp(x, curve.ood_accepted, curve.id_accepted) == pytest.approx(y, abs=1e-12)


def test_points_on_a_line_are_left_out():
    curve = metrics.roc_curve([4.0, 3.0, 2.0], [1.0, 0.0])
    assert curve.ood_accepted.tolist() == [0, 0, 1]
    assert curve.id_accepted.tolist() == [0, 1, 1]


@given(SCORES, SCORES)
def test_the_steps_under_the_risk_are_the_aurc(right, wrong):
    curve = metrics.risk_coverage(right, wrong)
    assert np.sum(np.diff(curve.coverage, prepend=0) * curve.risk) == pytest.approx(metrics.aurc(right, wrong))
    assert (curve.coverage[-1], curve.risk[-1]) == (1.0, len(wrong) / (len(right) + len(wrong)))
    for t, coverage, risk in zip(sorted({*right, *wrong}, reverse=True), curve.coverage, curve.risk, strict=True):
        errors, kept = sum(s >= t for s in wrong), sum(s >= t for s in [*right, *wrong])
        assert (coverage, risk) == (kept / (len(right) + len(wrong)), errors / kept)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60), st.integers(1, 20))
def test_the_gaps_of_the_bins_are_the_ece(images, bins):
    confidence, right = zip(*images, strict=True)
    found = metrics.reliability(confidence, right, bins)
    gap = np.sum(found.count * np.abs(found.accuracy - found.confidence)) / len(images)
    assert gap == pytest.approx(metrics.ece(confidence, right, bins), abs=1e-12)
    assert (found.count.min() > 0, found.count.sum(), found.right.sum()) == (True, len(images), sum(right))
    assert (np.diff(found.confidence) > 0).all()


def test_curves_refuse_what_the_metrics_refuse():
    for curve in (metrics.roc_curve, metrics.risk_coverage):
        with pytest.raises(MetricError):
            curve([], [1.0])
        with pytest.raises(MetricError):
            curve([np.nan], [1.0])
    with pytest.raises(MetricError, match="bins: expected a whole number"):
        metrics.reliability([0.5], [True], 0)
    with pytest.raises(MetricError, match="probabilities"):
        metrics.reliability([1.5], [True])
