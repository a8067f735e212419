"""The martingale against a slow sum over all starts, its p-values, and how often it is wrong."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import kstest

from ood_toolkit.detectors.monitoring import evidence
from ood_toolkit.detectors.monitoring.evidence import Evidence
from ood_toolkit.errors import DetectorError

pytestmark = pytest.mark.quick


def slow_p_values(calibration, scores, seed):
    """Count one by one: who lies in lower cells, and who in the same one, this image itself included."""
    drawn = np.random.Generator(np.random.PCG64([seed, 2])).random((len(scores), 2))
    cells = [sum(c < s for c in calibration) for s in scores]
    found = []
    for t, cell in enumerate(cells):
        lower = cell + sum(one < cell for one in cells[:t])
        same = 1 + sum(one == cell for one in cells[:t])
        found.append((lower + drawn[t, 1] * same) / (len(calibration) + t + 1))
    return found


def slow_values(p_values):
    """Sum over exponents, directions and starts, each product by itself."""
    exponents = [(i + 0.5) / 20 for i in range(20)]
    share = lambda r: 1 / math.log2(r + 1) - 1 / math.log2(r + 2)  # noqa: E731
    found = []
    for t in range(1, len(p_values) + 1):
        value = 1 - sum(share(r) for r in range(1, t + 1))  # of bets that are to start later
        for e in exponents:
            for side in (lambda p: p, lambda p: 1 - p):
                for r in range(1, t + 1):
                    value += share(r) / 40 * math.prod(e * side(p) ** (e - 1) for p in p_values[r - 1 : t])
        found.append(value)
    return found


def test_it_is_the_slow_sum_over_all_starts():
    rng = np.random.default_rng(0)
    calibration, scores = np.sort(rng.normal(size=30)), rng.normal(-0.5, size=25)
    made = Evidence(calibration, seed=5)
    got = np.concatenate([made.observe(scores[:7]), made.observe(scores[7:])])
    wanted = slow_values(slow_p_values(calibration, scores, 5))
    assert np.exp(got) == pytest.approx(wanted, rel=1e-9)
    assert made.bits == pytest.approx(math.log2(wanted[-1]))
    assert made.highest_bits == pytest.approx(math.log2(max(1.0, *wanted)))


def test_blocks_change_nothing():
    rng = np.random.default_rng(1)
    calibration, scores = np.sort(rng.normal(size=50)), rng.normal(size=700)
    whole, parts = Evidence(calibration), Evidence(calibration)
    told = whole.observe(scores)
    ends = [0, 1, 2, 130, 131, 600, 700]
    pieces = [parts.observe(scores[a:b]) for a, b in pairwise(ends)]
    assert np.concatenate(pieces) == pytest.approx(told, abs=1e-9)
    assert parts.observe(scores[:0]).shape == (0,)


@pytest.mark.parametrize("cells", [5, 1000])
@pytest.mark.parametrize("tied", [False, True])
def test_p_values_are_uniform_and_independent_also_with_ties_and_few_cells(cells, tied, monkeypatch):
    monkeypatch.setattr(evidence, "CELLS", cells)
    rng = np.random.default_rng(2)
    found = []
    for seed in range(3000):
        drawn = rng.integers(0, 3, 14).astype(float) if tied else rng.normal(size=14)
        found.append(Evidence(np.sort(drawn[:11]), seed)._p_values(drawn[11:]))
    p = np.array(found)
    for t in range(3):
        assert kstest(p[:, t], "uniform").pvalue > 1e-3
    assert np.abs(np.corrcoef(p.T)[np.triu_indices(3, 1)]).max() < 4 / math.sqrt(3000)


def test_false_alarms_are_as_rare_as_promised():
    alpha, streams = 0.1, 300
    rng = np.random.default_rng(3)
    alarms = sum(
        Evidence(np.sort(rng.normal(size=100)), seed).observe(rng.normal(size=600)).max() >= -math.log(alpha)
        for seed in range(streams)
    )
    assert alarms / streams <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / streams)


@pytest.mark.parametrize("side", [-1, 1])
def test_drift_in_either_direction_is_seen_however_long_nothing_happened(side):
    rng = np.random.default_rng(4)
    made = Evidence(np.sort(rng.normal(size=200)))
    made.observe(rng.normal(size=5000))
    assert made.bits > -math.log2(math.log2(5002)) - 1e-6  # what waits for later starts is never lost
    assert made.observe(rng.normal(3 * side, size=100)).max() > math.log(100)


def test_memory_is_constant():
    rng = np.random.default_rng(5)
    made = Evidence(np.sort(rng.normal(size=5000)))
    sizes = []
    for _ in range(2):
        made.observe(rng.normal(size=3000))
        sizes.append([len(part) for part in made.to_dict().values() if isinstance(part, list)])
    assert sizes[0] == sizes[1] == [evidence.CELLS + 1, 40]


def test_it_goes_on_from_its_state():
    rng = np.random.default_rng(6)
    calibration, scores = np.sort(rng.normal(size=50)), rng.normal(size=90)
    whole, first, second = (Evidence(calibration, 1) for _ in range(3))
    told = whole.observe(scores)
    first.observe(scores[:40])
    second.take(first.to_dict())
    assert second.observe(scores[40:]) == pytest.approx(told[40:], abs=1e-12)
    for name, other in (("images", 39), ("drawn", 3), ("seen", [1]), ("log_stakes", [0.0] * 39 + [float("nan")])):
        with pytest.raises(DetectorError, match="do not fit"):
            Evidence(calibration, 1).take({**first.to_dict(), name: other})
