import numpy as np
import pytest

from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.scale import SCALE


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
        factor = np.exp(sum(row) / sum(sorted(row)[d - t :]))
        logits.append(
            [factor * sum(w * h for w, h in zip(ws, row, strict=True)) + b for ws, b in zip(weight, bias, strict=True)]
        )
    return energy(logits)


@pytest.mark.parametrize("percentile", [0, 40, 85, 93])
@pytest.mark.parametrize("precision", ["f8", "f4"])
def test_equals_the_slow_formula(percentile, precision):
    features, weight, bias = made()
    head = Head.linear(weight.astype(precision), bias.astype(precision))
    found = SCALE(percentile=percentile).score(Outputs(features.astype(precision), head=head))
    wanted = slow(features, weight, bias, percentile)
    assert found.numpy() == pytest.approx(wanted, rel=1e-5 if precision == "f4" else 1e-9, abs=1e-5)


def test_a_row_of_zeros_gives_the_energy_of_the_bias():
    _, weight, bias = made()
    x = Outputs(np.zeros((2, weight.shape[1])), head=Head.linear(weight, bias))
    assert SCALE().score(x).numpy() == pytest.approx(energy([bias, bias]), rel=1e-9)
