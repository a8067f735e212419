import numpy as np
import pytest

from ood_toolkit.outputs import Outputs
from ood_toolkit.scorers.klm import LEAST, KLMatching


def slow(val, asked):
    """The definition in loops, in float64."""

    def softmax(row):
        e = [np.exp(z - max(row)) for z in row]
        return [value / sum(e) for value in e]

    k = val.shape[1]
    typical = []
    for c in range(k):
        of = [softmax(row) for row in val if np.argmax(row) == c]
        typical.append(np.mean(of, axis=0) if of else [float(j == c) for j in range(k)])
    found = []
    for row in asked:
        p = softmax(row)
        apart = [sum(a * (np.log(a) - np.log(max(b, LEAST))) for a, b in zip(p, q, strict=True)) for q in typical]
        found.append(-min(apart))
    return found


@pytest.mark.parametrize("scale", [0.5, 4.0])
def test_equals_the_slow_formula(scale):
    rng = np.random.default_rng(0)
    val, asked = rng.normal(0, scale, (300, 7)), rng.normal(0, scale, (100, 7))
    fitted = KLMatching().fit(Outputs.from_logits(val))
    assert fitted.score(Outputs.from_logits(asked)).numpy() == pytest.approx(slow(val, asked), rel=1e-9)
    single = fitted.score(Outputs.from_logits(asked.astype("f4"))).numpy()
    assert single == pytest.approx(slow(val, asked), rel=1e-5, abs=1e-6)


def test_a_class_that_is_never_predicted_is_one_hot():
    rng = np.random.default_rng(0)
    val, asked = rng.normal(0, 3, (80, 5)), rng.normal(0, 3, (60, 5))
    val[:, 4] -= 30
    asked[:5, 4] += 40  # so certain of it that the one-hot distribution is nearest
    fitted = KLMatching().fit(Outputs.from_logits(val))
    wanted = slow(val, asked)
    assert fitted.score(Outputs.from_logits(asked)).numpy() == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    assert max(wanted[:5]) > -1e-3


def test_the_predicted_class_counts_not_the_label():
    logits = np.random.default_rng(0).normal(0, 2, (90, 4))
    asked = Outputs.from_logits(np.random.default_rng(1).normal(0, 2, (40, 4)))
    without = KLMatching().fit(Outputs.from_logits(logits)).score(asked)
    labels = (logits.argmax(axis=1) + 1) % 4
    assert KLMatching().fit(Outputs.from_logits(logits, labels)).score(asked).tolist() == without.tolist()


def test_chunks_of_validation_are_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    val, asked = rng.normal(0, 2, (900, 5)), rng.normal(0, 2, (30, 5))
    monkeypatch.setattr("ood_toolkit.outputs.derived.CHUNK_BYTES", 1)
    fitted = KLMatching().fit(Outputs.from_logits(val))
    assert fitted.score(Outputs.from_logits(asked)).numpy() == pytest.approx(slow(val, asked), rel=1e-9)
