import numpy as np
import pytest
import torch

from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.scorers.families import neighbours
from ood_toolkit.scorers.nnguide import NNGuide


def energy(z):
    return np.array([np.log(sum(np.exp(v - row.max()) for v in row)) + row.max() for row in z])


def slow(case, k, bank):
    of_train, own = energy(case.z[0]), energy(case.z[1])
    scaled = [of_train[i] * case.unit[0][i] for i in bank]
    return [
        own[q] * np.mean(sorted((row @ case.unit[1][q] for row in scaled), reverse=True)[:k]) for q in range(len(own))
    ]


@pytest.mark.parametrize("rows", [31, 8192])
@pytest.mark.parametrize("k", [1, 10, 240])
def test_equals_loops_whatever_the_size_of_the_blocks(case, monkeypatch, k, rows):
    monkeypatch.setattr(neighbours, "BANK_ROWS", rows)
    wanted = slow(case, k, range(240))
    got = NNGuide(k=k, alpha=1.0).fit(case.x, case.train).score(case.x).numpy()
    assert got == pytest.approx(wanted, rel=case.rel, abs=case.rel * np.abs(wanted).max())


def test_the_bank_is_a_drawn_share(case):
    drawn = torch.randperm(240, generator=torch.Generator().manual_seed(3))[:60].tolist()
    got = NNGuide(k=10, alpha=0.25, seed=3).fit(case.x, case.train).score(case.x).numpy()
    wanted = slow(case, 10, drawn)
    assert got == pytest.approx(wanted, rel=case.rel, abs=case.rel * np.abs(wanted).max())
    other = NNGuide(k=10, alpha=0.25, seed=4).fit(case.x, case.train).score(case.x).numpy()
    assert np.abs(other / got - 1).max() > 1e-3


def test_the_bank_never_has_fewer_than_k_images(case):
    assert len(NNGuide(k=100).fit(case.x, case.train).bank_) == 100
    assert len(NNGuide(k=2).fit(case.x, case.train).bank_) == 2
    assert len(NNGuide(k=2, alpha=0.5).fit(case.x, case.train).bank_) == 120


def test_golden_value_and_neighbours_by_the_scaled_product():
    """Energies log 2 + (1, 5): the row at 60 degrees counts 5.69 / 2 = 2.85, more than the one at 0 with 1.69."""
    train = Outputs([[3.0, 0.0], [0.5, np.sqrt(0.75)]], [[1.0, 1.0], [5.0, 5.0]])
    x = Outputs([[2.0, 0.0]], [[0.0, 0.0]])
    got = NNGuide(k=1, alpha=1.0).fit(x, train).score(x).tolist()
    assert got == pytest.approx([np.log(2) * (np.log(2) + 5) / 2], rel=1e-6)
    both = NNGuide(k=2, alpha=1.0).fit(x, train).score(x).tolist()
    assert both == pytest.approx([np.log(2) * ((np.log(2) + 5) / 2 + np.log(2) + 1) / 2], rel=1e-6)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"k": 0}, "nnguide: k: expected a whole number above 0, got 0"),
        ({"alpha": 0.0}, "nnguide: alpha: expected a number above 0, got 0.0"),
        ({"alpha": 1.5}, "nnguide: alpha: expected a share, at most 1, got 1.5"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters, message):
    with pytest.raises(ScorerError) as error:
        NNGuide(**parameters)
    assert str(error.value) == message


def test_too_few_images_are_refused():
    x = Outputs([[1.0], [2.0]], [[0.0], [0.0]])
    with pytest.raises(ScorerError, match="nnguide: k=100, but there are only 2 training images; lower k"):
        NNGuide().fit(x, x)
