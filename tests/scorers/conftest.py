"""What tests of scores that compare with training features share: a problem as outputs and as plain float64 arrays."""

from dataclasses import dataclass

import numpy as np
import pytest

from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head


def unit(rows):
    return np.array([row / np.sqrt((row**2).sum()) for row in rows])


@dataclass
class Case:
    """Training images and queries under one head; arrays in float64, whatever precision the outputs have."""

    train: Outputs
    x: Outputs
    labels: np.ndarray
    w: np.ndarray
    """(k, d) what the head multiplies by."""
    b: np.ndarray
    raw: tuple[np.ndarray, np.ndarray]
    """Features of train and x as given."""
    unit: tuple[np.ndarray, np.ndarray]
    h: tuple[np.ndarray, np.ndarray]
    """What the head multiplies: raw under a linear head, unit rows under a zero-shot one."""
    z: tuple[np.ndarray, np.ndarray]
    rel: float
    """How near float64 loops a score must be."""


@pytest.fixture(params=["linear f8", "linear f4", "zero-shot f8", "zero-shot f4"])
def case(request):
    kind, dtype = request.param.split()
    rng = np.random.default_rng(7)
    k, d = 5, 12
    weight = rng.normal(size=(k, d)).astype(dtype)
    bias = rng.normal(size=k).astype(dtype)
    labels = rng.integers(0, k, 240)
    train = (1.2 * weight[labels] + 1.3 * rng.normal(size=(240, d))).astype(dtype)
    x = (1.8 * weight[labels[:50]] + 1.5 * rng.normal(size=(50, d)) + 0.3).astype(dtype)
    names = [f"class {i}" for i in range(k)]
    linear = kind == "linear"
    head = Head.linear(weight, bias, names) if linear else Head.zero_shot(weight, names, scale=20.0, bias=1.5)
    raw = (train.astype("f8"), x.astype("f8"))
    ones = (unit(raw[0]), unit(raw[1]))
    w = weight.astype("f8") if linear else 20 * unit(weight.astype("f8"))
    b = bias.astype("f8") if linear else np.full(k, 1.5)
    h = raw if linear else ones
    z = tuple(np.array([[row @ w[c] + b[c] for c in range(k)] for row in rows]) for rows in h)
    right = z[0].argmax(axis=1) == labels
    assert 0.5 < right.mean() < 0.99
    outputs = (Outputs(train, labels=labels, head=head), Outputs(x, head=head))
    return Case(*outputs, labels, w, b, raw, ones, h, z, 1e-9 if dtype == "f8" else 1e-5)
