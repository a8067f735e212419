"""InterNeg's choice of negatives, against loops in float64."""

import numpy as np
import pytest
import torch

from ood_toolkit import Detector, fit, score
from ood_toolkit.errors import NotFittedError, ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Bank, Head
from ood_toolkit.scorers.adaneg import AdaNeg
from ood_toolkit.scorers.cma import CMA
from ood_toolkit.scorers.csp import CSP
from ood_toolkit.scorers.families import mining
from ood_toolkit.scorers.families.mining import chosen, class_means, criterion
from ood_toolkit.scorers.neglabel import NegLabel
from ood_toolkit.scorers.tanl import TANL
from ood_toolkit.testing import check_scorer, run_check

pytestmark = [pytest.mark.quick, pytest.mark.usefixtures("one_thread")]

K, D, M = 4, 6, 40


def unit(rows):
    return rows / np.sqrt((rows**2).sum(axis=-1, keepdims=True))


def problem(n=90, nouns=None, seed=0, lacking=()):
    """Make training images around class texts, some of no class, and candidates of which some are like a class."""
    rng = np.random.default_rng(seed)
    texts, candidates = unit(rng.normal(size=(K, D))), unit(rng.normal(size=(M, D)))
    gap = unit(rng.normal(size=D))  # where images lie and texts do not
    candidates[::2] = unit(candidates[::2] + 1.5 * gap)
    candidates[3] = texts[1]
    labels = rng.integers(-1, K, n)
    labels[np.isin(labels, lacking)] = -1
    images = (texts[labels] + gap + 0.8 * rng.normal(size=(n, D))) * rng.uniform(1, 5, (n, 1))
    words = [f"word {i}" for i in range(M)]
    bank = Bank(torch.tensor(candidates), tuple(words), nouns=nouns)
    head = Head.zero_shot(texts, [f"class {i}" for i in range(K)], 12.0, texts={"candidates": bank})
    return Outputs(torch.tensor(images), labels=labels, head=head), images, labels, texts, candidates


def slow(images, labels, texts, candidates):
    """Give the mean and the least gap of each candidate, and its class, with loops."""
    found = []
    for w in candidates:
        gaps = []
        for c in range(len(texts)):
            mine = [v / np.sqrt(v @ v) for v, label in zip(images, labels, strict=True) if label == c]
            if mine:
                mean = sum(mine) / len(mine)
                mean /= np.sqrt(mean @ mean)
                gaps.append((float(mean @ texts[c]) - float(mean @ w), c))
        found.append((sum(gap for gap, _ in gaps) / len(gaps), *min(gaps)))
    return np.array(found)


def slow_chosen(found, limit, nouns=M):
    """Give the places of those that pass, by their mean gap, of each kind in proportion."""
    kinds = []
    for part in (range(nouns), range(nouns, len(found))):
        kinds.append(sorted((i for i in part if found[i, 1] > 1e-6), key=lambda i: -found[i, 0]))
    passed = len(kinds[0]) + len(kinds[1])
    limit = min(limit, passed)
    of_adjectives = limit * len(kinds[1]) // passed
    return kinds[0][: limit - of_adjectives] + kinds[1][:of_adjectives]


@pytest.mark.parametrize("lacking", [(), (2,)])
def test_the_criterion_equals_loops(lacking):
    train, *arrays = problem(lacking=lacking)
    wanted = slow(*arrays)
    means, seen = class_means(train, "x")
    assert seen.tolist() == [c not in lacking for c in range(K)]
    found = criterion(train.head.bank("candidates").rows, means[seen], train.head.weight[seen])
    np.testing.assert_allclose(found.gap, wanted[:, 0], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found.least, wanted[:, 1], rtol=1e-12, atol=1e-14)
    assert np.flatnonzero(seen)[found.closest].tolist() == wanted[:, 2].tolist()
    assert 5 < int(found.passes.sum()) < M - 5
    assert not bool(found.passes[3])  # the very text of a class


@pytest.mark.parametrize("nouns", [None, 0, 15, 40])
@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_the_largest_gaps_are_chosen_of_each_kind_in_proportion(nouns, limit):
    train, *arrays = problem()
    found = slow(*arrays)
    wanted = slow_chosen(found, limit, M if nouns is None else nouns)
    means, _ = class_means(train, "x")
    made = criterion(train.head.bank("candidates").rows, means, train.head.weight)
    assert chosen(made, nouns, limit, "x").tolist() == wanted


def test_blocks_and_chunks_change_nothing(monkeypatch):
    train, *_ = problem()
    whole = fit("neglabel:mine=inter", train=train)
    monkeypatch.setattr(mining, "BLOCK", 8)
    monkeypatch.setattr("ood_toolkit.outputs.derived.CHUNK_BYTES", 0)
    parts = fit("neglabel:mine=inter", train=train)
    assert parts.places_.tolist() == whole.places_.tolist()
    np.testing.assert_allclose(parts.gap_, whole.gap_, rtol=1e-12)


def slow_score(images, texts, negatives, groups, scale=12.0, seed=0):
    groups = min(groups, len(negatives))
    used = len(negatives) - len(negatives) % groups
    order = torch.randperm(used, generator=torch.Generator().manual_seed(seed)).numpy()
    inside = np.exp(scale * unit(images) @ texts.T).sum(axis=1)
    outside = np.exp(scale * unit(images) @ negatives[order].T).reshape(len(images), groups, -1).sum(axis=2)
    return (inside[:, None] / (inside[:, None] + outside)).mean(axis=1)


@pytest.mark.parametrize(
    ("spec", "limit", "groups"),
    [
        ("neglabel:mine=inter", 2000, 5),
        ("neglabel:mine=inter:count=9:groups=2", 9, 2),
        ("neglabel:mine=inter:share=0.15:groups=1", 6, 1),
        ("csp:mine=inter:count=12", 12, 5),
        ("cma:mine=inter", 2000, 1),
    ],
)
def test_the_score_is_neglabel_s_on_the_chosen(spec, limit, groups):
    train, images, labels, texts, candidates = problem(nouns=25)
    places = slow_chosen(slow(images, labels, texts, candidates), limit, 25)
    made = fit(spec, train=train)
    assert made.places_.tolist() == places
    wanted = slow_score(images, texts, candidates[places], groups)
    np.testing.assert_allclose(score(made, train), wanted, rtol=1e-9)
    np.testing.assert_allclose(score(spec, train, train=train), wanted, rtol=1e-9)


def test_streams_take_the_chosen_too():
    train, images, labels, texts, candidates = problem()
    places = slow_chosen(slow(images, labels, texts, candidates), 9)
    head = train.head.with_banks({"negatives": candidates[places], "noise": np.eye(D), "candidates": candidates})
    x = train.with_head(head)
    ready = head.with_banks({"candidates": candidates[places]})
    for spec, alone in (("adaneg", "adaneg"), ("tanl:labels=4", "tanl:labels=4")):
        wanted = score(alone, x.with_head(ready))
        np.testing.assert_allclose(score(f"{spec}:mine=inter:count=9", x, train=x), wanted, rtol=1e-9)
    with pytest.raises(ScorerError, match="adaneg:mine=inter: needs train, train_labels"):
        score("adaneg:mine=inter", x)


def test_parameters_follow_the_rule_unless_they_are_given():
    assert (NegLabel().groups, NegLabel().share, NegLabel().count) == (100, 0.15, 0)
    inter = NegLabel(mine="inter")
    assert (inter.groups, inter.share, inter.count) == (5, 1.0, 2000)
    assert inter.spec == "neglabel:mine=inter"
    assert NegLabel(100).spec == "neglabel"
    assert NegLabel(100, mine="inter").spec == "neglabel:groups=100:mine=inter"
    assert inter.clone() == inter
    assert (CMA(mine="inter").groups, CSP(mine="inter").groups) == (1, 5)
    assert (AdaNeg().count, AdaNeg(mine="inter").count, TANL().count) == (10_000, 2000, 2000)
    assert "text:candidates" in inter.needs
    assert inter.prompts.banks[0].mining is None
    (bank,) = CSP(mine="inter").prompts.banks
    assert (bank.name, bank.conjugated) == ("candidates", True)


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (NegLabel, {"mine": "images"}, "neglabel: mine: expected quantile or inter, got 'images'"),
        (NegLabel, {"count": 5}, "neglabel: count: goes with mine=inter; mine=quantile keeps a share"),
        (NegLabel, {"mine": "inter", "count": 0}, "neglabel: count: expected a whole number above 0, got 0"),
        (NegLabel, {"mine": "inter", "groups": 2.5}, "neglabel: groups: expected a whole number above 0, got 2.5"),
        (TANL, {"mine": "quantile"}, "tanl: mine: expected all or inter, got 'quantile'"),
        (AdaNeg, {"count": 0}, "adaneg: count: expected a whole number above 0, got 0"),
    ],
)
def test_wrong_parameters(kind, given, message):
    with pytest.raises(ScorerError, match=message):
        kind(**given)


def test_what_cannot_be_chosen_is_said_in_one_line():
    train, images, _, texts, _ = problem()
    with pytest.raises(ScorerError, match="neglabel:mine=inter: needs train, train_labels"):
        fit("neglabel:mine=inter")
    with pytest.raises(NotFittedError, match="negatives_ is missing"):
        NegLabel(mine="inter").score(train)
    same = train.with_head(train.head.with_banks({"candidates": texts}))
    with pytest.raises(ScorerError, match=r"mine=inter keeps none of the 4 candidates: .* or mine=quantile"):
        fit("neglabel:mine=inter", train=same)
    with pytest.raises(ScorerError, match="share of 40 candidates keeps none; raise share"):
        fit("neglabel:mine=inter:share=0.01", train=train)
    nobody = Outputs(torch.tensor(images), labels=np.full(len(images), -1), head=train.head)
    with pytest.raises(ScorerError, match="training images of at least one class"):
        NegLabel(mine="inter").fit(None, nobody)


def test_notes_count_what_passes_and_name_classes_without_images():
    train, *arrays = problem(lacking=(0, 2))
    passed = int((slow(*arrays)[:, 1] > 1e-6).sum())
    assert fit("neglabel:mine=inter:count=6", train=train).notes_ == [
        f"6 negatives, mined from 40 words of which {passed} pass mine=inter",
        "2 of 4 classes have no training images and choose no negatives",
    ]


def test_a_detector_keeps_the_chosen(tmp_path):
    train, *_ = problem()
    made = Detector.fit("neglabel:mine=inter", problem(seed=1)[0].with_head(train.head), train)
    made.save(tmp_path / "gate")
    loaded = Detector.load(tmp_path / "gate")
    assert loaded.scorer.spec == "neglabel:mine=inter"
    np.testing.assert_array_equal(loaded.score(train), made.score(train))
    assert any("pass mine=inter" in note for note in loaded.notes)


def test_conformance():
    assert check_scorer("neglabel:mine=inter").passed


@pytest.mark.parametrize("spec", ["adaneg:mine=inter", "tanl:mine=inter"])
@pytest.mark.parametrize("check", ["declaration", "needs", "splits", "memory", "parameters"])
def test_streams_conform(spec, check):
    run_check(check, spec)
