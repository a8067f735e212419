import numpy as np
import pytest

from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.scorers.gen import GEN

A = np.array([[2.0, 1, 0, -1], [0.5, 0.4, 0.3, 0.2]])


def slow(logits, gamma, m):
    """Loops in float64, 1 - p as the sum of the other probabilities."""
    found = []
    for row in logits:
        e = sorted((np.exp(z - row.max()) for z in row), reverse=True)
        total, terms = sum(e), []
        for place, part in enumerate(e[:m]):
            rest = sum(e[:place]) + sum(e[place + 1 :])
            terms.append((part / total) ** gamma * (rest / total) ** gamma)
        found.append(-sum(terms))
    return found


@pytest.mark.parametrize(("m", "wanted"), [(4, [-3.18880226, -3.38120098]), (2, [-1.70583120, -1.70188012])])
def test_golden_values(m, wanted):
    assert GEN(m=m).score(Outputs.from_logits(A)).numpy() == pytest.approx(wanted, abs=5e-9)
    assert GEN(m=100).score(Outputs.from_logits(A)).numpy() == pytest.approx([-3.18880226, -3.38120098], abs=5e-9)


@pytest.mark.parametrize("gamma", [0.01, 0.1, 0.5, 1.0, 5.0])
@pytest.mark.parametrize("m", [1, 3, 19, 20, 100])
def test_equals_the_slow_formula(gamma, m):
    logits = np.random.default_rng(0).normal(0, 8, (150, 20))
    wanted = slow(logits, gamma, m)
    assert GEN(gamma, m).score(Outputs.from_logits(logits)).numpy() == pytest.approx(wanted, rel=1e-9)
    single = logits.astype("f4")
    wanted = slow(single.astype("f8"), gamma, m)
    assert GEN(gamma, m).score(Outputs.from_logits(single)).numpy() == pytest.approx(wanted, rel=1e-5)


def test_images_that_float32_would_call_certain_stay_apart():
    logits = np.array([[0.0, -20, -40], [0.0, -30, -40], [0.0, -39, -80]], dtype="f4")
    assert GEN().score(Outputs.from_logits(logits)).numpy() == pytest.approx(
        slow(logits.astype("f8"), 0.1, 3), rel=1e-6
    )


def test_extremes_are_finite():
    assert GEN().score(Outputs.from_logits([[1e30, 0.0], [3.0, 3.0]])).numpy() == pytest.approx(
        slow(np.array([[1e3, 0], [3, 3]]), 0.1, 2)
    )
    assert GEN().score(Outputs.from_logits([[7.0]])).tolist() == [0.0]


@pytest.mark.parametrize("wrong", [{"gamma": 0.0}, {"m": 0}, {"m": 1.5}])
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(ScorerError, match="above 0"):
        GEN(**wrong)
