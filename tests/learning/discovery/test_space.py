import numpy as np
import pytest
import torch

from ood_toolkit.errors import OutputsError
from ood_toolkit.learning.discovery.space import POWER, SHRINKAGE, Space
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(200, 6)) @ np.diag([4, 2, 1, 1, 0.5, 0.1]) + 3
ROWS /= np.linalg.norm(ROWS, axis=1, keepdims=True)


def test_a_space_has_about_unit_variance_in_every_direction_of_the_rows_it_was_learned_on():
    white = Space.of(ROWS, power=1).white(ROWS)
    assert white.mean(axis=0) == pytest.approx(np.zeros(6), abs=1e-9)
    values = np.linalg.eigvalsh(np.cov(ROWS.T, bias=True))
    expected = np.sort(values / (values + SHRINKAGE * values.mean()))
    assert np.linalg.eigvalsh(np.cov(white.T, bias=True)) == pytest.approx(expected, abs=1e-6)
    assert expected.max() > 0.99


def test_a_lower_power_takes_less_of_the_spread_out():
    values = np.linalg.eigvalsh(np.cov(ROWS.T, bias=True))
    white = np.linalg.eigvalsh(np.cov(Space.of(ROWS).white(ROWS).T, bias=True))
    expected = values / (values + SHRINKAGE * values.mean()) ** POWER
    assert white == pytest.approx(np.sort(expected), abs=1e-9)


def test_angles_are_those_of_the_inverse_covariance():
    space, x = Space.of(ROWS, power=1), RNG.normal(size=(5, 6))
    covariance = np.cov(ROWS.T, bias=True)
    inverse = np.linalg.inv(covariance + SHRINKAGE * np.trace(covariance) / 6 * np.eye(6))
    units = space.unit(x)
    for i in range(5):
        for j in range(5):
            a, b = x[i] - ROWS.mean(axis=0), x[j] - ROWS.mean(axis=0)
            cosine = a @ inverse @ b / np.sqrt((a @ inverse @ a) * (b @ inverse @ b))
            assert units[i] @ units[j] == pytest.approx(cosine, abs=1e-9)


def test_a_folded_head_gives_the_logits_of_the_head_in_the_space():
    space, features = Space.of(ROWS), RNG.normal(size=(7, 6)).astype(np.float32)
    inside = Head.linear(RNG.normal(size=(3, 6)).astype(np.float32), RNG.normal(size=3).astype(np.float32), "abc")
    x = Outputs(features)
    expected = space.white(x.embeddings.numpy()) @ inside.weight.numpy().T.astype(float) + inside.bias.numpy()
    folded = space.folded(inside)
    assert folded.unit_rows
    assert folded.class_names == ("a", "b", "c")
    found = Outputs(torch.from_numpy(features), head=folded).logits.numpy()
    assert found == pytest.approx(expected, abs=1e-4 * np.abs(expected).max())


def test_rows_that_do_not_differ_are_refused():
    with pytest.raises(OutputsError, match="expected training embeddings that differ, got 4 equal ones"):
        Space.of(np.ones((4, 3)))
