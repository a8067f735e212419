import math

import numpy as np
import pytest
import torch

from ood_toolkit.encode import mining
from ood_toolkit.encode.mining import class_similarity, mine_by_kind
from ood_toolkit.errors import OutputsError, ScorerError

pytestmark = pytest.mark.quick


def unit(rows, width=16, seed=0):
    draw = np.random.default_rng(seed).normal(size=(rows, width))
    return torch.from_numpy(draw / np.linalg.norm(draw, axis=1, keepdims=True))


def slow_similarity(candidates, texts, quantile, exclude_above=None, between=True):
    """Loops in float64: sort the cosines of a candidate, and look between two of them."""
    found = []
    for candidate in candidates.double().numpy():
        cosines = sorted(sum(a * b for a, b in zip(candidate, text, strict=True)) for text in texts.double().numpy())
        if between:
            place = quantile * (len(cosines) - 1)
            low, high = cosines[math.floor(place)], cosines[math.ceil(place)]
            value = low + (high - low) * (place - math.floor(place))
        else:
            value = cosines[int(quantile * len(cosines))]
        found.append(1.0 if exclude_above is not None and cosines[-1] > exclude_above else value)
    return np.array(found)


def mine(candidates, texts, *rules, **more):
    """Mine candidates of one kind."""
    return mine_by_kind(candidates, candidates[:0], texts, *rules, **more)


@pytest.mark.parametrize("quantile", [0.0, 0.05, 0.5, 0.95, 1.0])
@pytest.mark.parametrize("classes", [1, 2, 21, 40])
def test_the_similarity_is_the_quantile_over_the_classes(classes, quantile):
    candidates, texts = unit(30), unit(classes, seed=1)
    expected = slow_similarity(candidates, texts, quantile)
    assert class_similarity(candidates, texts, quantile).numpy() == pytest.approx(expected, rel=1e-12, abs=1e-14)
    numpy = np.quantile((candidates @ texts.T).numpy(), quantile, axis=1)
    assert expected == pytest.approx(numpy, rel=1e-9, abs=1e-12)
    single = class_similarity(candidates.float(), texts.float(), quantile)
    assert single.dtype == torch.float64
    by_torch = torch.quantile(candidates.float() @ texts.float().T, quantile, dim=1)
    assert single.numpy() == pytest.approx(by_torch.numpy(), abs=1e-6)


def test_a_similarity_by_hand():
    texts = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    candidates = torch.tensor([[1.0, 0.0], [0.0, -1.0]])  # cosines 0, 0.8, 1 and -1, -0.6, 0
    assert class_similarity(candidates, texts, 0.75).tolist() == pytest.approx([0.9, -0.3])
    assert class_similarity(candidates, texts, 0.75, between=False).tolist() == pytest.approx([1.0, 0.0])
    assert class_similarity(candidates, texts, 0.5, between=False).tolist() == pytest.approx([0.8, -0.6])
    assert class_similarity(candidates, texts, 0.5, exclude_above=0.9).tolist() == pytest.approx([1.0, -0.6])
    assert mine(candidates, texts, 0.5).tolist() == [1]


@pytest.mark.parametrize("exclude_above", [None, 0.35])
def test_the_first_share_is_kept_in_rising_order(exclude_above):
    candidates, texts = unit(47), unit(9, seed=1)
    expected = slow_similarity(candidates, texts, 0.95, exclude_above)
    if exclude_above:
        assert 5 < (expected == 1).sum() < 40
    kept = mine(candidates, texts, exclude_above=exclude_above)
    assert kept.dtype == torch.int64
    assert kept.tolist() == np.argsort(expected, kind="stable")[:7].tolist()  # 0.15 * 47 = 7.05


def test_blocks_change_nothing(monkeypatch):
    candidates, texts = unit(100), unit(9, seed=1)
    whole = mine(candidates, texts, share=1)
    monkeypatch.setattr(mining, "BLOCK", 64)
    assert mine(candidates, texts, share=1).tolist() == whole.tolist()
    monkeypatch.setattr(mining, "BLOCK", 1)
    assert mine(candidates, texts, share=1).tolist() == whole.tolist()


def test_equals_keep_their_order():
    rows = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(20, 1)
    kept = mine(rows, torch.tensor([[1.0, 0.0]]), share=1)
    assert kept.tolist() == [*range(0, 40, 2), *range(1, 40, 2)]


def test_kinds_are_mined_apart_nouns_first():
    nouns, adjectives, texts = unit(40), unit(27, seed=2), unit(9, seed=1)
    kept = mine_by_kind(nouns, adjectives, texts)
    by_noun = np.argsort(slow_similarity(nouns, texts, 0.95), kind="stable")[:6]
    by_adjective = np.argsort(slow_similarity(adjectives, texts, 0.95), kind="stable")[:4]
    assert kept.tolist() == [*by_noun, *(by_adjective + 40)]
    assert kept.tolist() != mine(torch.cat([nouns, adjectives]), texts).tolist()


def test_either_kind_may_be_missing_or_too_few_for_its_share():
    nouns, texts, none = unit(40), unit(9, seed=1), torch.empty(0, 16, dtype=torch.float64)
    kept = mine(nouns, texts).tolist()
    assert mine_by_kind(nouns, none, texts).tolist() == kept
    assert mine_by_kind(none, nouns, texts).tolist() == kept
    assert mine_by_kind(nouns, unit(6, seed=2), texts).tolist() == kept


@pytest.mark.parametrize(("count", "of_nouns"), [(1, 1), (10, 6), (14, 9), (67, 40)])
def test_a_count_is_kept_in_proportion_by_the_sorted_element(count, of_nouns):
    nouns, adjectives, texts = unit(40), unit(27, seed=2), unit(20, seed=1)
    kept = mine_by_kind(nouns, adjectives, texts, count=count)
    by_noun = np.argsort(slow_similarity(nouns, texts, 0.95, between=False), kind="stable")[:of_nouns]
    by_adjective = np.argsort(slow_similarity(adjectives, texts, 0.95, between=False), kind="stable")
    assert kept.tolist() == [*by_noun, *(by_adjective[: count - of_nouns] + 40)]


def test_half_precision_is_computed_in_single():
    candidates, texts = unit(40).half(), unit(9, seed=1).half()
    assert class_similarity(candidates, texts).dtype == torch.float64
    expected = slow_similarity(candidates, texts, 0.95)
    assert class_similarity(candidates, texts).numpy() == pytest.approx(expected, abs=1e-6)
    assert len(mine(candidates, texts)) == 6


def test_what_cannot_be_mined_is_refused_in_one_line():
    candidates, texts = unit(6), unit(9, seed=1)
    with pytest.raises(ScorerError, match=r"share=0.15 of 6 candidates keeps none; raise share"):
        mine(candidates, texts)
    for share in (0.0, 1.1, float("nan")):
        with pytest.raises(ScorerError, match="expected more than 0 and at most 1"):
            mine(candidates, texts, share)
    with pytest.raises(ScorerError, match="quantile=95; expected 0 to 1"):
        mine(candidates, texts, 0.5, 95)
    for count in (0, 7):
        with pytest.raises(ScorerError, match=f"count={count}; expected 1 to 6"):
            mine(candidates, texts, count=count)
    with pytest.raises(OutputsError, match="at least one candidate"):
        mine(candidates[:0], texts)
    with pytest.raises(OutputsError, match="class texts: expected at least one row"):
        mine(candidates, texts[:0], 0.5)
    with pytest.raises(OutputsError, match=r"candidates: expected shape \(rows, 16\), got \(6, 15\)"):
        mine(candidates[:, :15], texts, 0.5)
    with pytest.raises(OutputsError, match="candidates: expected unit rows, got one of length 2"):
        mine(candidates * 2, texts, 0.5)
    with pytest.raises(OutputsError, match="expected finite numbers, got nan"):
        mine(candidates * float("nan"), texts, 0.5)
