import numpy as np
import pytest
import torch

from ood_toolkit.errors import OutputsError, ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.id_like import LAPT, IDLike

IMAGES, TEXTS = np.array([[1, 0.2, 0], [0.1, 0.1, 1]]), np.array([[1, 0, 0.1], [0, 1, 0.1]])
NEGATIVES = np.array([[0.2, 0.1, 1], [0.1, 0.3, 0.9]])

both = pytest.mark.parametrize("kind", [IDLike, LAPT])


@both
def test_golden_values(kind):
    x = Outputs.from_embeddings(IMAGES, Head.zero_shot(TEXTS, "ab", 10.0, negatives=NEGATIVES))
    assert kind().score(x).numpy() == pytest.approx([0.99922597, 0.00037467], abs=5e-9)


@both
@pytest.mark.parametrize("shape", [(1,), (7,), (4, 5), (2500,)])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_equals_the_slow_formula(make_outputs, kind, shape, temperature):
    x = make_outputs(30)
    rows = torch.randn(*shape, 8, generator=torch.Generator().manual_seed(6))
    x = x.with_head(x.head.with_banks({"negatives": rows}))
    texts = torch.cat([x.head.weight, x.head.bank("negatives").rows]).double().numpy()
    wanted = []
    for row in x.embeddings.double().numpy():
        powers = [np.exp(10 * text @ row / temperature) for text in texts]
        wanted.append(sum(powers[:5]) / sum(powers))
    assert kind(temperature).score(x).numpy() == pytest.approx(wanted, rel=1e-5, abs=0)
    parts = torch.cat([kind(temperature).score(part) for part in x.chunks(7)])
    assert parts.numpy() == pytest.approx(wanted, rel=1e-5, abs=0)


@both
def test_near_one_scores_stay_distinct_at_the_scale_of_clip(kind):
    gaps = np.linspace(0.01, 0.33, 100)
    angle = np.pi / 4 - np.arcsin(gaps / 2**0.5)  # cos - sin = gap
    head = Head.zero_shot([[1.0, 0.0]], ["a"], 100.0, negatives=[[0.0, 1.0]])
    x = Outputs.from_embeddings(np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32), head)
    score = kind().score(x)
    assert bool((score.diff() > 0).all())
    assert float(score[-1]) < 1
    rest = np.exp(-100 * gaps)
    assert (1 - score).numpy() == pytest.approx(rest / (1 + rest), rel=3e-5, abs=3e-16)


@both
def test_wrong_parameters_and_missing_texts(kind):
    with pytest.raises(ScorerError, match=f"{kind.name}: temperature: expected a number above 0, got 0"):
        kind(0)
    with pytest.raises(OutputsError, match="text:negatives: this head holds no such bank"):
        kind().score(Outputs.from_embeddings(IMAGES, Head.zero_shot(TEXTS, "ab")))
    assert kind().prompts is None
