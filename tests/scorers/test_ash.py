import numpy as np
import pytest

from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.ash import ASHB, ASHP, ASHS


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


def slow(asked, weight, bias, percentile, variant):
    d = asked.shape[1]
    t = d - int(np.round(d * percentile / 100))
    rows = []
    for row in asked:
        places = sorted(range(d), key=lambda j: -row[j])[:t]
        new = [0.0] * d
        for j in places:
            if variant == "p":
                new[j] = row[j]
            elif variant == "b":
                new[j] = sum(row) / t
            else:
                new[j] = row[j] * np.exp(sum(row) / sum(row[i] for i in places))
        rows.append(new)
    return energy([[sum(np.multiply(ws, row)) + b for ws, b in zip(weight, bias, strict=True)] for row in rows])


@pytest.mark.parametrize(("kind", "variant"), [(ASHP, "p"), (ASHB, "b"), (ASHS, "s")])
@pytest.mark.parametrize("percentile", [0, 40, 65, 90])
@pytest.mark.parametrize("precision", ["f8", "f4"])
def test_equals_the_slow_formula(kind, variant, percentile, precision):
    features, weight, bias = made()
    head = Head.linear(weight.astype(precision), bias.astype(precision))
    found = kind(percentile=percentile).score(Outputs(features.astype(precision), head=head))
    wanted = slow(features, weight, bias, percentile, variant)
    assert found.numpy() == pytest.approx(wanted, rel=1e-5 if precision == "f4" else 1e-9, abs=1e-6)


def test_nothing_pruned_is_energy_and_the_sum_stays():
    features, weight, bias = made()
    x = Outputs(features, head=Head.linear(weight, bias))
    assert ASHP(percentile=0).score(x).numpy() == pytest.approx(x.logsumexp.numpy(), rel=1e-9)
    # With one class of weights 1 and no bias the energy is the sum of the row.
    one = Outputs(features, head=Head.linear(np.ones((1, features.shape[1])), None))
    assert ASHB().score(one).numpy() == pytest.approx(features.sum(axis=1), rel=1e-9)


def test_defaults():
    assert [kind().percentile for kind in (ASHP, ASHB, ASHS)] == [65.0, 65.0, 90.0]
