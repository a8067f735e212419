import numpy as np
import pytest
import torch

from ood_toolkit.errors import OutputsError, ScorerError
from ood_toolkit.metrics import auroc
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.mcm import MCM
from ood_toolkit.scorers.msp import MSP

IMAGES, TEXTS = np.array([[1, 0.2, 0], [0.1, 0.1, 1]]), np.array([[1, 0, 0.1], [0, 1, 0.1]])


@pytest.mark.parametrize("scale", [1.0, 10.0, 100.0])
def test_golden_values_whatever_the_scale(scale):
    x = Outputs.from_embeddings(IMAGES, Head.zero_shot(TEXTS, "ab", scale, bias=-3.0))
    assert MCM().score(x).numpy() == pytest.approx([0.68580325, 0.5], abs=5e-9)


@pytest.mark.parametrize("temperature", [0.01, 0.5, 1.0, 3.0])
def test_equals_the_slow_formula(make_outputs, temperature):
    x = make_outputs()
    cosine = x.cosine.double().numpy()
    wanted = [max(np.exp(row / temperature) / np.exp(row / temperature).sum()) for row in cosine]
    assert MCM(temperature).score(x).numpy() == pytest.approx(wanted, rel=1e-5)


def test_is_msp_at_the_inverse_of_the_scale(make_outputs):
    x = make_outputs(scale=50.0)
    assert MCM(1 / 50).score(x).numpy() == pytest.approx(MSP().score(x).numpy(), rel=1e-5)


def test_neighbouring_cosines_stay_distinct_from_half_precision_storage():
    head = Head.zero_shot(torch.eye(3), "abc")
    features = torch.tensor([[1.0, step / 512, 0.3] for step in range(30)]).half()
    assert len(set(MCM().score(Outputs.from_embeddings(features, head)).tolist())) == 30


def test_a_small_temperature_does_not_saturate():
    head = Head.zero_shot(torch.eye(2), "ab")
    angles = torch.linspace(0.55, 0.65, 40)
    x = Outputs.from_embeddings(torch.stack([angles.cos(), angles.sin()], dim=1), head)
    score = MCM(0.01).score(x)
    assert bool((score.diff() < 0).all())
    assert float(score.max()) < 1


def test_needs_texts():
    with pytest.raises(OutputsError, match="cosine: needs zero_shot"):
        MCM().score(Outputs.from_logits([[1.0, 2.0]]))
    with pytest.raises(ScorerError, match="mcm: temperature: expected a number above 0, got 0"):
        MCM(0)


def test_real_clip_vectors_give_the_known_auroc(clip):
    found = auroc(MCM().score(clip["cifar10"]), MCM().score(clip["food101"]))
    assert found == pytest.approx(0.9182, abs=1e-4)
