import numpy as np
import pytest

from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.vra import VRA


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


def slow(val, asked, weight, bias, low, high, below, each):
    d = val.shape[1]
    columns = [val[:, j] if each else val.flatten() for j in range(d)]
    bounds = [(np.quantile(c, low / 100), np.quantile(c, high / 100)) for c in columns]

    def pulled(value, bound):
        if value > bound[1]:
            return bound[1]
        if value < bound[0]:
            return bound[0] if below == "clip" else 0.0
        return value

    rows = [[pulled(value, bound) for value, bound in zip(row, bounds, strict=True)] for row in asked]
    return energy([[sum(np.multiply(ws, row)) + b for ws, b in zip(weight, bias, strict=True)] for row in rows])


@pytest.mark.parametrize("below", ["clip", "zero"])
@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize(("low", "high"), [(10, 90), (60, 95), (0, 100)])
def test_equals_the_slow_formula(below, each, low, high):
    features, weight, bias = made()
    head = Head.linear(weight, bias)
    val, asked = Outputs(features[:40], head=head), Outputs(1.5 * features[40:], head=head)
    fitted = VRA(low=low, high=high, below=below, per_feature=each).fit(val)
    wanted = slow(features[:40], 1.5 * features[40:], weight, bias, low, high, below, each)
    assert fitted.score(asked).numpy() == pytest.approx(wanted, rel=1e-9)
    single = fitted.score(Outputs(asked.features.float(), head=Head.linear(weight.astype("f4"), bias.astype("f4"))))
    assert single.numpy() == pytest.approx(wanted, rel=1e-5, abs=1e-5)


def test_the_two_choices_differ():
    features, weight, bias = made()
    x = Outputs(features, head=Head.linear(weight, bias))
    clip, zero = (VRA(low=60, below=below).fit(x).score(x) for below in ("clip", "zero"))
    assert (clip - zero).abs().min() > 1e-6


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"low": 95}, "vra: low: expected at most high, 90, got 95"),
        ({"high": 101}, "vra: high: expected a number from 0 to 100, got 101"),
        ({"below": "cut"}, "vra: below: expected clip or zero, got 'cut'"),
    ],
)
def test_wrong_parameters_are_refused(wrong, message):
    with pytest.raises(ScorerError, match=message):
        VRA(**wrong)
