import numpy as np
import pytest

from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.react import ReAct


def made(n=60, d=15, k=5, seed=0):
    """Features of at least 0, half of them 0, and a head."""
    rng = np.random.default_rng(seed)
    return (
        np.maximum(rng.normal(size=(n, d)), 0) + 0.01 * rng.random((n, d)),
        rng.normal(size=(k, d)),
        rng.normal(size=k),
    )


def energy(logits):
    return [max(row) + np.log(sum(np.exp(z - max(row)) for z in row)) for row in logits]


def slow(val, asked, weight, bias, percentile):
    values = np.sort([value for row in val for value in row])
    place = percentile / 100 * (len(values) - 1)
    low = int(place)
    clip = values[low] + (place - low) * (values[min(low + 1, len(values) - 1)] - values[low])
    logits = [
        [
            sum(w * min(value, clip) for w, value in zip(ws, row, strict=True)) + b
            for ws, b in zip(weight, bias, strict=True)
        ]
        for row in asked
    ]
    return energy(logits), clip


@pytest.mark.parametrize("percentile", [0, 50, 90, 99.5, 100])
@pytest.mark.parametrize("kind", ["f8", "f4"])
def test_equals_the_slow_formula(percentile, kind):
    features, weight, bias = made()
    head = Head.linear(weight.astype(kind), bias.astype(kind))
    val, asked = Outputs(features[:40].astype(kind), head=head), Outputs(1.5 * features[40:].astype(kind), head=head)
    fitted = ReAct(percentile=percentile).fit(val)
    wanted, clip = slow(features[:40], 1.5 * features[40:], weight, bias, percentile)
    assert fitted.clip_ == pytest.approx(clip, rel=1e-6)
    assert fitted.score(asked).numpy() == pytest.approx(wanted, rel=1e-5 if kind == "f4" else 1e-9)


def test_validation_in_chunks_is_the_same(monkeypatch):
    features, weight, bias = made(n=900)
    x = Outputs(features, head=Head.linear(weight, bias))
    once = ReAct().fit(x).clip_
    monkeypatch.setattr("ood_toolkit.outputs.derived.CHUNK_BYTES", 1)
    assert ReAct().fit(x).clip_ == once
