import numpy as np
import pytest
import torch

from ood_toolkit.api.prompts import WORDNET, Mining
from ood_toolkit.errors import ScorerError
from ood_toolkit.scorers.csp import CSP
from ood_toolkit.scorers.neglabel import NegLabel


@pytest.mark.parametrize("groups", [1, 3, 7])
def test_the_score_is_neglabel_s_on_its_own_negatives(make_outputs, groups):
    x = make_outputs(30)
    unit = x.features.double().numpy() / np.linalg.norm(x.features.double().numpy(), axis=1, keepdims=True)
    size, wanted = 7 // groups, []
    order = torch.randperm(size * groups, generator=torch.Generator().manual_seed(0)).numpy()
    negatives = x.head.bank("negatives").rows.double().numpy()[order]
    for row in unit:
        a = sum(np.exp(10 * text @ row) for text in x.head.weight.double().numpy())
        b = [sum(np.exp(10 * negatives[g * size + j] @ row) for j in range(size)) for g in range(groups)]
        wanted.append(sum(a / (a + each) for each in b) / groups)
    assert CSP(groups).score(x).numpy() == pytest.approx(wanted, rel=1e-5, abs=0)
    assert torch.equal(CSP(groups).score(x), NegLabel(groups).score(x))


def test_the_paper_s_prompts_and_mining():
    prompts = CSP().prompts
    assert prompts.recipe == "mean-then-normalise"
    assert sorted(prompts.templates) == sorted(
        (
            "a close-up photo of the nice {}.",
            "a photo with the nice {}.",
            "a good photo with the nice {}.",
            "a photo of the nice {}.",
            "{}",
            "the {}",
            "the good {}",
            "the nice {}",
        )
    )
    (bank,) = prompts.banks
    assert (bank.name, bank.source, bank.templates, bank.conjugated) == ("negatives", WORDNET, (), True)
    assert bank.adjectives == ("{}", "a nice photo of {}", "a good photo of {}", "a close-up photo of {}")
    assert set(bank.without) == {"noun.person", "noun.quantity", "noun.group", "adj.pert"}
    assert bank.mining == Mining(share=0.15, quantile=0.95, exclude_above=0.95)
    assert CSP(share=0.3).prompts.banks[0].mining == Mining(share=0.3, quantile=0.95, exclude_above=0.95)
    assert (CSP().groups, CSP().temperature) == (100, 1.0)


def test_a_candidate_like_a_class_comes_last_and_is_kept_by_a_large_share():
    """Two classes; of ten candidates one is a class itself. Half of them leave it out, all of them do not."""
    from ood_toolkit.encode.mining import mine_by_kind

    texts = torch.eye(2, 3)
    rows = torch.nn.functional.normalize(torch.tensor([[1.0, 0, 0], *([i / 9, 0, 1.0] for i in range(9))]), dim=1)
    mining = CSP(share=0.5).prompts.banks[0].mining
    kept = [
        mine_by_kind(rows, rows[:0], texts, share, mining.quantile, mining.exclude_above).tolist() for share in (0.5, 1)
    ]
    assert 0 not in kept[0]
    assert kept[1][-1] == 0


def test_wrong_parameters():
    with pytest.raises(ScorerError, match="csp: groups: expected a whole number above 0, got 0"):
        CSP(groups=0)
    with pytest.raises(ScorerError, match="csp: share: expected a number above 0 and at most 1, got 2"):
        CSP(share=2)
