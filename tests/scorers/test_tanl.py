import numpy as np
import pytest
import torch

from ood_toolkit.benchmark.runner import bench
from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers import tanl
from ood_toolkit.scorers.tanl import TANL, otsu
from ood_toolkit.testing import check_scorer

SCALE = 12.0


pytestmark = pytest.mark.usefixtures("one_thread")


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def stream(n=80, k=4, c=20, d=8, seed=0):
    """Make images near class texts and near candidates, mixed, and five embeddings of noise."""
    rng = np.random.default_rng(seed)
    texts, candidates, noise = (unit(rng.normal(size=(rows, d))) for rows in (k, c, 5))
    near = np.where(rng.random((n, 1)) < 0.5, texts[rng.integers(0, k, n)], candidates[rng.integers(0, c // 3, n)])
    images = near + 0.25 * rng.normal(size=(n, d))
    names = [f"class {i}" for i in range(k)]
    head = Head.zero_shot(texts, names, SCALE, texts={"candidates": candidates, "noise": noise})
    return Outputs(torch.tensor(images), head=head), unit(images), texts, candidates, noise


def probabilities(image, texts, candidates):
    z = np.array([SCALE * float(image @ row) for row in [*texts, *candidates]])
    return (np.exp(z) / np.exp(z).sum())[len(texts) :]


def slow_score(image, texts, active, step):
    known = sum(np.exp(SCALE * float(image @ row)) for row in texts)
    terms, total = [], 0.0
    for place, row in enumerate(active, 1):
        total += np.exp(SCALE * float(image @ row))
        if place % step == 0 or place == len(active):
            terms.append(known / (known + total))
    return sum(terms) / len(terms)


def slow_otsu(scores):
    scores, found = np.array(scores), []
    for i in range(100):
        low, high = scores[scores < i / 100], scores[scores >= i / 100]
        worth = len(low) * low.var() + len(high) * high.var() if len(low) and len(high) else np.inf
        found.append((len(low), worth / len(scores)))
    least = min(worth for _, worth in found)
    part = next(count for count, worth in found if worth == least)
    if least == np.inf:
        return 0.5
    best = [i for i, (count, _) in enumerate(found) if count == part]
    return best[len(best) // 2] / 100


def slow(images, texts, candidates, noise, *, labels, step, queue, batch, gap=0.5, alpha=0.0, history=20000, seed=0):
    """Score image after image in float64; the queues are lists of probability vectors."""
    draw = torch.Generator().manual_seed(seed)
    queues, scores, cuts = [], [], []
    for rows in (texts, noise):
        order = torch.randperm(len(rows), generator=draw).tolist()
        queues.append([probabilities(rows[i], texts, candidates) for i in order][-queue:])

    def chosen(ood, id_):
        return candidates[np.argsort(-(np.mean(ood, axis=0) - np.mean(id_, axis=0)), kind="stable")[:labels]]

    active = chosen(queues[1], queues[0])
    known = [slow_score(v, texts, active, step) for v in [*texts, *noise]][-history:]
    for start in range(0, len(images), batch):
        part = images[start : start + batch]
        active = chosen(queues[1], queues[0])
        first = [slow_score(v, texts, active, step) for v in part]
        known = (known + first)[-history:]
        t = slow_otsu(known)
        cuts.append(t)
        sure_id = [v for v, s in zip(part, first, strict=True) if s > t + gap * (1 - t)]
        sure_ood = [v for v, s in zip(part, first, strict=True) if s < t - gap * t]
        means = []
        for held, sure in zip(queues, (sure_id, sure_ood), strict=True):
            mean = np.mean(held, axis=0)
            if sure:
                own = np.mean([probabilities(v, texts, candidates) for v in sure], axis=0)
                mean = alpha * mean + (1 - alpha) * own
            means.append(mean)
        active = candidates[np.argsort(-(means[1] - means[0]), kind="stable")[:labels]]
        scores += [slow_score(v, texts, active, step) for v in part]
        for i, sure in enumerate((sure_id, sure_ood)):
            queues[i] = (queues[i] + [probabilities(v, texts, candidates) for v in sure])[-queue:]
    return np.array(scores), queues, cuts


CASES = [
    {"labels": 6, "step": 1, "queue": 300, "batch": 16},
    {"labels": 6, "step": 4, "queue": 9, "batch": 7, "alpha": 0.3},
    {"labels": 6, "step": 6, "queue": 3, "batch": 40, "gap": 0.2},
    {"labels": 1000, "step": 1, "queue": 6, "batch": 1, "alpha": 1.0, "history": 12},
]


@pytest.mark.parametrize("given", CASES, ids=["default", "blend", "short queue", "one by one"])
def test_equals_the_formula_image_by_image(given, monkeypatch):
    monkeypatch.setattr(tanl, "ROWS", 3)
    x, *arrays = stream()
    wanted, queues, cuts = slow(*arrays, **given)
    got = TANL(**given).run(x.chunks(given["batch"]), 0)
    assert got.dtype == torch.float64
    np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-5)
    assert len(set(cuts)) > 1  # the threshold moved
    if given["queue"] < 10:  # the queues ran over
        assert [len(held) for held in queues] == [given["queue"]] * 2


def test_the_seed_decides_which_texts_leave_first():
    x, *arrays = stream(k=8)
    given = {"labels": 5, "step": 1, "queue": 4, "batch": 10, "alpha": 0.5}
    by_seed = [TANL(**given).run(x.chunks(10), seed).numpy() for seed in (0, 1)]
    for seed, got in enumerate(by_seed):
        np.testing.assert_allclose(got, slow(*arrays, **given, seed=seed)[0], rtol=1e-5)
    assert not np.allclose(*by_seed, rtol=1e-4)
    np.testing.assert_array_equal(TANL(**given).run(x.chunks(10), 0).numpy(), by_seed[0])


def test_the_order_of_images_matters():
    x, *_ = stream()
    scorer = TANL(labels=6)
    forward = scorer.run(x.chunks(9), 0)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(4))
    assert not torch.allclose(scorer.run(x[order].chunks(9), 0), forward[order], rtol=1e-3)
    torch.testing.assert_close(scorer.run(x.chunks(9), 0), forward, rtol=0, atol=0)
    assert set(vars(scorer)) == set(scorer.parameters())


@pytest.mark.parametrize("seed", range(6))
def test_otsu_equals_the_slow_search(seed):
    rng = np.random.default_rng(seed)
    scores = np.concatenate([rng.beta(2, 8, 40), rng.beta(9, 2, 60)]) if seed % 2 else rng.random(50)
    assert otsu(torch.tensor(scores)) == pytest.approx(slow_otsu(scores))


def test_otsu_by_hand():
    assert otsu(torch.tensor([0.1, 0.1, 0.9, 0.9], dtype=torch.float64)) == pytest.approx(
        0.51
    )  # the middle of 0.11 ... 0.90
    assert otsu(torch.tensor([0.3])) == pytest.approx(0.5)
    assert otsu(torch.tensor([0.995, 0.997])) == pytest.approx(0.5)


def test_other_parameters_are_of_the_paper():
    assert TANL().parameters() == {
        "labels": 1000, "step": 1, "queue": 300, "gap": 0.5, "alpha": 0.0, "history": 20000, "noise": 3, "batch": 256,
        "mine": "all", "count": 2000,
    }  # fmt: skip
    bank, noise = TANL().prompts.banks[0], TANL(noise=4).prompts.noise
    assert (bank.name, bank.mining, noise) == ("candidates", None, 4)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"labels": 0}, "tanl: labels: expected a whole number above 0, got 0"),
        ({"step": True}, "tanl: step: expected a whole number above 0, got True"),
        ({"alpha": 1.5}, "tanl: alpha: expected a number from 0 to 1, got 1.5"),
        ({"gap": -0.1}, "tanl: gap: expected a number from 0 to 1, got -0.1"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(wrong, message):
    with pytest.raises(ScorerError) as error:
        TANL(**wrong)
    assert str(error.value) == message


def test_real_images_activate_labels(clip, data):
    """CIFAR-10 against Food-101, names of ImageNet's classes as candidates, other photographs in place of noise."""
    folder = data / "embeddings" / "openai_clip_vit_b32"
    texts = np.load(folder / "text_imagenet1k_a.npz")["embeddings"]
    noise = np.load(folder / "image_coco128.npz")["embeddings"][:15]
    head = clip["cifar10"].head
    similar = (unit(texts) @ head.weight.numpy().T).max(axis=1)
    head = head.with_banks({"candidates": texts[similar < 0.9], "noise": noise})
    inside, outside = clip["cifar10"].with_head(head), clip["food101"].with_head(head)
    rows = bench(["msp", "tanl:labels=100"], test=inside, ood={"food101": outside}).rows
    plain, activated = (row for row in rows if row.kind == "ood")
    assert activated.auroc > max(plain.auroc, 0.99)


def test_it_keeps_the_contract_of_streams():
    assert check_scorer(TANL(labels=6)).exempted == {}
