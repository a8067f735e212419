import numpy as np
import pytest

from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.lts import LTS


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


def slow(asked, weight, bias, percentile):
    d = asked.shape[1]
    t = d - int(np.round(d * percentile / 100))
    logits = []
    for row in asked:
        positive = [max(h, 0.0) for h in row]
        s = (sum(positive) / sum(sorted(positive)[d - t :])) ** 2
        logits.append(
            [s * (sum(w * h for w, h in zip(ws, row, strict=True)) + b) for ws, b in zip(weight, bias, strict=True)]
        )
    return energy(logits)


@pytest.mark.parametrize("percentile", [0, 40, 85, 93])
@pytest.mark.parametrize("precision", ["f8", "f4"])
@pytest.mark.parametrize("signed", ["refuse", "allow"])
def test_equals_the_slow_formula(percentile, precision, signed):
    features, weight, bias = made()
    if signed == "allow":
        features = features - 0.3
    head = Head.linear(weight.astype(precision), bias.astype(precision))
    found = LTS(signed, percentile).score(Outputs(features.astype(precision), head=head))
    wanted = slow(features, weight, bias, percentile)
    assert found.numpy() == pytest.approx(wanted, rel=1e-5 if precision == "f4" else 1e-9, abs=1e-5)


def test_without_positive_features_nothing_is_scaled():
    _, weight, bias = made()
    x = Outputs(-np.ones((2, weight.shape[1])), head=Head.linear(weight, bias))
    assert LTS("allow").score(x).numpy() == pytest.approx(x.logsumexp.numpy(), rel=1e-9)
