import numpy as np
import pytest
import torch

import ood_toolkit
from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.adaneg import AdaNeg
from ood_toolkit.scorers.neglabel import NegLabel
from ood_toolkit.testing import check_scorer

SCALE = 12.0


pytestmark = pytest.mark.usefixtures("one_thread")


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def stream(n=90, k=4, m=9, d=6, seed=0):
    """Make images near class texts, near negatives and between, mixed."""
    rng = np.random.default_rng(seed)
    texts, negatives = unit(rng.normal(size=(k, d))), unit(rng.normal(size=(m, d)))
    near = np.concatenate([texts, negatives])[rng.integers(0, k + m, n)]
    images = near + 0.35 * rng.normal(size=(n, d))
    names = [f"class {i}" for i in range(k)]
    head = Head.zero_shot(texts, names, SCALE, negatives=negatives)
    return Outputs(torch.tensor(images), head=head), unit(images), texts, negatives


def sum_exp(image, rows):
    return sum(np.exp(SCALE * float(image @ row)) for row in rows)


def slow_grouped(image, classes, negatives, groups):
    size = len(negatives) // groups
    known = sum_exp(image, classes)
    terms = [known / (known + sum_exp(image, negatives[g * size : (g + 1) * size])) for g in range(groups)]
    return sum(terms) / groups


def entropy(image, rows):
    p = np.array([np.exp(SCALE * float(image @ row)) for row in rows])
    p /= p.sum()
    return -sum(q * np.log(q) for q in p)


def slow(images, texts, negatives, *, groups, length, batch, middle=0.5, gap=0.5, weight=0.1, seed=0):
    """Score image after image in float64; memory: for each label a list of (entropy, image)."""
    used = len(negatives) - len(negatives) % groups
    order = torch.randperm(used, generator=torch.Generator().manual_seed(seed)).numpy()
    banks = (texts, negatives)
    memory = [[[] for _ in bank] for bank in banks]
    log = {"written": 0, "replaced": 0, "refused": 0}
    scores = []
    for start in range(0, len(images), batch):
        part = images[start : start + batch]
        first = [slow_grouped(v, texts, negatives[order], groups) for v in part]
        for v, s in zip(part, first, strict=True):
            if s > middle + gap * (1 - middle):
                side = 0
            elif s < middle - gap * middle:
                side = 1
            else:
                continue
            held = memory[side][int(np.argmax(banks[side] @ v))]
            own = entropy(v, banks[side])
            if len(held) < length - 1:
                held.append((own, v))
                log["written"] += 1
            else:
                worst = max(range(len(held)), key=lambda i: held[i][0])
                if own < held[worst][0]:
                    held[worst] = (own, v)
                    log["replaced"] += 1
                else:
                    log["refused"] += 1
        proxies = [
            [unit((text + sum(v for _, v in held)) / (1 + len(held))) for text, held in zip(bank, kept, strict=True)]
            for bank, kept in zip(banks, memory, strict=True)
        ]
        shuffled = [proxies[1][i] for i in order]
        scores += [slow_grouped(v, proxies[0], shuffled, groups) + weight * s for v, s in zip(part, first, strict=True)]
    return np.array(scores), log


@pytest.mark.parametrize(("groups", "length", "batch"), [(2, 3, 16), (3, 4, 7), (1, 10, 90), (4, 2, 1)])
def test_equals_the_formula_image_by_image(groups, length, batch):
    x, images, texts, negatives = stream()
    wanted, log = slow(images, texts, negatives, groups=groups, length=length, batch=batch)
    got = AdaNeg(groups=groups, length=length, batch=batch).run(x.chunks(batch), 0)
    assert got.dtype == torch.float64
    np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-5)
    assert log["written"] >= 4
    if length < 5:  # the memory ran over, and both branches of the rule were taken
        assert log["replaced"] > 3
        assert log["refused"] > 3


def test_every_parameter_counts():
    x, images, texts, negatives = stream(seed=3)
    given = {"middle": 0.4, "gap": 0.2, "weight": 0.7}
    wanted, _ = slow(images, texts, negatives, groups=2, length=3, batch=20, seed=5, **given)
    got = AdaNeg(groups=2, length=3, negatives_seed=5, **given).run(x.chunks(20), 0)
    np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-5)
    plain = AdaNeg(groups=2, length=3).run(x.chunks(20), 0)
    assert not np.allclose(got, plain)


def test_without_places_it_is_neglabel_times_one_plus_lambda():
    x, *_ = stream()
    got = AdaNeg(groups=3, length=1).run(x.chunks(10), 0)
    np.testing.assert_allclose(got.numpy(), 1.1 * NegLabel(groups=3).score(x).numpy(), rtol=1e-6)


def test_hand_checked_values_of_the_first_score():
    """Three-dimensional unit vectors at scale 10; S_0 with one group and with two."""
    head = Head.zero_shot([[1, 0, 0.1], [0, 1, 0.1]], ["a", "b"], 10.0, negatives=[[0.2, 0.1, 1], [0.1, 0.3, 0.9]])
    x = Outputs.from_embeddings([[1, 0.2, 0], [0.1, 0.1, 1]], head)
    for groups, wanted in ((1, [0.99922597, 0.00037467]), (2, [0.99961284, 0.00075626])):
        got = AdaNeg(groups=groups, length=1).run([x], 0).numpy() / 1.1
        np.testing.assert_allclose(got, wanted, atol=2e-8)


def test_a_batch_is_taken_in_before_it_is_scored():
    """An image alone changes the proxy that it is itself compared with."""
    x, images, texts, negatives = stream()
    first = np.array([slow_grouped(image, texts, negatives, 1) for image in images])
    for row in (int(np.argmax(first)), int(np.argmin(first))):
        assert not 0.25 < first[row] < 0.75
        got = AdaNeg(groups=1).run([x[row]], 0).item()
        wanted, _ = slow(images[row : row + 1], texts, negatives, groups=1, length=10, batch=1)
        assert got == pytest.approx(wanted[0], rel=1e-5)
        assert got != pytest.approx(1.1 * first[row], rel=1e-4)


def test_the_order_of_images_matters_and_runs_forget():
    x, *_ = stream()
    scorer = AdaNeg(groups=2, length=3)
    forward = scorer.run(x.chunks(9), 0)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(4))
    shuffled = scorer.run(x[order].chunks(9), 0)
    assert not torch.allclose(shuffled, forward[order], rtol=1e-3)
    torch.testing.assert_close(scorer.run(x.chunks(9), 0), forward, rtol=0, atol=0)
    assert set(vars(scorer)) == set(scorer.parameters())


def test_the_texts_of_the_head_stay_as_they_are():
    x, *_ = stream()
    before = x.head.weight.clone(), x.head.bank("negatives").embeddings.clone()
    AdaNeg(groups=2).run(x.chunks(30), 0)
    assert torch.equal(x.head.weight, before[0])
    assert torch.equal(x.head.bank("negatives").embeddings, before[1])


def test_score_takes_a_set_as_a_stream_in_its_order():
    x, images, texts, negatives = stream()
    wanted, _ = slow(images, texts, negatives, groups=2, length=3, batch=32)
    got = ood_toolkit.score(AdaNeg(groups=2, length=3, batch=32), x)
    assert (got.shape, got.dtype) == ((90,), np.float64)
    np.testing.assert_allclose(got, wanted, rtol=1e-5)
    np.testing.assert_array_equal(ood_toolkit.score("adaneg:groups=2:length=3:batch=32", x), got)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"groups": 0}, "adaneg: groups: expected a whole number above 0, got 0"),
        ({"length": 2.5}, "adaneg: length: expected a whole number above 0, got 2.5"),
        ({"gap": 1.5}, "adaneg: gap: expected a number from 0 to 1, got 1.5"),
        ({"gap": float("nan")}, "adaneg: gap: expected a number from 0 to 1, got nan"),
        ({"gap": True}, "adaneg: gap: expected a number from 0 to 1, got True"),
        ({"middle": 0}, "adaneg: middle: expected a number above 0 and below 1, got 0"),
        ({"middle": 1.0}, "adaneg: middle: expected a number above 0 and below 1, got 1.0"),
        ({"weight": float("inf")}, "adaneg: weight: expected a number of at least 0, got inf"),
        ({"weight": -0.1}, "adaneg: weight: expected a number of at least 0, got -0.1"),
        ({"negatives_seed": 0.5}, "adaneg: negatives_seed: expected a whole number of at least 0, got 0.5"),
        ({"count": 0}, "adaneg: count: expected a whole number above 0, got 0"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(wrong, message):
    with pytest.raises(ScorerError) as error:
        AdaNeg(**wrong)
    assert str(error.value) == message


def test_the_ends_of_ranges_that_are_in_them():
    assert (AdaNeg(gap=0).gap, AdaNeg(gap=1).gap, AdaNeg(weight=0).bounds) == (0, 1, (0.0, 1.0))


def test_the_reference_code_s_prompts_and_mining():
    prompts = AdaNeg().prompts
    (bank,) = prompts.banks
    assert (prompts.templates, bank.adjectives) == (("The nice {}.",), ("This is a {} photo.",))
    assert (bank.mining.count, bank.mining.quantile, bank.mining.exclude_above) == (10_000, 0.95, None)
    assert AdaNeg(count=7).prompts.banks[0].mining.count == 7


def test_real_images_adapt_the_negatives(clip, data):
    """CIFAR-10 against Food-101 with the least similar of 2,703 class names as negatives."""
    folder = data / "embeddings" / "openai_clip_vit_b32"
    texts = np.concatenate(
        [np.load(folder / f"text_{name}_a.npz")["embeddings"] for name in ("imagenet1k", "lvis1203", "openimages500")]
    )
    head = clip["cifar10"].head
    similar = np.quantile(unit(texts) @ head.weight.numpy().T, 0.95, axis=1)
    head = head.with_banks({"negatives": texts[np.argsort(similar)[:1081]]})
    inside, outside = clip["cifar10"].with_head(head), clip["food101"].with_head(head)
    rows = ood_toolkit.bench(["neglabel:groups=5", "adaneg"], test=inside, ood={"food101": outside}).rows
    plain, adapted = (row for row in rows if row.kind == "ood")
    assert adapted.auroc > max(plain.auroc + 0.005, 0.98)


def test_it_keeps_the_contract_of_streams():
    assert check_scorer(AdaNeg(groups=2)).exempted == {}
