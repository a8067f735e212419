"""Each rule against an independent formula: exact binomials by fractions, all thresholds tried, small simulations."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ood_toolkit.errors import ScorerError
from ood_toolkit.scorers.cuts import cost_threshold
from ood_toolkit.scorers.promises import (
    conformal_rank,
    pac_rank,
    risk_threshold,
    tpr_rank,
    true_class_threshold,
)
from ood_toolkit.scorers.thresholds import class_thresholds, threshold

pairs = st.lists(st.tuples(st.integers(-6, 6).map(lambda i: i / 4), st.booleans()), min_size=1, max_size=40)


def at_most(n, p, most):
    """P(Bin(n, p) <= most), exactly."""
    return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(most + 1))


@pytest.mark.parametrize("target", ["0.5", "0.9", "0.95", "0.99"])
@pytest.mark.parametrize("delta", ["0.05", "0.1", "0.5"])
@pytest.mark.parametrize("n", [1, 10, 58, 59, 93, 200])
def test_the_pac_rank_is_the_largest_whose_tail_is_enough(n, target, delta):
    alpha, chance = 1 - Fraction(target), Fraction(delta)
    good = [k for k in range(1, n + 1) if 1 - at_most(n, alpha, k - 1) >= 1 - chance]
    assert pac_rank(n, float(target), float(delta)) == max(good, default=0)


def test_pac_promises_from_fifty_nine_images():
    assert [pac_rank(n, 0.95, 0.05) for n in (58, 59, 92, 93, 100_000)] == [0, 1, 1, 2, 4887]
    found, notes = threshold("pac", np.arange(58.0))
    assert found == -math.inf
    assert notes == ("pac: 58 images are too few to promise 0.95 of ID; threshold -inf, all are accepted",)
    assert threshold("pac:delta=0.05", np.arange(59.0)) == (0.0, ())
    assert threshold("pac:target=0.9", np.arange(1.0, 101.0))[0] == pac_rank(100, 0.9, 0.05) == 5


@pytest.mark.parametrize(("n", "target", "rank"), [(19, 0.95, 1), (18, 0.95, 0), (50, 0.9, 5), (200, 0.9, 20)])
def test_the_conformal_rank(n, target, rank):
    assert conformal_rank(n, target) == rank


@pytest.mark.parametrize(("n", "target", "rank"), [(20, 0.95, 2), (50, 0.9, 6), (7, 0.5, 4), (1, 0.95, 1)])
def test_the_tpr_rank(n, target, rank):
    assert tpr_rank(n, target) == rank
    assert threshold("tpr", np.arange(1.0, n + 1), target=target)[0] == rank


@given(pairs, st.sampled_from([(10, 1), (1, 1), (0.3, 0.1), (1, 2.5)]))
def test_the_cost_is_least_and_ties_go_to_the_lower_threshold(rows, costs):
    error, reject = (Fraction(str(c)) for c in costs)
    cuts = [*sorted({s for s, _ in rows}), math.inf]
    paid = [sum(error if s >= cut and not r else reject if s < cut else 0 for s, r in rows) for cut in cuts]
    scores, right = [s for s, _ in rows], [r for _, r in rows]
    assert cost_threshold(scores, right, *costs) == cuts[paid.index(min(paid))]
    assert threshold(f"cost:error={costs[0]}:reject={costs[1]}", scores, right)[0] == cuts[paid.index(min(paid))]


def test_the_cost_of_a_calibrated_confidence_is_near_chows():
    rng = np.random.default_rng(3)
    confidence = rng.uniform(size=100_000)
    right = rng.uniform(size=100_000) < confidence
    assert cost_threshold(confidence, right, 10, 1) == pytest.approx(1 - 1 / 10, abs=0.01)
    assert cost_threshold(confidence, right, 4, 1) == pytest.approx(1 - 1 / 4, abs=0.01)


def slow_risk(scores, right, target, delta, seed):
    """The rule in words: try the scores of the fifth from the strictest down, count, stop at the first that fails."""
    order = np.random.default_rng(seed).permutation(len(scores))
    fifth, rest = order[: len(scores) // 5], order[len(scores) // 5 :]
    last, enough = math.inf, 2 * math.log(delta) / math.log(1 - target)
    for cut in sorted({scores[i] for i in fifth}, reverse=True):
        if sum(scores[i] >= cut for i in fifth) / len(fifth) * len(rest) < enough:
            continue
        accepted = [i for i in rest if scores[i] >= cut]
        errors = sum(not right[i] for i in accepted)
        if not accepted or at_most(len(accepted), target, errors) > delta:
            break
        last = cut
    return last


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("target", "delta"), [(0.1, 0.1), (0.05, 0.1), (0.3, 0.05)])
def test_risk_goes_down_until_a_test_fails(seed, target, delta):
    rng = np.random.default_rng(seed)
    scores = np.round(rng.uniform(size=400), 2)  # with ties
    right = rng.uniform(size=400) < 0.5 + 0.5 * scores
    wanted = slow_risk(scores.tolist(), right.tolist(), target, delta, seed=0)
    assert risk_threshold(scores, right, target, delta) == wanted
    assert threshold(f"risk:target={target}:delta={delta}", scores, right)[0] == wanted


def test_risk_accepts_nothing_where_nothing_passes():
    found, notes = threshold("risk", np.arange(50.0), np.ones(50, bool))
    assert (found, notes) == (math.inf, ("risk: no threshold is good enough; threshold inf, all are rejected",))
    assert risk_threshold([0.5] * 3, [True] * 3, 0.02, 0.1) == math.inf  # no fifth of three
    with pytest.raises(ScorerError, match="risk: needs the labels of ID validation"):
        threshold("risk", np.arange(50.0))
    with pytest.raises(ScorerError, match="cost: needs the labels of ID validation"):
        threshold("cost", np.arange(50.0))


def test_within_true_classes_one_threshold_is_the_least():
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=300), rng.integers(-1, 3, 300)
    mine = {c: np.sort(scores[labels == c]) for c in range(3)}
    wanted = min(mine[c][math.floor((len(mine[c]) + 1) * Fraction("0.1")) - 1] for c in range(3))
    assert true_class_threshold(scores, labels, 3, 0.9) == wanted
    # The set form says the same: some class y has p_y = (1 + #{s_i <= s}) / (n_y + 1) above alpha.
    for s in [wanted, np.nextafter(wanted, -9), *rng.normal(size=50)]:
        p = [(1 + (mine[c] <= s).sum()) / (len(mine[c]) + 1) for c in range(3)]
        assert (s >= wanted) == (max(Fraction(x) for x in p) > Fraction("0.1")) or s == wanted


def test_a_class_too_small_for_the_set_form_is_named():
    labels = [0] * 30 + [1] * 8 + [2] * 9
    with pytest.raises(ScorerError, match=r"at least 9 images of each class.*too few of dog; lower"):
        true_class_threshold(np.arange(47.0), labels, 3, 0.9, ["cat", "dog", "fox"])
    with pytest.raises(ScorerError, match="too few of 1, 3"):
        true_class_threshold(np.arange(47.0), labels, 4, 0.9)


@pytest.mark.parametrize("rule", ["pac:target=0.8:delta=0.3", "risk:target=0.3:delta=0.3", "conformal:target=0.8"])
def test_within_predicted_classes_each_has_its_own_and_none_is_shrunk(rule):
    rng = np.random.default_rng(1)
    scores, predicted = rng.uniform(size=500), np.repeat([0, 1, 2], [450, 40, 10])
    right = rng.uniform(size=500) < 0.9
    found = class_thresholds(rule, scores, predicted, 4, right).values
    for c in range(3):
        mine = predicted == c
        assert found[c] == threshold(rule, scores[mine], right[mine])[0]
    assert found[3] == (math.inf if rule.startswith("risk") else -math.inf)
    assert class_thresholds("cost", scores, predicted, 4, right).values[3] == threshold("cost", scores, right)[0]


def test_promises_hold_in_simulation():
    """2,000 calibration sets of uniform scores: a score's acceptance is then known exactly."""
    rng = np.random.default_rng(7)
    draws = 2000
    for n in (60, 200):
        ranked = np.sort(rng.uniform(size=(draws, n)), axis=1)
        conformal = 1 - ranked[:, conformal_rank(n, 0.9) - 1]
        assert conformal.mean() > 0.9 - 3 * conformal.std() / math.sqrt(draws)
        pac = 1 - ranked[:, pac_rank(n, 0.9, 0.1) - 1]
        assert (pac < 0.9).mean() < 0.1 + 3 * math.sqrt(0.1 * 0.9 / draws)
        tpr = 1 - ranked[:, tpr_rank(n, 0.9) - 1]
        assert tpr.mean() < 0.9  # the bias that the docs speak of
    broken, coverage = 0, []
    for _ in range(400):
        scores = rng.uniform(size=500)
        cut = risk_threshold(scores, rng.uniform(size=500) < 0.5 + 0.5 * scores, 0.15, 0.1)
        accepted = 1 - min(cut, 1)  # errors above a cut t: integral of (1 - s) / 2 over (t, 1), over 1 - t
        broken += accepted > 0 and (1 - cut) / 4 > 0.15
        coverage.append(accepted)
    assert np.mean(coverage) > 0.3
    assert broken / 400 < 0.1 + 3 * math.sqrt(0.1 * 0.9 / 400)
