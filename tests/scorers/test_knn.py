import numpy as np
import pytest
import torch

from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.scorers.families import neighbours as module
from ood_toolkit.scorers.knn import KNN

pytestmark = pytest.mark.quick


def brute_force(bank, queries, k):
    unit = [row / np.sqrt((row**2).sum()) for row in bank.astype(np.float64)]
    found = []
    for query in queries.astype(np.float64):
        query = query / np.sqrt((query**2).sum())
        found.append(-sorted(float(((query - row) ** 2).sum()) for row in unit)[k - 1])
    return found


@pytest.mark.parametrize("rows", [1, 7, 30, 200])
@pytest.mark.parametrize("k", [1, 2, 29, 200])
def test_equals_brute_force_whatever_the_size_of_the_blocks(monkeypatch, rows, k):
    monkeypatch.setattr(module, "BANK_ROWS", rows)
    rng = np.random.default_rng(0)
    bank, queries = rng.normal(size=(200, 5)), rng.normal(size=(40, 5)) * 3
    scorer = KNN(k).fit(Outputs(queries), Outputs(bank.astype("f4")))
    wanted = brute_force(bank.astype("f4"), queries.astype("f4"), k)
    assert scorer.score(Outputs(queries.astype("f4"))).numpy() == pytest.approx(wanted, rel=1e-5, abs=1e-7)


def test_the_default_is_the_fiftieth():
    rng = np.random.default_rng(1)
    bank, queries = rng.normal(size=(300, 4)), rng.normal(size=(20, 4))
    scorer = KNN().fit(Outputs(queries), Outputs(bank))
    assert scorer.score(Outputs(queries)).numpy() == pytest.approx(brute_force(bank, queries, 50), rel=1e-9)


def test_precisions_may_differ():
    rng = np.random.default_rng(1)
    bank, queries = rng.normal(size=(60, 4)), rng.normal(size=(20, 4))
    wanted = brute_force(bank, queries, 3)
    for stored, asked in (("f4", "f8"), ("f8", "f4"), ("f2", "f8")):
        scorer = KNN(3).fit(Outputs(queries), Outputs(bank.astype(stored)))
        assert scorer.score(Outputs(queries.astype(asked))).numpy() == pytest.approx(wanted, rel=0.02, abs=1e-2)


def test_the_range_is_from_minus_four_to_zero():
    scorer = KNN(1).fit(Outputs([[1.0, 0.0]]), Outputs([[2.0, 0.0]]))
    assert scorer.score(Outputs([[9.0, 0], [-1, 0], [0, 3]])).tolist() == [0, -4, -2]


def test_near_duplicates_keep_their_digits():
    steps = torch.arange(1, 20).double() * 1e-5
    scorer = KNN(1).fit(Outputs([[1.0, 0.0]]), Outputs(torch.tensor([[1.0, 0.0]])))
    x = Outputs(torch.stack([steps.cos(), steps.sin()], dim=1).float())
    assert scorer.score(x).numpy() == pytest.approx(-(steps**2).numpy(), rel=1e-4)


def test_a_row_of_zeros_has_a_finite_score():
    scorer = KNN(1).fit(Outputs([[1.0, 0.0]]), Outputs([[2.0, 0.0]]))
    assert scorer.score(Outputs([[0.0, 0.0]])).tolist() == [-1]


def test_more_neighbours_than_images_are_refused():
    with pytest.raises(ScorerError, match="knn: k=3, but there are only 2 training images; lower k"):
        KNN(3).fit(Outputs([[1.0]]), Outputs([[1.0], [2.0]]))
    with pytest.raises(ScorerError, match="knn: k: expected a whole number above 0, got 0"):
        KNN(0)
