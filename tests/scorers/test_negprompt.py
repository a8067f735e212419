import numpy as np
import pytest
import torch

from ood_toolkit.errors import OutputsError, ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.negprompt import NegPrompt


def with_negatives(x, *shape, seed=4):
    rows = torch.randn(*shape, x.head.width, generator=torch.Generator().manual_seed(seed))
    return x.with_head(x.head.with_banks({"negatives": rows}))


def slow(x, temperature):
    """max_k p_k, p the softmax over the cosines with K classes and all negatives, image by image."""
    texts = torch.cat([x.head.weight, x.head.bank("negatives").rows]).double().numpy()
    wanted = []
    for row in x.embeddings.double().numpy():
        powers = [np.exp(text @ row / temperature) for text in texts]
        wanted.append(max(powers[: x.head.classes]) / sum(powers))
    return np.array(wanted)


def test_two_classes_and_two_negatives_by_hand():
    # cosines 0.8, 0.6 with the classes and 0, 1 with the negatives: e^.8 / (e^.8 + e^.6 + 1 + e)
    head = Head.zero_shot([[1, 0, 0], [0, 1, 0]], "ab", 50.0, negatives=[[0, 0, 1], [0.8, 0.6, 0]])
    score = NegPrompt().score(Outputs.from_embeddings([[0.8, 0.6, 0.0]], head))
    assert score.item() == pytest.approx(2.2255409 / (2.2255409 + 1.8221188 + 1 + 2.7182818), rel=1e-7)


@pytest.mark.parametrize("shape", [(1,), (10,), (2, 5), (2500,)])
@pytest.mark.parametrize("temperature", [0.05, 1.0, 3.0])
def test_equals_the_slow_formula(make_outputs, shape, temperature):
    x = with_negatives(make_outputs(30), *shape)
    wanted = slow(x, temperature)
    assert NegPrompt(temperature).score(x).numpy() == pytest.approx(wanted, rel=1e-5, abs=0)
    parts = torch.cat([NegPrompt(temperature).score(part) for part in x.chunks(7)])
    assert parts.numpy() == pytest.approx(wanted, rel=1e-5, abs=0)


def test_the_scale_of_the_model_plays_no_part(make_outputs):
    few, many = (NegPrompt().score(with_negatives(make_outputs(scale=scale), 9)) for scale in (1.0, 100.0))
    assert torch.equal(few, many)


def test_a_small_temperature_does_not_saturate():
    gaps = np.linspace(0.01, 0.25, 100)
    angle = np.pi / 4 - np.arcsin(gaps / 2**0.5)  # cos - sin = gap
    head = Head.zero_shot([[1.0, 0.0]], ["a"], negatives=[[0.0, 1.0]])
    x = Outputs.from_embeddings(np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32), head)
    score = NegPrompt(0.01).score(x)
    assert bool((score.diff() > 0).all())
    assert float(score[-1]) < 1
    rest = np.exp(-100 * gaps)
    assert (1 - score).numpy() == pytest.approx(rest / (1 + rest), rel=3e-5, abs=5e-14)


def test_wrong_parameters_and_missing_texts(make_outputs):
    with pytest.raises(ScorerError, match="negprompt: temperature: expected a number above 0, got 0"):
        NegPrompt(0)
    x = make_outputs(4)
    with pytest.raises(OutputsError, match="text:negatives: this head holds no such bank"):
        NegPrompt().score(Outputs.from_embeddings(x.features, Head.zero_shot(x.head.weight, "abcde")))


def test_the_texts_are_learned_so_that_no_prompts_are_declared():
    assert NegPrompt().prompts is None
    assert NegPrompt().temperature == 1.0
