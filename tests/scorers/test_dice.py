import numpy as np
import pytest

from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.dice import DICE


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


def slow(train, asked, weight, bias, percentile):
    mean = [sum(column) / len(train) for column in train.T]
    part = [[w * m for w, m in zip(ws, mean, strict=True)] for ws in weight]
    cut = np.quantile(np.ravel(part), percentile / 100)
    logits = [
        [
            sum(w * h for w, v, h in zip(ws, vs, row, strict=True) if v > cut) + b
            for ws, vs, b in zip(weight, part, bias, strict=True)
        ]
        for row in asked
    ]
    return energy(logits)


@pytest.mark.parametrize("percentile", [0, 10, 50, 90, 100])
@pytest.mark.parametrize("kind", ["f8", "f4"])
def test_equals_the_slow_formula(percentile, kind):
    features, weight, bias = made()
    head = Head.linear(weight.astype(kind), bias.astype(kind))
    train, asked = Outputs(features[:40].astype(kind), head=head), Outputs(features[40:].astype(kind), head=head)
    wanted = slow(features[:40], features[40:], weight, bias, percentile)
    found = DICE(percentile=percentile).fit(train, train).score(asked)
    assert found.numpy() == pytest.approx(wanted, rel=1e-5 if kind == "f4" else 1e-9)


def test_it_learns_from_training_images_in_chunks(monkeypatch):
    features, weight, bias = made(n=900)
    head = Head.linear(weight, bias)
    train, asked = Outputs(features[:850], head=head), Outputs(features[850:], head=head)
    monkeypatch.setattr("ood_toolkit.outputs.derived.CHUNK_BYTES", 1)
    found = DICE().fit(asked, train).score(asked)
    assert found.numpy() == pytest.approx(slow(features[:850], features[850:], weight, bias, 90), rel=1e-9)
