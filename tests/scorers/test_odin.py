import numpy as np
import pytest

from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.scorers.odin import ODIN

A = np.array([[2.0, 1, 0, -1], [0.5, 0.4, 0.3, 0.2]])


def test_golden_values():
    assert ODIN().score(Outputs.from_logits(A)).numpy() == pytest.approx([0.25037512, 0.25003750], abs=5e-9)


@pytest.mark.parametrize("temperature", [1.0, 10.0, 1000.0])
def test_equals_the_slow_formula(temperature):
    logits = np.random.default_rng(0).normal(0, 8, (200, 20))
    wanted = [max(np.exp(z / temperature) for z in row) / sum(np.exp(z / temperature) for z in row) for row in logits]
    assert ODIN(temperature).score(Outputs.from_logits(logits)).numpy() == pytest.approx(wanted, rel=1e-10)
    single = ODIN(temperature).score(Outputs.from_logits(logits.astype("f4")))
    assert single.numpy() == pytest.approx(wanted, rel=1e-6)


def test_a_high_temperature_ranks_by_the_largest_logit_over_the_mean():
    logits = np.random.default_rng(0).normal(0, 3, (300, 20))
    wanted = np.argsort(logits.max(axis=1) - logits.mean(axis=1))
    assert (np.argsort(ODIN(1e6).score(Outputs.from_logits(logits)).numpy()) == wanted).all()


def test_a_temperature_of_zero_is_refused():
    with pytest.raises(ScorerError, match="odin: temperature: expected a number above 0, got 0"):
        ODIN(0)
