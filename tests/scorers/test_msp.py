import numpy as np
import pytest
import torch

from ood_toolkit.metrics import auroc
from ood_toolkit.outputs import Outputs
from ood_toolkit.scorers.msp import MSP

pytestmark = pytest.mark.quick


def test_golden_values():
    x = Outputs.from_logits(np.array([[2.0, 1, 0, -1], [0.5, 0.4, 0.3, 0.2]]))
    assert MSP().score(x).numpy() == pytest.approx([0.64391426, 0.28865141], abs=5e-9)


def test_equals_the_slow_softmax():
    logits = np.random.default_rng(0).normal(0, 5, (300, 7))
    wanted = [max(np.exp(row) / np.exp(row).sum()) for row in logits]
    assert MSP().score(Outputs.from_logits(logits)).numpy() == pytest.approx(wanted, rel=1e-12)
    assert MSP().score(Outputs.from_logits(logits.astype("f4"))).numpy() == pytest.approx(wanted, rel=1e-5)


def test_scores_are_distinct_until_the_complement_is_1e_16():
    gaps = torch.linspace(5, 36, 32)
    logits = torch.stack([gaps + 60, torch.full_like(gaps, 60.0), torch.full_like(gaps, -50.0)], dim=1)
    score = MSP().score(Outputs.from_logits(logits))
    assert score.dtype == torch.float64
    assert bool((score.diff() > 0).all())
    assert float(score.max()) < 1


@pytest.mark.parametrize("size", [1e3, 1e6, 1e30])
def test_huge_logits_are_sure_or_at_chance(size):
    x = Outputs.from_logits([[size, 0.0, -size], [size, size, size]])
    assert MSP().score(x).numpy() == pytest.approx([1, 1 / 3])


def test_one_class_is_certain():
    assert MSP().score(Outputs.from_logits([[3.0], [-5.0]])).tolist() == [1, 1]


def test_real_clip_vectors_give_the_known_auroc(clip):
    found = auroc(MSP().score(clip["cifar10"]), MSP().score(clip["food101"]))
    assert found == pytest.approx(0.9022, abs=1e-4)
