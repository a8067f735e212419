import numpy as np
import pytest

from ood_toolkit.outputs import Outputs
from ood_toolkit.scorers.energy import Energy

pytestmark = pytest.mark.quick

A = np.array([[2.0, 1, 0, -1], [0.5, 0.4, 0.3, 0.2]])


@pytest.mark.parametrize(("temperature", "wanted"), [(1.0, [2.44018970, 1.74253553]), (2.0, [3.57467734, 3.12571262])])
def test_golden_values(temperature, wanted):
    assert Energy(temperature).score(Outputs.from_logits(A)).numpy() == pytest.approx(wanted, abs=5e-9)


@pytest.mark.parametrize("temperature", [0.01, 0.5, 1.0, 7.0, 1000.0])
def test_equals_the_slow_formula(temperature):
    logits = np.random.default_rng(0).normal(0, 2, (200, 6))
    wanted = [temperature * np.log(sum(np.exp(z / temperature) for z in row)) for row in logits]
    assert Energy(temperature).score(Outputs.from_logits(logits)).numpy() == pytest.approx(wanted, rel=1e-10)
    single = Energy(temperature).score(Outputs.from_logits(logits.astype("f4")))
    assert single.numpy() == pytest.approx(wanted, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.01])
def test_huge_logits_are_finite(temperature):
    score = Energy(temperature).score(Outputs.from_logits([[1e30, 0.0], [-1e30, -1e30]]))
    assert score.numpy() == pytest.approx([1e30, -1e30])
