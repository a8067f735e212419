import numpy as np
import pytest

from ood_toolkit.api.registry import get_registry
from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.scorers.energy import Energy
from ood_toolkit.scorers.weighted_energy import WeightedEnergy

WEIGHTS = (0.5, 2.0, 0.0, -3.0, 1.0)


@pytest.mark.parametrize("kind", ["f8", "f4"])
def test_equals_the_slow_formula(kind):
    logits = np.random.default_rng(0).normal(0, 5, (200, 5)).astype(kind)
    wanted = [np.log(sum(max(w, 0) * np.exp(float(z)) for w, z in zip(WEIGHTS, row, strict=True))) for row in logits]
    found = WeightedEnergy(WEIGHTS).score(Outputs.from_logits(logits))
    assert found.numpy() == pytest.approx(wanted, rel=1e-5 if kind == "f4" else 1e-10, abs=1e-5 if kind == "f4" else 0)


def test_without_weights_it_is_energy(make_outputs):
    x = make_outputs()
    assert WeightedEnergy().score(x).tolist() == Energy().score(x).tolist()
    assert WeightedEnergy((1.0,) * x.classes).score(x).numpy() == pytest.approx(Energy().score(x).numpy())


def test_the_largest_logit_may_have_no_weight_and_be_huge():
    x = Outputs.from_logits([[1e3, 0, 1e30, 1e30, 1.0], [-1e3, -1e3, 5.0, 5.0, -1e3]])
    wanted = [1e3 + np.log(0.5), -1e3 + np.log(3.5)]
    assert WeightedEnergy(WEIGHTS).score(x).numpy() == pytest.approx(wanted, rel=1e-6)


def test_the_spec_parses_back():
    scorer = get_registry().scorer("weighted-energy:weights=(0.5,2,0,-3,1)")
    assert scorer == WeightedEnergy(WEIGHTS)
    assert get_registry().scorer(scorer.spec) == scorer


@pytest.mark.parametrize("wrong", [(), (0.0, -1.0), ("a", 1.0), (float("nan"), 1.0)])
def test_weights_that_are_none_are_refused(wrong):
    with pytest.raises(ScorerError, match="weights: expected numbers, one a class, some above 0"):
        WeightedEnergy(wrong)


def test_as_many_weights_as_classes():
    with pytest.raises(ScorerError, match="weights: expected 2, one a class, got 5"):
        WeightedEnergy(WEIGHTS).score(Outputs.from_logits([[1.0, 2.0]]))
