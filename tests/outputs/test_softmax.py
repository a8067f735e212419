import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ood_toolkit.outputs import softmax
from ood_toolkit.outputs.softmax import Softmax

pytestmark = pytest.mark.quick

A = [[2.0, 1.0, 0.0, -1.0], [0.5, 0.4, 0.3, 0.2]]


def slow(row):
    """Softmax, log-sum-exp and entropy of one row, term by term in float64."""
    top = max(row)
    powers = [math.exp(z - top) for z in row]
    whole = math.fsum(powers)
    probs = [p / whole for p in powers]
    return probs, top + math.log(whole), -math.fsum(p * math.log(p) for p in probs if p > 0)


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=6))
def test_every_part_equals_the_slow_formula(row):
    softmax = Softmax(torch.tensor([row], dtype=torch.float64))
    probs, logsumexp, entropy = slow(row)
    assert softmax.probs[0].numpy() == pytest.approx(np.array(probs), rel=1e-12)
    assert softmax.log_probs.exp()[0].numpy() == pytest.approx(np.array(probs), rel=1e-11)
    assert softmax.confidence.item() == pytest.approx(max(probs), rel=1e-12)
    assert softmax.logsumexp.item() == pytest.approx(logsumexp, rel=1e-12, abs=1e-12)
    assert softmax.entropy.item() == pytest.approx(entropy, rel=1e-10, abs=1e-10)
    assert softmax.largest.item() == max(row)
    assert softmax.index.item() == row.index(max(row))


def test_golden_values():
    softmax = Softmax(torch.tensor(A))
    assert softmax.confidence.numpy() == pytest.approx([0.64391426, 0.28865141], abs=5e-8)
    assert softmax.logsumexp.numpy() == pytest.approx([2.44018970, 1.74253553], abs=2e-7)
    assert softmax.entropy.numpy() == pytest.approx([0.94753696, 1.38007081], abs=2e-7)
    assert softmax.probs.var(dim=1, correction=0).numpy() == pytest.approx([0.05734023, 0.00077840], abs=2e-8)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_confidence_stays_distinct_until_the_complement_is_1e_16(offset):
    gaps = torch.arange(1.0, 37.0)  # exp(-36) = 2.3e-16
    confidence = Softmax(torch.stack([gaps + offset, torch.full_like(gaps, offset)], dim=1)).confidence
    assert confidence.dtype == torch.float64
    assert bool((confidence.diff() > 0).all())
    rest = np.exp(-gaps.double().numpy())
    assert (1 - confidence).numpy() == pytest.approx(rest / (1 + rest), rel=1e-6, abs=1.2e-16)
    assert Softmax(torch.tensor([[-math.log(1e-16), 0.0]])).confidence.item() < 1


def test_entropy_keeps_its_digits_where_the_softmax_is_one():
    gaps = np.arange(1.0, 80.0)
    entropy = Softmax(torch.tensor(np.stack([gaps, 0 * gaps], axis=1), dtype=torch.float32)).entropy.numpy()
    rest = np.exp(-gaps)
    assert entropy == pytest.approx(np.log1p(rest) + gaps * rest / (1 + rest), rel=1e-5)
    assert (np.diff(entropy) < 0).all()


@pytest.mark.parametrize("size", [1e4, 1e10, 1e30])
def test_huge_logits_give_finite_parts(size):
    softmax = Softmax(torch.tensor([[size, -size, 0.0], [-size, -size, -size]]))
    for name in ("confidence", "logsumexp", "entropy", "variance", "probs", "log_probs"):
        assert bool(torch.isfinite(getattr(softmax, name)).all()), name
    assert softmax.confidence.numpy() == pytest.approx([1, 1 / 3])
    assert softmax.entropy.numpy() == pytest.approx([0, math.log(3)])
    assert softmax.logsumexp.numpy() == pytest.approx([size, math.log(3) - size], rel=1e-6)


def slow_variance(logits):
    """Population variance of the probabilities of each row, in float64, by the definition."""
    found = []
    for row in logits.astype(np.float64):
        probs = np.array(slow(row.tolist())[0])
        found.append(math.fsum((probs - 1 / len(row)) ** 2) / len(row))
    return np.array(found)


@given(st.lists(st.floats(-30, 30), min_size=2, max_size=6))
def test_variance_equals_the_slow_formula(row):
    found = Softmax(torch.tensor([row], dtype=torch.float64)).variance.numpy()
    assert found == pytest.approx(slow_variance(np.array([row])), rel=1e-9, abs=1e-24)


def test_variance_golden_values():
    assert Softmax(torch.tensor(A)).variance.numpy() == pytest.approx([0.05734023, 0.00077840], abs=5e-9)
    assert Softmax(torch.zeros(2, 1)).variance.tolist() == [0, 0]


@pytest.mark.parametrize("classes", [10, 1000, 5000])
@pytest.mark.parametrize("spread", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("middle", [0.0, 0.25, 0.8])
def test_variance_keeps_its_digits_where_the_probabilities_are_nearly_equal(classes, spread, middle):
    draw = np.random.default_rng(0)
    cosines = (middle + spread * draw.normal(size=(20, classes))).astype(np.float32)
    found = Softmax(torch.from_numpy(cosines)).variance
    assert found.dtype == torch.float64
    assert found.numpy() == pytest.approx(slow_variance(cosines), rel=1e-5, abs=0)


def test_variance_where_one_probability_is_nearly_one():
    logits = np.zeros((40, 1000), dtype=np.float32)
    logits[:, 7] = np.arange(1, 41)
    found = Softmax(torch.from_numpy(logits)).variance.numpy()
    assert found == pytest.approx(slow_variance(logits), rel=1e-5, abs=0)
    assert (np.diff(found[:10]) > 0).all()


def test_each_array_is_made_once():
    softmax = Softmax(torch.tensor(A))
    for name in ("shifted", "others", "rest", "entropy", "probs", "log_probs"):
        assert getattr(softmax, name) is getattr(softmax, name)


def test_the_logits_are_left_as_they_were():
    logits = torch.tensor(A)
    softmax = Softmax(logits)
    _ = softmax.probs, softmax.log_probs, softmax.entropy
    assert logits.tolist() == torch.tensor(A).tolist()


@pytest.mark.parametrize("rows", [1, 261, 262, 263, 1048, 1400])
@pytest.mark.parametrize("temperature", [None, 0.3, 1000.0])
def test_blocks_of_rows_give_what_the_whole_gives(rows, temperature, monkeypatch):
    draw = torch.Generator().manual_seed(rows)
    logits = 30 * torch.randn(rows, 1000, generator=draw)

    def found():
        made = Softmax(logits)
        made = made if temperature is None else made.cooled(temperature)
        return [made.confidence, made.rest, made.logsumexp, made.entropy, made.variance, made.probs]

    in_parts = found()
    monkeypatch.setattr(softmax, "BLOCK", 2**40)
    for one, whole in zip(in_parts, found(), strict=True):
        assert torch.equal(one, whole)
