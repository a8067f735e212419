import numpy as np
import pytest
import torch

from ood_toolkit.outputs import Outputs
from ood_toolkit.scorers.entropy import Entropy

A = np.array([[2.0, 1, 0, -1], [0.5, 0.4, 0.3, 0.2]])


def test_golden_values():
    x = Outputs.from_logits(A)
    assert Entropy().score(x).numpy() == pytest.approx([-0.94753696, -1.38007081], abs=5e-9)
    normalised = np.array([-0.94753696, -1.38007081]) / np.log(4)
    assert Entropy(normalised=True).score(x).numpy() == pytest.approx(normalised, abs=5e-9)


def test_equals_the_slow_formula():
    logits = np.random.default_rng(0).normal(0, 4, (200, 6))
    probs = [np.exp(row) / np.exp(row).sum() for row in logits]
    wanted = [sum(p * np.log(p) for p in row) for row in probs]
    assert Entropy().score(Outputs.from_logits(logits)).numpy() == pytest.approx(wanted, rel=1e-10)
    assert Entropy().score(Outputs.from_logits(logits.astype("f4"))).numpy() == pytest.approx(wanted, rel=1e-4)


def test_scores_are_distinct_where_the_softmax_is_one():
    gaps = torch.arange(1.0, 80.0)
    score = Entropy().score(Outputs.from_logits(torch.stack([gaps, 0 * gaps], dim=1)))
    assert bool((score.diff() > 0).all())
    assert float(score.max()) < 0


def test_bounds_are_reached():
    x = Outputs.from_logits([[5.0, 5, 5], [1e6, 0, 0]])
    assert Entropy(normalised=True).score(x).numpy() == pytest.approx([-1, 0])
    assert Entropy(normalised=True).bounds == (-1.0, 0.0)
    assert Entropy().score(x).numpy() == pytest.approx([-np.log(3), 0])
    assert Entropy().bounds is None


def test_one_class_has_no_entropy():
    assert Entropy(normalised=True).score(Outputs.from_logits([[3.0]])).tolist() == [0]
