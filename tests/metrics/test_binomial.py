import math
from fractions import Fraction

import numpy as np
import pytest

from ood_toolkit.errors import MetricError
from ood_toolkit.metrics.binomial import accepted_share, clopper_pearson


def tail(n, p, least):
    """P(Bin(n, p) >= least), by summing."""
    return math.fsum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(least, n + 1))


@pytest.mark.parametrize(("count", "n", "level"), [(0, 10, 0.95), (10, 10, 0.95), (3, 17, 0.9), (88, 100, 0.95)])
def test_the_ends_of_clopper_and_pearson_are_where_the_binomial_tails_are(count, n, level):
    found = clopper_pearson(count, n, level)
    assert found.value == count / n
    half = (1 - level) / 2
    if count:
        assert tail(n, found.low, count) == pytest.approx(half, rel=1e-9)
    else:
        assert found.low == 0
    if count < n:
        assert 1 - tail(n, found.high, count + 1) == pytest.approx(half, rel=1e-9)
    else:
        assert found.high == 1


@pytest.mark.parametrize(("rank", "n"), [(1, 19), (2, 50), (5, 99), (30, 40)])
def test_the_accepted_share_is_that_of_uniform_scores_above_a_rank(rank, n):
    # P(share <= p) = P(U_(rank) >= 1 - p) = P(at most rank - 1 of n uniforms lie below 1 - p).
    found = accepted_share(rank, n)
    assert found.value == pytest.approx(float(Fraction(n - rank + 1, n + 1)), rel=1e-15)
    for share, chance in ((found.low, 0.05), (found.high, 0.95)):
        assert 1 - tail(n, 1 - share, rank) == pytest.approx(chance, rel=1e-9)
    draws = np.sort(np.random.default_rng(0).uniform(size=(4000, n)), axis=1)[:, rank - 1]
    assert (1 - draws).mean() == pytest.approx(found.value, abs=4 * (1 - draws).std() / 63)


def test_a_threshold_that_accepts_all_or_nothing_has_no_interval():
    assert accepted_share(0, 5) == type(accepted_share(0, 5))(1, 1, 1)
    assert accepted_share(6, 5).high == 0


@pytest.mark.parametrize("bad", [(-1, 5), (6, 5), (0, 0)])
def test_counts_out_of_range_are_refused(bad):
    with pytest.raises(MetricError, match="clopper_pearson"):
        clopper_pearson(*bad)
    with pytest.raises(MetricError, match="accepted_share"):
        accepted_share(bad[0] * 2, bad[1])


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, 2.0, float("nan")])
@pytest.mark.parametrize("share", [clopper_pearson, accepted_share])
def test_a_level_that_is_no_share_is_refused(share, level):
    with pytest.raises(MetricError, match=f"{share.__name__}: expected a level between 0 and 1, got"):
        share(1, 2, level)
