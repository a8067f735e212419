import numpy as np
import pytest
import torch

from ood_toolkit.errors import OutputsError, ScorerError
from ood_toolkit.metrics import auroc
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.variance import Variance


def slow(cosine, temperature):
    """(1/K) sum_k (p_k - 1/K)^2, image by image in float64."""
    wanted = []
    for row in cosine:
        powers = np.exp((row - row.max()) / temperature)
        p = powers / powers.sum()
        wanted.append(sum((each - 1 / len(row)) ** 2 for each in p) / len(row))
    return np.array(wanted)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_golden_values(dtype):
    """The logits of the golden values as cosines: z - mean are [1.5, .5, -.5, -1.5] and so on, at T = 1 / 3."""
    cosine = np.array([[0.6, 0.3, 0.0, -0.3], [0.15, 0.12, 0.09, 0.06]])  # 0.3 times the logits
    rows = np.concatenate([cosine, np.sqrt(1 - (cosine**2).sum(axis=1, keepdims=True))], axis=1)
    x = Outputs.from_embeddings(rows.astype(dtype), Head.zero_shot(np.eye(5)[:4].astype(dtype), "abcd"))
    assert Variance(0.3).score(x).numpy() == pytest.approx([0.05734023, 0.00077840], abs=2e-8)


@pytest.mark.parametrize("temperature", [0.01, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_equals_the_slow_formula(make_outputs, temperature, scale):
    x = make_outputs(scale=scale)
    wanted = slow(x.embeddings.double().numpy() @ x.head.weight.double().numpy().T, temperature)
    found = Variance(temperature).score(x).numpy()
    assert found == pytest.approx(wanted, rel=2e-5 if temperature < 0.1 else 1e-5, abs=0)
    assert slow(x.cosine.double().numpy(), temperature) == pytest.approx(found, rel=2e-6, abs=0)
    parts = torch.cat([Variance(temperature).score(part) for part in x.chunks(7)])
    assert parts.numpy() == pytest.approx(wanted, rel=2e-5 if temperature < 0.1 else 1e-5, abs=0)


def test_a_single_class_and_equal_cosines_have_none():
    one = Outputs.from_embeddings([[1.0, 0.0], [0.6, 0.8]], Head.zero_shot([[1.0, 0.0]], "a"))
    assert Variance().score(one).tolist() == [0, 0]
    same = Outputs.from_embeddings([[1.0, 0.0]], Head.zero_shot([[0.6, 0.8]] * 3, "abc"))
    assert Variance().score(same).item() == pytest.approx(0, abs=1e-14)


def test_real_clip_vectors_equal_the_slow_formula(clip, data):
    texts = np.load(data / "embeddings" / "openai_clip_vit_b32" / "text_imagenet1k_a.npz")
    head = Head.zero_shot(texts["embeddings"], [str(i) for i in range(len(texts["embeddings"]))])
    assert head.classes == 1000
    for x in clip.values():
        x = Outputs.from_embeddings(x.features, head)
        found = Variance().score(x).numpy()
        assert found == pytest.approx(slow(x.cosine.double().numpy(), 1.0), rel=1e-6, abs=0)
        exact = x.features.double().numpy() / np.linalg.norm(x.features.double().numpy(), axis=1, keepdims=True)
        assert found == pytest.approx(slow(exact @ head.weight.double().numpy().T, 1.0), rel=1e-5, abs=0)


def test_real_clip_vectors_give_the_auroc_of_the_slow_formula(clip):
    found = auroc(*(Variance().score(clip[name]) for name in ("cifar10", "food101")))
    wanted = auroc(*(slow(clip[name].cosine.double().numpy(), 1.0) for name in ("cifar10", "food101")))
    assert found == pytest.approx(wanted, abs=1e-5)
    assert found > 0.8


def test_wrong_parameters_and_missing_texts():
    with pytest.raises(ScorerError, match="variance: temperature: expected a number above 0, got 0"):
        Variance(0)
    with pytest.raises(OutputsError, match="cosine: needs zero_shot"):
        Variance().score(Outputs.from_logits([[1.0, 2.0]]))
    assert Variance().prompts.templates == ("a photo of a {}",)
    assert Variance().temperature == 1.0
