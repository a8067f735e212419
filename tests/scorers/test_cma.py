import numpy as np
import pytest
import torch

from ood_toolkit.api.prompts import WORDNET, Mining
from ood_toolkit.errors import OutputsError, ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.cma import CMA, CMAMCM

IMAGES, TEXTS = np.array([[1, 0.2, 0], [0.1, 0.1, 1]]), np.array([[1, 0, 0.1], [0, 1, 0.1]])
NEGATIVES = np.array([[0.2, 0.1, 1], [0.1, 0.3, 0.9]])


def test_golden_values():
    x = Outputs.from_embeddings(IMAGES, Head.zero_shot(TEXTS, "ab", 10.0, negatives=NEGATIVES))
    assert CMA().score(x).numpy() == pytest.approx([0.99922597, 0.00037467], abs=5e-9)
    assert CMAMCM().score(x).numpy() == pytest.approx([0.68580325, 0.5], abs=5e-9)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
def test_equals_the_sum_of_the_softmax_over_the_classes(make_outputs, temperature):
    x = make_outputs(40)
    texts = torch.cat([x.head.weight, x.head.bank("negatives").rows]).double().numpy()
    wanted = []
    for row in x.embeddings.double().numpy():
        powers = [np.exp(10 * text @ row / temperature) for text in texts]
        wanted.append(sum(powers[:5]) / sum(powers))
    assert CMA(temperature=temperature).score(x).numpy() == pytest.approx(wanted, rel=1e-5, abs=0)
    chunks = torch.cat([CMA(temperature=temperature).score(part) for part in x.chunks(9)])
    assert chunks.numpy() == pytest.approx(wanted, rel=1e-5, abs=0)


def test_its_mcm_takes_the_cosines_as_they_are(make_outputs):
    x = make_outputs(40, scale=100.0, bias=-3.0)
    cosine = x.embeddings.double().numpy() @ x.head.weight.double().numpy().T
    wanted = [np.exp(row).max() / np.exp(row).sum() for row in cosine]
    assert CMAMCM().score(x).numpy() == pytest.approx(wanted, rel=1e-5)


def test_the_paper_s_prompts():
    assert CMA().prompts.templates == ("The nice {}",)
    assert CMAMCM().prompts.templates == ("The nice {}",)
    (bank,) = CMA().prompts.banks
    assert (bank.name, bank.source, bank.adjectives) == ("negatives", WORDNET, ("This is a {} photo",))
    assert bank.mining == Mining(share=0.15)
    assert (CMA().groups, CMA().temperature, CMAMCM().temperature) == (1, 1.0, 1.0)


def test_wrong_parameters_and_missing_texts():
    with pytest.raises(ScorerError, match="cma: temperature: expected a number above 0, got 0"):
        CMA(temperature=0)
    with pytest.raises(ScorerError, match="cma-mcm: temperature: expected a number above 0, got -1"):
        CMAMCM(-1)
    with pytest.raises(OutputsError, match="text:negatives: this head holds no such bank"):
        CMA().score(Outputs.from_embeddings(IMAGES, Head.zero_shot(TEXTS, "ab")))
