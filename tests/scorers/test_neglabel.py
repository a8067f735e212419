import math

import numpy as np
import pytest
import torch

from ood_toolkit.api.prompts import WORDNET, Mining
from ood_toolkit.errors import OutputsError, ScorerError
from ood_toolkit.metrics import auroc
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.neglabel import NegLabel

IMAGES, TEXTS = np.array([[1, 0.2, 0], [0.1, 0.1, 1]]), np.array([[1, 0, 0.1], [0, 1, 0.1]])
NEGATIVES = np.array([[0.2, 0.1, 1], [0.1, 0.3, 0.9]])


def unit(rows):
    rows = np.asarray(rows, dtype=np.float64)
    return rows / np.sqrt((rows**2).sum(axis=-1, keepdims=True))


def slow(images, classes, negatives, scale, groups, temperature=1.0, seed=0):
    """S = (1/G) sum_g sum_k e^z_k / (sum_k e^z_k + sum_{j in g} e^z~_j), image by image and group by group."""
    groups = min(groups, len(negatives))
    size = len(negatives) // groups
    order = torch.randperm(size * groups, generator=torch.Generator().manual_seed(seed)).tolist()
    inside = unit(images) @ unit(classes).T * scale / temperature
    outside = unit(images) @ unit(negatives).T * scale / temperature
    scores = []
    for z, other in zip(inside, outside, strict=True):
        top = max(z.max(), other.max())
        a = np.exp(z - top).sum()
        terms = []
        for g in range(groups):
            b = np.exp(other[order[g * size : (g + 1) * size]] - top).sum()
            terms.append(a / (a + b))
        scores.append(math.fsum(terms) / groups)
    return np.array(scores)


def random_outputs(n, k, m, d=16, scale=10.0, seed=0, bank_shape=None, dtype=torch.float64):
    draw = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.randn(*shape, generator=draw, dtype=torch.float64).to(dtype)

    bank = random(*(bank_shape or (m,)), d)
    head = Head.zero_shot(random(k, d), [str(i) for i in range(k)], scale, negatives=bank)
    return Outputs.from_embeddings(random(n, d), head)


def slow_of(x, groups, temperature=1.0, seed=0):
    negatives = x.head.bank("negatives").rows
    return slow(x.features, x.head.weight, negatives, x.head.scale, groups, temperature, seed)


@pytest.mark.parametrize(("groups", "wanted"), [(1, [0.99922597, 0.00037467]), (2, [0.99961284, 0.00075626])])
def test_golden_values(groups, wanted):
    x = Outputs.from_embeddings(IMAGES, Head.zero_shot(TEXTS, "ab", 10.0, negatives=NEGATIVES))
    assert NegLabel(groups).score(x).numpy() == pytest.approx(wanted, abs=5e-9)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("groups", [1, 2, 4, 5, 8, 20])
@pytest.mark.parametrize("seed", [0, 7])
def test_equals_the_slow_formula(groups, temperature, seed):
    x = random_outputs(40, 6, 20)
    found = NegLabel(groups, temperature, seed=seed).score(x).numpy()
    assert found == pytest.approx(slow_of(x, groups, temperature, seed), rel=1e-9, abs=0)


@pytest.mark.parametrize("scale", [1.0, 10.0, 50.0, 100.0])
@pytest.mark.parametrize("groups", [1, 10, 100])
def test_single_precision_costs_what_the_rounding_of_a_cosine_times_the_scale_does(groups, scale):
    x = random_outputs(100, 10, 1000, d=64, scale=scale, dtype=torch.float32)
    found, wanted = NegLabel(groups).score(x).numpy(), slow_of(x, groups)
    assert found == pytest.approx(wanted, rel=0, abs=3e-8 * max(10, scale))
    assert found == pytest.approx(wanted, rel=max(1e-6, 3e-7 * scale), abs=0)


@pytest.mark.parametrize(("m", "groups"), [(23, 5), (23, 10), (101, 100), (7, 6), (5037, 100), (5037, 3), (4099, 2)])
def test_what_no_group_has_room_for_is_left_out(m, groups):
    x = random_outputs(12, 4, m)
    found = NegLabel(groups).score(x).numpy()
    assert found == pytest.approx(slow_of(x, groups), rel=1e-6, abs=0)


@pytest.mark.parametrize("m", [1, 2, 9])
def test_fewer_negatives_than_groups_make_one_group_each(m):
    x = random_outputs(15, 4, m)
    found = NegLabel().score(x).numpy()
    assert found == pytest.approx(slow_of(x, m), rel=1e-6, abs=0)
    assert found == pytest.approx(NegLabel(m).score(x).numpy(), rel=1e-12)


def test_one_group_is_the_sum_of_the_softmax_over_the_classes():
    x = random_outputs(30, 6, 50)
    texts = np.vstack([unit(x.head.weight), unit(x.head.bank("negatives").rows)])
    logits = 10 * unit(x.features) @ texts.T
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    assert NegLabel(1).score(x).numpy() == pytest.approx(powers[:, :6].sum(axis=1) / powers.sum(axis=1), rel=1e-6)


def test_the_seed_changes_the_score_a_little():
    x = random_outputs(50, 6, 1000)
    first, again, other = (NegLabel(seed=seed).score(x) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    apart = (first - other).abs()
    assert 0 < float(apart.max()) < 0.05
    assert float(apart.mean()) < 0.01
    assert NegLabel(1, seed=0).score(x).numpy() == pytest.approx(NegLabel(1, seed=1).score(x).numpy(), rel=1e-6)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_bank_of_prompt_sets_counts_row_by_row(groups):
    x = random_outputs(20, 4, 12, bank_shape=(3, 4))
    assert x.head.bank("negatives").embeddings.ndim == 3
    assert NegLabel(groups).score(x).numpy() == pytest.approx(slow_of(x, groups), rel=1e-6, abs=0)


def test_chunks_give_what_the_whole_gives(monkeypatch):
    x = random_outputs(600, 6, 230)
    whole = NegLabel(10).score(x).numpy()
    parts = torch.cat([NegLabel(10).score(part) for part in x.chunks(7)]).numpy()
    assert parts == pytest.approx(whole, rel=2e-6, abs=0)
    monkeypatch.setattr("ood_toolkit.outputs.derived.CHUNK_BYTES", 0)
    assert NegLabel(10).score(x).numpy() == pytest.approx(whole, rel=2e-6, abs=0)
    assert whole == pytest.approx(slow_of(x, 10), rel=2e-6, abs=0)


def test_near_one_scores_stay_distinct_at_the_scale_of_clip():
    gaps = np.linspace(0.01, 0.33, 200)
    angle = np.pi / 4 - np.arcsin(gaps / 2**0.5)  # cos - sin = gap
    head = Head.zero_shot([[1.0, 0.0]], ["a"], 100.0, negatives=[[0.0, 1.0]] * 4)
    x = Outputs.from_embeddings(np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32), head)
    score = NegLabel(2).score(x)
    assert score.dtype == torch.float64
    assert bool((score.diff() > 0).all())
    assert float(score[-1]) < 1
    rest = 2 * np.exp(-100 * gaps)  # two negatives a group; falls to 1e-14
    assert (1 - score).numpy() == pytest.approx(rest / (1 + rest), rel=3e-5, abs=3e-16)


@pytest.mark.parametrize("scale", [1e3, 1e5])
def test_extreme_scales_stay_finite(scale):
    x = random_outputs(50, 4, 30, scale=scale)
    assert bool(torch.isfinite(NegLabel(7).score(x)).all())
    assert bool(((NegLabel(7).score(x) >= 0) & (NegLabel(7).score(x) <= 1)).all())


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"groups": 0}, "neglabel: groups: expected a whole number above 0, got 0"),
        ({"groups": 2.5}, "neglabel: groups: expected a whole number above 0, got 2.5"),
        ({"groups": True}, "neglabel: groups: expected a whole number above 0, got True"),
        ({"temperature": 0}, "neglabel: temperature: expected a number above 0, got 0"),
        ({"temperature": float("nan")}, "neglabel: temperature: expected a number above 0, got nan"),
        ({"share": 0}, "neglabel: share: expected a number above 0 and at most 1, got 0"),
        ({"share": 1.5}, "neglabel: share: expected a number above 0 and at most 1, got 1.5"),
        ({"share": float("nan")}, "neglabel: share: expected a number above 0 and at most 1, got nan"),
    ],
)
def test_wrong_parameters(parameters, message):
    with pytest.raises(ScorerError, match=message):
        NegLabel(**parameters)


def test_needs_negatives():
    x = random_outputs(3, 2, 4)
    with pytest.raises(OutputsError, match="text:negatives: this head holds no such bank"):
        NegLabel().score(Outputs.from_embeddings(x.features, Head.zero_shot(x.head.weight, "ab")))
    with pytest.raises(ScorerError, match="needs zero_shot"):
        NegLabel().score(Outputs.from_logits([[1.0, 2.0]]))


def test_the_paper_s_prompts_and_mining():
    prompts = NegLabel(share=0.2).prompts
    assert (prompts.templates, prompts.recipe) == (("the nice {}",), "normalise-sum-normalise")
    (bank,) = prompts.banks
    assert (bank.name, bank.source, bank.conjugated, bank.without) == ("negatives", WORDNET, False, ())
    assert (bank.templates, bank.adjectives) == ((), ("This is a {} photo",))
    assert bank.mining == Mining(share=0.2, quantile=0.95, exclude_above=None)
    assert (NegLabel().groups, NegLabel().temperature, NegLabel().share) == (100, 1.0, 0.15)


@pytest.fixture(scope="module")
def real(data, clip):
    """CIFAR-10 (ID) and Food-101 (OOD) with all 1,203 LVIS names as negatives."""
    texts = np.load(data / "embeddings" / "openai_clip_vit_b32" / "text_lvis1203_a.npz")
    head = clip["cifar10"].head.with_banks({"negatives": texts["embeddings"]})
    return {name: x.with_head(head) for name, x in clip.items()}


@pytest.mark.parametrize("groups", [1, 12, 100])
def test_real_clip_vectors_equal_the_slow_formula(real, groups):
    for x in real.values():
        wanted = slow_of(x, groups)
        assert NegLabel(groups).score(x).numpy() == pytest.approx(wanted, rel=0, abs=1e-6)
        assert NegLabel(groups).score(x).numpy() == pytest.approx(wanted, rel=2e-5, abs=0)
        assert NegLabel(groups).score(doubled(x)).numpy() == pytest.approx(wanted, rel=1e-6, abs=0)


def doubled(x):
    """Give the same numbers in double precision."""
    head = Head.zero_shot(
        x.head.weight.double(), x.class_names, x.head.scale, negatives=x.head.bank("negatives").rows.double()
    )
    return Outputs.from_embeddings(x.features.double(), head)


@pytest.mark.parametrize(("groups", "wanted"), [(1, 0.98706), (12, 0.989048), (100, 0.982476)])
def test_real_clip_vectors_give_the_auroc_of_the_slow_formula(real, groups, wanted):
    inside, outside = (NegLabel(groups).score(real[name]) for name in ("cifar10", "food101"))
    assert auroc(inside, outside) == pytest.approx(wanted, abs=1e-4)
    assert auroc(slow_of(real["cifar10"], groups), slow_of(real["food101"], groups)) == pytest.approx(wanted, abs=1e-4)


def test_real_scores_have_no_ties(real):
    score = NegLabel().score(real["cifar10"])
    assert len(set(score.tolist())) == len(score)
    assert float(score.min()) > 0
    assert float(score.max()) < 1
