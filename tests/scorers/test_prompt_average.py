import numpy as np
import pytest

from ood_toolkit import score
from ood_toolkit.api.registry import get_registry
from ood_toolkit.errors import ScorerError, SpecError
from ood_toolkit.scorers.knn import KNN
from ood_toolkit.scorers.prompt_average import PromptAverage, averaged


def test_the_mean_over_templates_by_hand(make_outputs):
    x = make_outputs(30)
    views = x.head.bank("prompts").embeddings.double().numpy()  # (p, k, d)
    features = x.features.double().numpy()
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    logits = 10 * np.einsum("nd,pkd->pnk", unit, views)
    shifted = np.exp(logits - logits.max(axis=2, keepdims=True))
    wanted = (shifted.max(axis=2) / shifted.sum(axis=2)).mean(axis=0)
    np.testing.assert_allclose(score("prompt-average", x), wanted, rtol=1e-5)
    energy = np.log(np.exp(logits).sum(axis=2)).mean(axis=0)
    np.testing.assert_allclose(score("prompt-average:base=energy", x), energy, rtol=1e-5)


def test_a_score_that_learns_is_refused():
    with pytest.raises(ScorerError, match="prompt-average: knn learns from ID data; take a score that needs no"):
        PromptAverage(KNN())


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("msp", "prompt-average"),
        ("energy:temperature=2.0", "prompt-average:base=(energy:temperature=2.0)"),
        ("classwise", "classwise:base=prompt-average"),
        ("prompt-average", "prompt-average"),
    ],
)
def test_averaging_goes_inside_thresholds(spec, wanted):
    assert averaged(get_registry().scorer(spec)) == get_registry().scorer(wanted)


def test_an_unknown_base_is_told():
    with pytest.raises(SpecError, match="unknown scorer 'mspp'"):
        get_registry().scorer("prompt-average:base=mspp")
