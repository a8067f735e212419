import numpy as np
import pytest
import torch

from ood_toolkit.api.registry import get_registry
from ood_toolkit.errors import ScorerError
from ood_toolkit.metrics import auroc
from ood_toolkit.outputs import Outputs
from ood_toolkit.scorers.doctor import Doctor


def slow(logits, temperature):
    """Each image by itself: the chance that two draws of the softmax differ, over the chance that they agree."""
    scores = []
    for row in logits / temperature:
        p = np.exp(row - row.max()) / np.exp(row - row.max()).sum()
        differ = sum(p[i] * p[j] for i in range(len(p)) for j in range(len(p)) if i != j)
        scores.append(-differ / sum(q * q for q in p))
    return scores


@pytest.mark.parametrize("temperature", [None, 0.5, 3.0])
def test_equals_the_slow_formula(temperature):
    logits = np.random.default_rng(0).normal(0, 4, (100, 6))
    scorer = Doctor() if temperature is None else Doctor(temperature)
    wanted = slow(logits, temperature or 1.0)
    assert scorer.score(Outputs.from_logits(logits)).numpy() == pytest.approx(wanted, rel=1e-10)
    assert scorer.score(Outputs.from_logits(logits.astype("f4"))).numpy() == pytest.approx(wanted, rel=1e-4)


def test_golden_values():
    """Half and half: odds 1. Three quarters and one: (1 - 10/16) / (10/16). All alike among four: 3."""
    x = Outputs.from_logits(np.log([[1.0, 1, 1e-300], [3, 1, 1e-300]]))
    assert Doctor().score(x).tolist() == pytest.approx([-1, -0.6], rel=1e-6)
    assert Doctor().score(Outputs.from_logits([[2.0, 2, 2, 2]])).tolist() == pytest.approx([-3])


def test_scores_are_distinct_where_the_softmax_is_one():
    gaps = torch.arange(1.0, 80.0)
    score = Doctor().score(Outputs.from_logits(torch.stack([gaps, 0 * gaps], dim=1)))
    assert bool((score.diff() > 0).all())
    assert float(score.max()) < 0


def test_it_tells_wrong_from_right_on_real_logits(clip):
    """The classes of real vectors, by the formula on float64 probabilities; and it is not the order of `msp`."""
    x = clip["cifar10"]
    p = torch.softmax(x.logits.double(), dim=1).numpy()
    wanted = -(1 - (p**2).sum(axis=1)) / (p**2).sum(axis=1)
    got, right = Doctor().score(x).numpy(), x.right.numpy()
    assert auroc(got[right], got[~right]) == pytest.approx(auroc(wanted[right], wanted[~right]), abs=1e-9)
    assert not np.array_equal(got.argsort(), x.confidence.numpy().argsort())


def test_its_spec_parses_and_parameters_are_checked():
    assert get_registry().scorer("doctor:temperature=1.5") == Doctor(1.5)
    assert Doctor().spec == "doctor"
    with pytest.raises(ScorerError, match="doctor: temperature: expected a number above 0, got 0"):
        Doctor(0)
