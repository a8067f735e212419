import numpy as np
import pytest
import torch

from ood_toolkit.errors import OutputsError, ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.eoe import EOE
from ood_toolkit.scorers.negprompt import NegPrompt

IMAGES, TEXTS = np.array([[1, 0.2, 0], [0.1, 0.1, 1]]), np.array([[1, 0, 0.1], [0, 1, 0.1]])
OUTLIERS = np.array([[0.2, 0.1, 1], [0.1, 0.3, 0.9]])


def with_outliers(x, *shape, seed=3):
    rows = torch.randn(*shape, x.head.width, generator=torch.Generator().manual_seed(seed))
    return x.with_head(x.head.with_banks({"outliers": rows}))


def slow(x, beta, temperature):
    """max_{k<=K} p_k - beta max_{j>K} p_j with p the softmax over the K + L cosines, image by image."""
    classes = x.head.classes
    texts = torch.cat([x.head.weight, x.head.bank("outliers").rows]).double().numpy()
    wanted = []
    for row in x.embeddings.double().numpy():
        cosine = np.array([text @ row for text in texts]) / temperature
        p = np.exp(cosine - cosine.max())
        p /= p.sum()
        wanted.append(max(p[:classes]) - beta * max(p[classes:]))
    return np.array(wanted)


@pytest.mark.parametrize("scale", [1.0, 10.0, 100.0])
def test_golden_values_whatever_the_scale(scale):
    x = Outputs.from_embeddings(IMAGES, Head.zero_shot(TEXTS, "ab", scale, -2.0, texts={"outliers": OUTLIERS}))
    assert EOE().score(x).numpy() == pytest.approx([0.37322701, 0.06946785], abs=5e-9)


@pytest.mark.parametrize("shape", [(1,), (9,), (3, 5)])
@pytest.mark.parametrize("beta", [0, 0.25, 2.0])
@pytest.mark.parametrize("temperature", [0.05, 1.0, 4.0])
def test_equals_the_slow_formula(make_outputs, shape, beta, temperature):
    x = with_outliers(make_outputs(40), *shape)
    wanted = slow(x, beta, temperature)
    scale = 1e-5 * np.abs(wanted).mean()  # differences may cancel
    assert EOE(beta, temperature).score(x).numpy() == pytest.approx(wanted, rel=1e-5, abs=scale)
    parts = torch.cat([EOE(beta, temperature).score(part) for part in x.chunks(11)])
    assert parts.numpy() == pytest.approx(wanted, rel=1e-5, abs=scale)


def test_without_beta_only_the_denominator_knows_the_outliers(make_outputs):
    x = with_outliers(make_outputs(40), 7)
    other = x.with_head(x.head.with_banks({"negatives": x.head.bank("outliers").rows}))
    assert EOE(0).score(x).numpy() == pytest.approx(NegPrompt().score(other).numpy(), rel=1e-6)


def test_a_small_temperature_does_not_saturate():
    gaps = np.linspace(0.01, 0.25, 100)
    angle = np.pi / 4 - np.arcsin(gaps / 2**0.5)  # cos - sin = gap
    head = Head.zero_shot([[1.0, 0.0]], ["a"], texts={"outliers": [[0.0, 1.0]]})
    x = Outputs.from_embeddings(np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32), head)
    score = EOE(temperature=0.01).score(x)
    assert bool((score.diff() > 0).all())
    assert float(score[-1]) < 1
    rest = np.exp(-100 * gaps)
    assert (1 - score).numpy() == pytest.approx(1.25 * rest / (1 + rest), rel=3e-5, abs=5e-14)


@pytest.mark.parametrize("beta", [-0.1, float("nan"), float("inf"), "much"])
def test_wrong_parameters(beta):
    with pytest.raises(ScorerError, match="eoe: beta: expected a number of at least 0, got"):
        EOE(beta)
    with pytest.raises(ScorerError, match="eoe: temperature: expected a number above 0, got 0"):
        EOE(temperature=0)


def test_needs_outliers_which_the_user_gives(make_outputs):
    with pytest.raises(OutputsError, match="text:outliers: this head holds no such bank"):
        EOE().score(make_outputs(4))
    prompts = EOE().prompts
    assert prompts.templates == ("a photo of a {}",)
    assert [(bank.name, bank.source, bank.mining) for bank in prompts.banks] == [("outliers", "", None)]
    assert (EOE().beta, EOE().temperature) == (0.25, 1.0)
