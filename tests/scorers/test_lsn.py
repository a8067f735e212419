import numpy as np
import pytest
import torch

from ood_toolkit.errors import OutputsError, ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.lsn import LSN


def with_opposites(x, *shape, seed=5):
    rows = torch.randn(*shape, x.head.width, generator=torch.Generator().manual_seed(seed))
    return x.with_head(x.head.with_banks({"opposites": rows}))


def slow(x, temperature):
    """max softmax(c) + (1/I) sum_i max_k softmax((1 - c_i) / T)_k, image by image."""
    positives = x.head.weight.double().numpy()
    sets = x.head.bank("opposites").embeddings.double().numpy()
    sets = sets if sets.ndim == 3 else sets[None]
    wanted = []
    for row in x.embeddings.double().numpy():
        powers = [np.exp(text @ row) for text in positives]
        total = max(powers) / sum(powers)
        for texts in sets:
            denied = [np.exp((1 - text @ row) / temperature) for text in texts]
            total += max(denied) / sum(denied) / len(sets)
        wanted.append(total)
    return np.array(wanted)


def test_two_classes_and_one_opposite_each_by_hand():
    # positives 1, 0: e / (e + 1); opposites 0, 1: (1 - c) / 5 = .2, 0: e^.2 / (e^.2 + 1)
    head = Head.zero_shot([[1, 0], [0, 1]], "ab", texts={"opposites": [[[0, 1], [1, 0]]]})
    score = LSN().score(Outputs.from_embeddings([[3.0, 0.0]], head))
    assert score.item() == pytest.approx(0.7310585786 + 0.5498339973, abs=1e-8)


@pytest.mark.parametrize("shape", [(3, 5), (1, 5), (7, 5), (5,)])
@pytest.mark.parametrize("temperature", [0.2, 5.0, 50.0])
def test_equals_the_slow_formula(make_outputs, shape, temperature):
    x = with_opposites(make_outputs(40), *shape)
    wanted = slow(x, temperature)
    assert LSN(temperature).score(x).numpy() == pytest.approx(wanted, rel=1e-6, abs=0)
    parts = torch.cat([LSN(temperature).score(part) for part in x.chunks(7)])
    assert parts.numpy() == pytest.approx(wanted, rel=1e-6, abs=0)


def test_a_bank_of_one_set_may_be_flat(make_outputs):
    flat, deep = with_opposites(make_outputs(10), 5), with_opposites(make_outputs(10), 1, 5)
    assert LSN().score(flat).numpy() == pytest.approx(LSN().score(deep).numpy(), rel=1e-12)


@pytest.mark.parametrize("shape", [(3, 4), (3, 6), (15,), (4,)])
def test_another_number_of_classes_is_refused(make_outputs, shape):
    message = f"lsn: text:opposites: expected 5 texts, one a class, got {shape[-1]}"
    with pytest.raises(ScorerError, match=message):
        LSN().score(with_opposites(make_outputs(6), *shape))


def test_wrong_parameters_and_missing_texts(make_outputs):
    with pytest.raises(ScorerError, match="lsn: temperature: expected a number above 0, got 0"):
        LSN(0)
    with pytest.raises(OutputsError, match="text:opposites: this head holds no such bank"):
        LSN().score(make_outputs(4))
    assert LSN().temperature == 5.0
    assert LSN().prompts is None
