import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.scorers.temperature import Temperature


def made(n=400, k=6, scale=1.0, seed=0):
    """Make logits whose true temperature is `scale`: labels are drawn from softmax(logits / scale)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, k))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(k, p=row) for row in p])
    return scale * logits, labels


def loss(logits, labels, temperature):
    """Mean of -log softmax, in loops and float64."""
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        z = [(value - max(row)) / temperature for value in row]
        total += np.log(sum(np.exp(value) for value in z)) - z[label]
    return total / len(labels)


def best(logits, labels, scale):
    found = minimize_scalar(
        lambda x: loss(logits, labels, np.exp(x)), bracket=(np.log(scale / 2), np.log(scale * 2)), tol=1e-12
    )
    return np.exp(found.x)


@pytest.mark.parametrize("scale", [1e-3, 0.3, 1.0, 20.0, 1e4])
def test_finds_the_temperature_that_scipy_finds(scale):
    logits, labels = made(scale=scale)
    fitted = Temperature().fit(Outputs.from_logits(logits, labels))
    assert fitted.temperature_ == pytest.approx(best(logits, labels, scale), rel=1e-6)
    assert fitted.temperature_ == pytest.approx(scale, rel=0.2)
    assert fitted.notes_ == []


def test_scores_at_the_temperature_it_found():
    logits, labels = made(scale=3.0)
    fitted = Temperature().fit(Outputs.from_logits(logits, labels))
    asked = np.random.default_rng(1).normal(0, 9, (50, 6))
    t = fitted.temperature_
    wanted = [max(np.exp(z / t) for z in row) / sum(np.exp(z / t) for z in row) for row in asked]
    assert fitted.score(Outputs.from_logits(asked)).numpy() == pytest.approx(wanted, rel=1e-10)


def test_a_far_offset_and_chunks_change_nothing(monkeypatch):
    logits, labels = made(n=700)
    once = Temperature().fit(Outputs.from_logits(logits, labels)).temperature_
    monkeypatch.setattr("ood_toolkit.outputs.derived.CHUNK_BYTES", 1)
    assert Temperature().fit(Outputs.from_logits(logits + 1e6, labels)).temperature_ == pytest.approx(once, rel=1e-7)


def test_a_small_optimum_close_to_right_everywhere_is_found():
    logits, labels = made(n=300)
    labels = logits.argmax(axis=1)
    second = np.argsort(logits[7])[-2]
    labels[7] = second  # one error
    fitted = Temperature().fit(Outputs.from_logits(logits, labels))
    assert fitted.temperature_ < 0.5
    low, high = (loss(logits, labels, fitted.temperature_ * by) for by in (0.99, 1.01))
    assert loss(logits, labels, fitted.temperature_) < min(low, high)


def test_images_of_no_class_are_left_out():
    logits, labels = made()
    alone = Temperature().fit(Outputs.from_logits(logits[100:], labels[100:])).temperature_
    labels[:100] = -1
    assert Temperature().fit(Outputs.from_logits(logits, labels)).temperature_ == pytest.approx(alone, rel=1e-9)


@pytest.mark.parametrize(
    ("logits", "labels", "why"),
    [
        ([[3.0, 1.0], [0.0, 2.0]], [0, 1], "every validation image is classified right"),
        ([[3.0, 1.0], [0.0, 2.0]], [1, 0], "validation is no better than chance"),
        ([[1.0, 1.0], [0.0, 0.0]], [1, 0], "validation is no better than chance"),
    ],
)
def test_where_no_temperature_is_best_one_is_kept_and_said(logits, labels, why):
    fitted = Temperature().fit(Outputs.from_logits(logits, labels))
    assert fitted.temperature_ == 1.0
    assert fitted.notes_ == [f"{why}: no temperature is best, T = 1 is kept"]


@pytest.mark.parametrize("labels", [None, [-1, -1]])
def test_validation_without_labels_is_refused(labels):
    with pytest.raises(ScorerError, match="temperature: needs val_labels"):
        Temperature().fit(Outputs.from_logits([[1.0, 2.0], [3.0, 1.0]], labels))


def test_a_set_of_which_images_are_left_out_is_walked_and_never_copied(monkeypatch):
    logits, labels = made(n=700)
    labels[::3] = -1
    few = Outputs.from_logits(logits[labels >= 0], labels[labels >= 0])
    wanted = Temperature().fit(few).temperature_
    x = Outputs.from_logits(logits, labels)
    monkeypatch.setattr(Outputs, "chunk_rows", 64)
    monkeypatch.setattr(Outputs, "_places", lambda self, index: pytest.fail("copied"))
    found = Temperature().fit(x).temperature_
    assert np.asarray(found) == pytest.approx(np.asarray(wanted), rel=1e-9)
