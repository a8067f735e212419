from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ood_toolkit import Detector
from ood_toolkit.errors import MetricError
from ood_toolkit.metrics.discoveries import benjamini_hochberg, conformal_p_values

grid = st.lists(st.integers(1, 40).map(lambda i: i / 40), min_size=1, max_size=60)


def slow(p, rate):
    """The step-up procedure in words, in fractions."""
    m, rate = len(p), Fraction(str(rate))
    ranked = sorted(Fraction(str(v)) for v in p)
    last = max((k for k in range(1, m + 1) if ranked[k - 1] <= rate * k / m), default=0)
    return [last > 0 and Fraction(str(v)) <= ranked[last - 1] for v in p]


@given(grid, st.sampled_from([0.05, 0.1, 0.3, 0.5]))
def test_flags_are_those_of_benjamini_and_hochberg(p, rate):
    assert benjamini_hochberg(p, rate).flagged.tolist() == slow(p, rate)


def test_flags_on_a_worked_example():
    p = [0.01, 0.04, 0.03, 0.005, 0.5, np.nan, 0.02]  # m = 6; 0.05 k / 6: .0083 .0167 .025 .0333 .0417 .05
    found = benjamini_hochberg(p, 0.05)
    assert found.flagged.tolist() == [True, True, True, True, False, False, True]
    assert found.cut == 0.04
    stricter = benjamini_hochberg([0.01, 0.04, 0.2, 0.9, 0.8, 0.7], 0.05)
    assert not stricter.flagged.any()
    # Storey: (1 + 3) / 3 = 1.33, not cut at 1; with fewer above a half the rate rises.
    assert benjamini_hochberg([0.001, 0.02, 0.03, 0.04, 0.05, 0.6], 0.05, storey=True).flagged.sum() == 5
    assert benjamini_hochberg([0.001, 0.02, 0.03, 0.04, 0.05, 0.6], 0.05).flagged.sum() == 1


def test_what_the_smallest_p_value_does_not_allow_is_said():
    p = np.full(10_000, 0.5)
    p[:999] = 0.01
    found = benjamini_hochberg(p, 0.1, n=99)
    assert not found.flagged.any()
    assert found.note == (
        "nothing is flagged: the smallest p-value that 99 calibration images allow is 0.01, and at least 1,000 of the "
        "10,000 images would have to have it"
    )
    p[999] = 0.01
    assert benjamini_hochberg(p, 0.1, n=99).flagged.sum() == 1000
    assert benjamini_hochberg([np.nan], 0.1).note == "no image has a p-value"


@pytest.mark.parametrize(
    ("bad", "said"),
    [([[0.1]], r"got shape \(1, 1\)"), ([0.5, 1.5], "got 1.5 at index 1"), ([-0.1], "got -0.1 at index 0")],
)
def test_what_is_no_p_value_is_refused(bad, said):
    with pytest.raises(MetricError, match=f"benjamini_hochberg: .*{said}"):
        benjamini_hochberg(bad, 0.1)
    with pytest.raises(MetricError, match="rate"):
        benjamini_hochberg([0.1], 1)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=30), st.lists(st.integers(-1, 7), min_size=1, max_size=9))
def test_p_values_are_counted(known, asked):
    found = conformal_p_values(np.sort(known), asked)
    assert found.tolist() == [(1 + sum(k <= s for k in known)) / (len(known) + 1) for s in asked]
    smooth = conformal_p_values(np.sort(known), asked, seed=1)
    u = np.random.default_rng(1).uniform(size=len(asked))
    by_hand = [
        (sum(k < s for k in known) + one * (1 + sum(k == s for k in known))) / (len(known) + 1)
        for s, one in zip(asked, u, strict=True)
    ]
    np.testing.assert_allclose(smooth, by_hand, rtol=1e-12)


def test_a_detectors_p_values_are_of_its_calibration_rows(make_outputs):
    val, x = make_outputs(90), make_outputs(20, seed=4)
    made = Detector.fit("energy", val)
    known, scores = made.score(val), made.score(x)
    assert made.p_values(x).tolist() == [(1 + (known <= s).sum()) / 91 for s in scores]
    own, mine = val.prediction.numpy(), x.prediction.numpy()
    wanted = [(1 + (known[own == c] <= s).sum()) / ((own == c).sum() + 1) for c, s in zip(mine, scores, strict=True)]
    assert made.p_values(x, by_class=True).tolist() == wanted
    assert (made.p_values(x, seed=0) <= made.p_values(x)).all()


def test_false_discoveries_stay_below_the_rate_over_calibration_draws():
    rng, rate, shares = np.random.default_rng(0), 0.1, []
    for _ in range(600):
        known = np.sort(rng.normal(size=200))
        ood = np.arange(100) < 20
        p = conformal_p_values(known, rng.normal(size=100) - 3 * ood)
        flagged = benjamini_hochberg(p, rate).flagged
        shares.append((flagged & ~ood).sum() / max(1, flagged.sum()))
    assert np.mean(shares) < rate + 3 * np.std(shares) / np.sqrt(600)
    assert np.mean(shares) > 0.03  # and something is flagged
