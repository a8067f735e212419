import numpy as np
import pytest

from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.residual import Residual


def slow(case, dim):
    """Distance from the best-fitting subspace through u, by an SVD of the rows and one projection an image."""
    u = -np.linalg.lstsq(case.w, case.b, rcond=None)[0]
    _, _, directions = np.linalg.svd(np.array([row - u for row in case.h[0]]), full_matrices=True)
    found = []
    for query in case.h[1]:
        rest = query - u
        for direction in directions[:dim]:
            rest = rest - (rest @ direction) * direction
        found.append(-np.sqrt((rest**2).sum()))
    return found


@pytest.mark.parametrize("dim", [1, 3, 8, 11])
def test_equals_loops(case, dim):
    got = Residual(dim).fit(case.x, case.train).score(case.x).numpy()
    assert got == pytest.approx(slow(case, dim), rel=case.rel, abs=case.rel)


def test_the_default_is_half_the_width(case):
    assert Residual().fit(case.x, case.train).score(case.x).numpy() == pytest.approx(
        slow(case, 6), rel=case.rel, abs=case.rel
    )


@pytest.mark.parametrize(("width", "dim"), [(1, 0), (9, 4), (767, 383), (768, 512), (2047, 512), (2048, 1000)])
def test_the_rule_for_the_dimension(width, dim):
    assert Residual().dimension(width) == dim


def test_a_training_set_in_chunks_is_the_same(case, monkeypatch):
    whole = Residual(3).fit(case.x, case.train).score(case.x).numpy()
    monkeypatch.setattr(Outputs, "chunk_rows", 7)
    assert Residual(3).fit(case.x, case.train).score(case.x).numpy() == pytest.approx(whole, rel=1e-6)


def test_golden_value():
    """u = (0, -1) of W = (0, 2), b = 2; training images lie on the line through it along the first axis."""
    head = Head.linear([[0.0, 2.0]], [2.0])
    train, x = Outputs([[1.0, -1], [-2, -1]], head=head), Outputs([[5.0, -1], [7, 2]], head=head)
    assert Residual(1).fit(x, train).score(x).tolist() == pytest.approx([0, -3], abs=1e-7)


@pytest.mark.parametrize("dim", [0, -1, 1.5, True])
def test_no_dimension_is_refused(dim):
    with pytest.raises(ScorerError, match=f"residual: dim: expected a whole number above 0 or none, got {dim}"):
        Residual(dim)


def test_what_cannot_be_learned_from_is_refused(case):
    with pytest.raises(ScorerError, match="residual: dim=12: expected less than the width of the features, 12"):
        Residual(12).fit(case.x, case.train)
    with pytest.raises(ScorerError, match="residual: needs head, got training outputs without one"):
        Residual(2).fit(case.x, Outputs(case.train.features))
