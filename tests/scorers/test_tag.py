import numpy as np
import pytest
import torch

from ood_toolkit import score
from ood_toolkit.errors import OutputsError, ScorerError
from ood_toolkit.scorers.gen import GEN
from ood_toolkit.scorers.knn import KNN
from ood_toolkit.scorers.msp import MSP
from ood_toolkit.scorers.tag import TAG


def with_shuffled(x, count, seed=9):
    k, d = x.head.weight.shape
    rows = x.head.weight + 0.5 * torch.randn(count, k, d, generator=torch.Generator().manual_seed(seed))
    return x.with_head(x.head.with_banks({"shuffled": rows}))


def msp(z):
    powers = np.exp(z - z.max())
    return powers.max() / powers.sum()


def energy(z):
    return z.max() + np.log(np.exp(z - z.max()).sum())


def gen(z):
    p = np.sort(np.exp(z - z.max()) / np.exp(z - z.max()).sum())[::-1][:100]
    return -sum((each * (1 - each)) ** 0.1 for each in p)


SLOW = {"msp": msp, "maxlogit": np.max, "energy": energy, "gen": gen}


@pytest.mark.parametrize("base", sorted(SLOW))
@pytest.mark.parametrize(("count", "scale"), [(1, 10.0), (10, 10.0), (3, 1.0)])
def test_is_the_mean_of_the_scores_under_each_order(make_outputs, base, count, scale):
    x = with_shuffled(make_outputs(30, scale=scale), count)
    views = x.head.bank("shuffled").embeddings.double().numpy()
    wanted = []
    for row in x.embeddings.double().numpy():
        wanted.append(sum(SLOW[base](scale * texts @ row) for texts in views) / count)
    found = score(f"tag:base={base}", x)
    assert found == pytest.approx(np.array(wanted), rel=1e-5, abs=1e-6)
    spec = TAG({"msp": MSP(), "gen": GEN()}.get(base, MSP()))
    if spec.base.name == base:
        parts = torch.cat([spec.score(part) for part in x.chunks(7)]).numpy()
        assert parts == pytest.approx(np.array(wanted), rel=1e-5)


def test_takes_msp_unless_told_otherwise(make_outputs):
    x = with_shuffled(make_outputs(20), 4)
    assert TAG().base == MSP()
    assert TAG().score(x).tolist() == TAG(MSP()).score(x).tolist()


def test_the_scale_of_clip_keeps_scores_distinct(make_outputs):
    x = with_shuffled(make_outputs(60, scale=100.0), 5)
    found = TAG().score(x)
    assert len(set(found.tolist())) == 60
    assert bool(torch.isfinite(found).all())


def test_the_paper_s_prompt_and_orders():
    assert TAG().prompts.templates == ("a photo of a {}",)
    assert (TAG().prompts.shuffles, TAG().prompts.seed, TAG().prompts.views) == (10, 0, False)
    assert (TAG(count=4, seed=3).prompts.shuffles, TAG(count=4, seed=3).prompts.seed) == (4, 3)
    assert TAG().needs == {"logits", "zero_shot", "text:shuffled"}


def test_wrong_parameters_and_missing_texts(make_outputs):
    with pytest.raises(ScorerError, match="tag: count: expected a whole number above 0, got 0"):
        TAG(count=0)
    with pytest.raises(ScorerError, match=r"tag: count: expected a whole number above 0, got 2\.5"):
        TAG(count=2.5)
    with pytest.raises(ScorerError, match="tag: knn learns from ID data"):
        TAG(KNN())
    with pytest.raises(OutputsError, match="text:shuffled: this head holds no such bank"):
        TAG().score(make_outputs(4))
