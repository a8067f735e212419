import numpy as np
import pytest
import torch

from ood_toolkit.errors import ScorerError
from ood_toolkit.metrics import auroc
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.logitgap import LogitGap, LogitGapAdaptive, mean_gap


def gap(row, top):
    """1/(N-1) sum_{n=2..N} (z'_1 - z'_n) of one image, z' falling."""
    falling = sorted((float(z) for z in row), reverse=True)[:top]
    return sum(falling[0] - z for z in falling[1:]) / max(1, len(falling) - 1)


def slow(logits, top):
    return np.array([gap(row, top) for row in logits])


def test_golden_values():
    x = Outputs.from_logits([[2.0, 1.0, 0.0, -1.0], [0.5, 0.4, 0.3, 0.2]])
    assert LogitGap(4).score(x).numpy() == pytest.approx([2.0, 0.2], rel=1e-6)
    assert LogitGap().score(x).numpy() == pytest.approx([1.0, 0.1], rel=1e-6)  # N = 2 of 4 classes


@pytest.mark.parametrize(
    ("classes", "top"), [(2, 2), (3, 2), (4, 2), (5, 2), (10, 5), (20, 10), (21, 4), (100, 20), (1000, 200)]
)
def test_the_rule_takes_half_of_few_classes_and_a_fifth_of_many(classes, top):
    logits = np.random.default_rng(classes).normal(size=(30, classes)) * 5
    x = Outputs.from_logits(logits)
    assert LogitGap().score(x).numpy() == pytest.approx(slow(logits, top), rel=1e-10)
    assert LogitGap(top).score(x).numpy() == pytest.approx(slow(logits, top), rel=1e-10)
    for other in {max(2, top - 1), min(classes, top + 1)} - {top}:
        assert LogitGap().score(x).numpy() != pytest.approx(slow(logits, other), rel=1e-3)


@pytest.mark.parametrize("top", [2, 3, 7, 12])
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_equals_the_slow_formula_of_cosines_and_in_chunks(make_outputs, top, scale):
    x = make_outputs(60, k=12, scale=scale)
    logits = scale * x.embeddings.double().numpy() @ x.head.weight.double().numpy().T
    wanted = slow(logits, top)
    assert LogitGap(top).score(x).numpy() == pytest.approx(wanted, rel=1e-5, abs=1e-6 * scale)
    parts = torch.cat([LogitGap(top).score(part) for part in x.chunks(7)])
    assert parts.numpy() == pytest.approx(wanted, rel=1e-5, abs=1e-6 * scale)
    assert LogitGap(top).score(x).numpy() == pytest.approx(slow(x.logits.double().numpy(), top), rel=1e-5)


def test_more_than_the_classes_takes_all_of_them():
    logits = np.random.default_rng(1).normal(size=(20, 6))
    x = Outputs.from_logits(logits)
    for top in (6, 7, 1000):
        assert LogitGap(top).score(x).numpy() == pytest.approx(slow(logits, 6), rel=1e-10)


def test_a_single_class_has_no_gap():
    x = Outputs.from_logits([[3.0], [-1.0]])
    assert LogitGap().score(x).tolist() == [0, 0]
    assert LogitGap(5).score(x).tolist() == [0, 0]


def test_a_common_offset_and_the_order_of_the_classes_change_nothing():
    logits = torch.randn(40, 30, generator=torch.Generator().manual_seed(2)).double()
    wanted = LogitGap().score(Outputs.from_logits(logits)).numpy()
    assert LogitGap().score(Outputs.from_logits(logits + 1e4)).numpy() == pytest.approx(wanted, rel=1e-9)
    assert LogitGap().score(Outputs.from_logits(logits.flip(1))).numpy() == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("top", [1, -2, 2.5, True, "5"])
def test_wrong_parameters(top):
    with pytest.raises(ScorerError, match="logitgap: top: expected a whole number of at least 2, or 0 for the rule"):
        LogitGap(top)


# -- the N that is chosen ------------------------------------------------------------------------------------------


def slow_objectives(val, seed):
    """For N = 2 ... k: mean over ID minus mean over synthetic OOD of z'_1 - mean(z'_2 ... z'_N), N by N."""
    draw = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(val), generator=draw)[:100].tolist()
    features = val.features[rows].double().numpy()
    other = torch.randperm(len(rows), generator=draw).tolist()
    zero_shot = val.head.kind == "zero_shot"
    weight, bias = val.head.weight.double().numpy() * val.head.scale, val.head.bias.double().numpy()
    lengths = np.linalg.norm(features, axis=1)
    unit = features / lengths[:, None]
    noise = torch.randn(unit.shape, generator=draw).double().numpy() if val.classes > 20 else 0 * unit
    inside, outside = [], []
    for i, j in enumerate(other):
        made = 0.3 * unit[i] + 0.7 * unit[j]
        if val.classes > 20:
            made = made + 0.8 * noise[i] / np.linalg.norm(noise[i])
        made = made / np.linalg.norm(made) if zero_shot else made * lengths[i]
        inside.append(weight @ (unit[i] if zero_shot else features[i]) + bias)
        outside.append(weight @ made + bias)
    return [slow(inside, top).mean() - slow(outside, top).mean() for top in range(2, val.classes + 1)]


def clustered(n, k, seed, kind="zero_shot", d=32):
    draw = torch.Generator().manual_seed(seed)
    weight = torch.randn(k, d, generator=draw) + 1.5 * torch.randn(k // 3 + 1, d, generator=draw)[torch.arange(k) // 3]
    labels = torch.randint(0, k, (n,), generator=draw)
    features = weight[labels] + 0.8 * torch.randn(n, d, generator=draw)
    names = [str(i) for i in range(k)]
    if kind == "zero_shot":
        return Outputs(features, labels=labels, head=Head.zero_shot(weight, names, 100.0))
    return Outputs(features, labels=labels, head=Head.linear(weight, torch.randn(k, generator=draw), names))


@pytest.mark.parametrize("kind", ["zero_shot", "linear"])
@pytest.mark.parametrize(("n", "k"), [(30, 3), (60, 10), (150, 20), (60, 21), (150, 40), (400, 60)])
@pytest.mark.parametrize("seed", [0, 3])
def test_the_chosen_n_is_the_best_of_a_slow_loop(kind, n, k, seed):
    val = clustered(n, k, seed, kind)
    objectives = slow_objectives(val, seed)
    scorer = LogitGapAdaptive(seed).fit(val)
    assert scorer.top_ == int(np.argmax(objectives)) + 2
    assert scorer.notes_ == [f"N = {scorer.top_} of {k}, chosen on {min(n, 100)} validation images"]
    x = clustered(20, k, seed, kind)
    wanted = slow(x.logits.double().numpy(), scorer.top_)
    assert scorer.score(x).numpy() == pytest.approx(wanted, rel=1e-5)


def test_the_choices_differ():
    chosen = {LogitGapAdaptive().fit(clustered(150, k, seed)).top_ for k in (10, 40) for seed in range(4)}
    assert len(chosen) > 2


def test_a_fit_repeats_and_the_seed_matters():
    val = clustered(400, 60, 1)
    assert LogitGapAdaptive(2).fit(val).top_ == LogitGapAdaptive(2).fit(val).top_
    first, second = slow_objectives(val, 0), slow_objectives(val, 1)
    assert first != pytest.approx(second, rel=1e-6)


def test_a_single_class_is_taken():
    val = clustered(10, 1, 0)
    scorer = LogitGapAdaptive().fit(val)
    assert scorer.score(val).tolist() == [0] * 10


def test_the_adaptive_score_refuses_what_it_cannot_use(make_outputs):
    with pytest.raises(ScorerError, match="logitgap-adaptive: needs val to fit, got none"):
        LogitGapAdaptive().fit(None)
    with pytest.raises(ScorerError, match="logitgap-adaptive: needs a head"):
        LogitGapAdaptive().fit(Outputs.from_logits([[1.0, 2.0], [2.0, 1.0]]))


def test_mean_gap_shares_the_widest_sorting(make_outputs):
    x = make_outputs(20, k=12)
    wide, narrow = mean_gap(x, 12), mean_gap(x, 3)
    again = make_outputs(20, k=12)
    assert torch.equal(narrow, mean_gap(again, 3))
    assert torch.equal(wide, mean_gap(again, 12))


def test_real_clip_vectors(clip):
    for x in clip.values():
        wanted = slow(x.logits.double().numpy(), 5)
        assert LogitGap().score(x).numpy() == pytest.approx(wanted, rel=1e-6)
        exact = x.features.double().numpy() / np.linalg.norm(x.features.double().numpy(), axis=1, keepdims=True)
        exact = slow(100 * exact @ x.head.weight.double().numpy().T, 5)
        assert LogitGap().score(x).numpy() == pytest.approx(exact, rel=1e-5, abs=3e-5)  # float32 logits of 30
    found = auroc(*(LogitGap().score(clip[name]) for name in ("cifar10", "food101")))
    wanted = auroc(*(slow(clip[name].logits.double().numpy(), 5) for name in ("cifar10", "food101")))
    assert found == pytest.approx(wanted, abs=1e-5)
    val = clip["cifar10"][:150]
    assert LogitGapAdaptive().fit(val).top_ == int(np.argmax(slow_objectives(val, 0))) + 2
