import numpy as np
import pytest
import torch

from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.gradnorm import GradNorm


def made(n=40, d=9, k=6, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=(k, d)), rng.normal(size=k)


def by_autograd(rows, weight, bias):
    """The norm of the gradient by the weights, one image after the other."""
    found = []
    for row in rows:
        w = torch.tensor(weight, requires_grad=True)
        (-(w @ torch.tensor(row) + torch.tensor(bias)).log_softmax(dim=0).sum()).backward()
        found.append(float(w.grad.abs().sum()))
    return found


def test_equals_the_gradient():
    features, weight, bias = made()
    wanted = by_autograd(features, weight, bias)
    x = Outputs(features, head=Head.linear(weight, bias))
    assert GradNorm().score(x).numpy() == pytest.approx(wanted, rel=1e-9)
    x = Outputs(features.astype("f4"), head=Head.linear(weight.astype("f4"), bias.astype("f4")))
    assert GradNorm().score(x).numpy() == pytest.approx(wanted, rel=1e-5)


def test_equals_a_numerical_gradient():
    features, weight, bias = made(n=4, d=3, k=4)

    def loss(row, w):
        z = w @ row + bias
        return -(z - z.max() - np.log(np.exp(z - z.max()).sum())).sum()

    wanted = []
    for row in features:
        total = 0.0
        for place in np.ndindex(weight.shape):
            step = np.zeros_like(weight)
            step[place] = 1e-5
            total += abs(loss(row, weight + step) - loss(row, weight - step)) / 2e-5
        wanted.append(total)
    x = Outputs(features, head=Head.linear(weight, bias))
    assert GradNorm().score(x).numpy() == pytest.approx(wanted, rel=1e-6)


def test_a_zero_shot_head_takes_unit_rows(make_outputs):
    x = make_outputs()
    rows = x.embeddings.double().numpy()
    wanted = by_autograd(rows, 10 * x.head.weight.double().numpy(), np.zeros(x.classes))
    assert GradNorm().score(x).numpy() == pytest.approx(wanted, rel=1e-5)


def test_equal_probabilities_have_no_gradient():
    x = Outputs(np.ones((2, 3)), head=Head.linear(np.ones((4, 3)), None))
    assert GradNorm().score(x).tolist() == [0.0, 0.0]
