"""What a monitor counts, against scipy and slow formulas."""

import math

import numpy as np
import pytest
from scipy.stats import betabinom, ks_2samp

from ood_toolkit import Detector, MetricError, Monitor, Outputs
from ood_toolkit.metrics.binomial import predicted_count

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("a", "b", "n", "count"), [(1, 20, 7, 0), (21, 180, 300, 50), (5, 196, 2000, 11), (3, 3, 1, 1)]
)
def test_the_prediction_of_a_count_is_beta_binomial(a, b, n, count):
    made, known = predicted_count(a, b, n, count), betabinom(n, a, b)
    assert made.share == pytest.approx(known.mean() / n)
    assert (made.low, made.high) == (known.ppf(0.025), n - betabinom(n, b, a).ppf(0.025))
    assert made.chance == pytest.approx(min(1, 2 * min(known.cdf(count), known.sf(count - 1))), rel=1e-6)


def test_of_many_images_it_is_the_limit():
    n = 3_000_000
    made = predicted_count(21, 180, n, int(0.3 * n))
    known = betabinom(1_000_000, 21, 180)
    assert made.low / n == pytest.approx(known.ppf(0.025) / 1e6, abs=1e-4)
    assert made.chance < 1e-9
    with pytest.raises(MetricError, match="count from 0 to n"):
        predicted_count(1, 2, 3, 4)


@pytest.fixture
def drifted():
    """A monitor with coarse scores, which tie, and what it saw."""
    rng = np.random.default_rng(0)
    val = np.round(rng.normal(size=(230, 4)), 1)
    detector = Detector.fit("maxlogit", Outputs.from_logits(val), rule="conformal:target=0.9")
    stream = np.round(rng.normal(0.2, 0.8, size=(170, 4)), 1)
    monitor = Monitor(detector)
    monitor.observe(detector.decide(stream))
    return monitor, val, stream


def test_kolmogorov_smirnov_is_that_of_scipy_ties_included(drifted):
    monitor, _, stream = drifted
    known = ks_2samp(monitor.detector.rows.score, monitor.detector.decide(stream).score, method="asymp")
    assert monitor.report().shift.ks == pytest.approx(known.statistic, abs=1e-12)
    assert monitor.report().shift.ks_p == pytest.approx(known.pvalue, rel=0.2)


def test_the_stability_index_is_the_sum_over_ten_bins(drifted):
    monitor, val, stream = drifted
    known, seen = np.sort(val.max(axis=1).astype(np.float32)), stream.max(axis=1).astype(np.float32)
    ends = sorted({float(known[i * 230 // 10]) for i in range(1, 10)})
    parts = len(ends) + 1

    def shares(scores):
        counts = [0] * parts
        for one in scores:
            counts[sum(one >= end for end in ends)] += 1
        return [(count + 0.5) / (len(scores) + 0.5 * parts) for count in counts]

    wanted = sum((a - e) * math.log(a / e) for a, e in zip(shares(seen), shares(known), strict=True))
    assert monitor.report().shift.psi == pytest.approx(wanted, rel=1e-9)


def test_the_share_rejected_stands_beside_its_prediction(drifted):
    monitor, _, stream = drifted
    found, cut = monitor.report().rejected, monitor.detector.threshold
    below = int((monitor.detector.rows.score < cut).sum())
    count = int((stream.max(axis=1).astype(np.float32) < cut).sum())
    known = betabinom(170, below + 1, 230 - below)
    assert (found.count, found.n) == (count, 170)
    assert found.predicted == pytest.approx((below + 1) / 231)
    assert found.predicted_low == known.ppf(0.025) / 170
    assert found.chance == pytest.approx(min(1, 2 * min(known.cdf(count), known.sf(count - 1))), rel=1e-6)


def test_the_class_mix_stands_beside_that_of_calibration(drifted):
    monitor, val, stream = drifted
    found = monitor.report()
    assert [one.count for one in found.classes] == np.bincount(stream.argmax(axis=1), minlength=4).tolist()
    shares = np.bincount(val.argmax(axis=1), minlength=4) / 230
    assert [one.calibration for one in found.classes] == pytest.approx(shares.tolist())
    a, e = ((np.bincount(x.argmax(axis=1), minlength=4) + 0.5) / (len(x) + 2) for x in (stream, val))
    assert found.class_psi == pytest.approx(((a - e) * np.log(a / e)).sum())


def test_a_detector_that_accepts_everything_predicts_no_rejection():
    val = Outputs.from_logits(np.random.default_rng(0).normal(size=(20, 3)))
    monitor = Monitor(Detector.fit("msp", val, rule="conformal:target=0.99"))
    monitor.observe(monitor.detector.decide(val))
    found = monitor.report().rejected
    assert (found.count, found.predicted, found.predicted_high, found.chance) == (0, 0, 0, 1)
