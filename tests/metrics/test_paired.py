"""Paired tests against loops over components and resampled arrays; Holm's correction by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ood_toolkit import metrics
from ood_toolkit.errors import MetricError

SMALL = st.integers(-4, 4).map(float)
IMAGES = st.lists(st.tuples(SMALL, SMALL), min_size=2, max_size=25)


def wins(x, y):
    return 1.0 if x > y else 0.5 if x == y else 0.0


def components(id_scores, ood_scores):
    v10 = [sum(wins(x, y) for y in ood_scores) / len(ood_scores) for x in id_scores]
    v01 = [sum(wins(x, y) for x in id_scores) / len(id_scores) for y in ood_scores]
    return v10, v01


def covariance(a, b):
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    return sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True)) / (len(a) - 1)


def slow_variance(id_a, ood_a, id_b, ood_b):
    """The variance of A_a - A_b with S10 and S01 of DeLong's paper and the contrast (1, -1)."""
    a, b = components(id_a, ood_a), components(id_b, ood_b)
    total = 0.0
    for v_a, v_b in zip(a, b, strict=True):
        total += (covariance(v_a, v_a) + covariance(v_b, v_b) - 2 * covariance(v_a, v_b)) / len(v_a)
    return total


def correlated(n=120, m=90, seed=0, gap=0.4, decimals=2):
    draw = np.random.default_rng(seed)
    shared_id, shared_ood = draw.normal(1, 1, n), draw.normal(0, 1, m)
    made = []
    for shift in (gap, 0.0):
        noise_id, noise_ood = draw.normal(0, 0.6, n), draw.normal(0, 0.6, m)
        made += [(shared_id + noise_id + shift).round(decimals), (shared_ood + noise_ood).round(decimals)]
    return made


@given(IMAGES, IMAGES)
def test_the_variance_is_the_contrast_of_the_covariance_matrix(inside, outside):
    (id_a, id_b), (ood_a, ood_b) = zip(*inside, strict=True), zip(*outside, strict=True)
    variance = slow_variance(id_a, ood_a, id_b, ood_b)
    found = metrics.delong_test(id_a, ood_a, id_b, ood_b)
    assert (found.first, found.second) == (
        pytest.approx(metrics.auroc(id_a, ood_a), abs=1e-12),
        pytest.approx(metrics.auroc(id_b, ood_b), abs=1e-12),
    )
    half = 1.959963984540054 * math.sqrt(max(0.0, variance))
    assert [found.low, found.high] == pytest.approx([found.value - half, found.value + half], abs=1e-7)
    if variance > 1e-9:
        assert found.p == pytest.approx(math.erfc(abs(found.value) / math.sqrt(2 * variance)), abs=1e-9)


def test_orientation_and_order():
    a, b, c, d = correlated()
    here, turned = metrics.delong_test(a, b, c, d), metrics.delong_test(c, d, a, b)
    assert here.value == -turned.value
    assert [here.p, here.low, here.high] == pytest.approx([turned.p, -turned.high, -turned.low], rel=1e-9)
    order, other = np.random.default_rng(0).permutation(a.size), np.random.default_rng(1).permutation(b.size)
    shuffled = metrics.delong_test(a[order], b[other], c[order], d[other])
    assert [shuffled.p, shuffled.low] == [here.p, here.low]
    drawn = metrics.paired_bootstrap(a, b, c, d, replicates=60)
    assert drawn == metrics.paired_bootstrap(a[order], b[other], c[order], d[other], replicates=60)
    assert drawn == metrics.paired_bootstrap(np.exp(a), np.exp(b), c * 3, d * 3, replicates=60)


def test_pairing_is_what_makes_it_sharp():
    a, b, c, d = correlated(gap=0.25)
    broken = np.random.default_rng(5).permutation
    assert metrics.delong_test(a, b, c, d).p < metrics.delong_test(a, b, broken(c), broken(d)).p


def test_without_spread_p_is_one_or_its_limit():
    same = metrics.delong_test([1, 2, 3], [0, 1], [10, 20, 30], [0, 10])
    assert (same.value, same.low, same.high, same.p) == (0.0, 0.0, 0.0, 1.0)
    apart = metrics.delong_test([3, 4], [1, 2], [7, 7], [7, 7])
    assert (apart.value, apart.low, apart.high, apart.p) == (0.5, 0.5, 0.5, 0.0)


@pytest.mark.parametrize("protocol", ["native", "mcm", "openood-v1.5"])
def test_the_paired_bootstrap_is_that_of_arrays(protocol):
    a, b, c, d = correlated(gap=0.1)
    found = metrics.paired_bootstrap(a, b, c, d, protocol, replicates=99, seed=4)
    draw = np.random.default_rng(4)
    inside, outside = sorted(zip(c, a, strict=True)), sorted(zip(d, b, strict=True))
    differences = []
    for _ in range(99):
        rows, others = draw.integers(0, a.size, a.size), draw.integers(0, b.size, b.size)
        second, first = (
            metrics.evaluate([inside[r][k] for r in rows], [outside[r][k] for r in others], protocol) for k in (0, 1)
        )
        differences.append({key: first[key] - second[key] for key in first})
    for key, difference in found.items():
        values = [d[key] for d in differences]
        assert [difference.low, difference.high] == pytest.approx(
            np.quantile(values, [0.025, 0.975], method="weibull"), abs=1e-12
        )
        rarer = min(sum(v <= 0 for v in values), sum(v >= 0 for v in values))
        assert difference.p == pytest.approx(min(1, 2 * (1 + rarer) / 100))
        assert difference.first == metrics.evaluate(a, b, protocol)[key]
        assert difference.second == metrics.evaluate(c, d, protocol)[key]


def test_the_same_scores_do_not_differ_and_p_is_never_nought():
    a, b, *_ = correlated()
    for difference in metrics.paired_bootstrap(a, b, a, b, replicates=20).values():
        assert (difference.value, difference.low, difference.high, difference.p) == (0.0, 0.0, 0.0, 1.0)
    far = metrics.paired_bootstrap(a + 50, b, a - 50, b, replicates=20)
    assert far["auroc"].p == pytest.approx(2 / 21)


def test_under_no_difference_five_per_cent_are_found():
    # 2,000 pairs of equal scorers: a binomial with 5 % lies within 4 .. 6.2 % but for one in fifty.
    found = 0
    draw = np.random.default_rng(0)
    for _ in range(2000):
        x, y = draw.normal(1, 1, 150), draw.normal(0, 1, 150)
        noisy = [v + draw.normal(0, 0.5, 150) for v in (x, y, x, y)]
        found += metrics.delong_test(*noisy).p < 0.05
    assert 0.040 <= found / 2000 <= 0.062


def test_holm_by_hand():
    assert metrics.holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert metrics.holm([0.5, 0.6]).tolist() == [1.0, 1.0]
    assert metrics.holm([0.2]).tolist() == [0.2]
    assert metrics.holm([0.02, 0.02]).tolist() == [0.04, 0.04]
    for wrong in ([0.1, 1.5], [-0.1], [float("nan")], []):
        with pytest.raises(MetricError, match="p_values"):
            metrics.holm(wrong)


def test_arrays_of_other_images_are_refused():
    with pytest.raises(MetricError, match="id_a and id_b: expected one value per image in both, got 2 and 3"):
        metrics.delong_test([1, 2], [0, 1], [1, 2, 3], [0, 1])
    with pytest.raises(MetricError, match="ood_a and ood_b: expected one value per image in both, got 2 and 1"):
        metrics.paired_bootstrap([1, 2], [0, 1], [1, 2], [0])
