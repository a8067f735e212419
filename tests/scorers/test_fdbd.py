import numpy as np
import pytest

from ood_toolkit.errors import OutputsError, ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.fdbd import FDBD


@pytest.mark.parametrize("normalizer", ["distance", "feature"])
def test_equals_loops(case, normalizer):
    mean = sum(case.h[0]) / len(case.h[0])
    wanted = []
    for h, z in zip(case.h[1], case.z[1], strict=True):
        y = int(z.argmax())
        apart = [(z[y] - z[c]) / np.sqrt(((case.w[y] - case.w[c]) ** 2).sum()) for c in range(5) if c != y]
        by = h - mean if normalizer == "distance" else h
        wanted.append(sum(apart) / np.sqrt((by**2).sum()))
    scorer = FDBD(normalizer).fit(case.x, case.train)
    assert scorer.score(case.x).numpy() == pytest.approx(wanted, rel=case.rel, abs=case.rel)
    assert min(wanted) >= 0


def test_golden_value():
    """The boundary of the two classes is the diagonal; (3, 1) lies sqrt(2) from it and 2 from the mean."""
    head = Head.linear([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0])
    train, x = Outputs([[1.0, 0], [1, 2]], head=head), Outputs([[3.0, 1]], head=head)
    assert FDBD().fit(x, train).score(x).tolist() == pytest.approx([np.sqrt(2) / 2])
    assert FDBD("feature").fit(x, train).score(x).tolist() == pytest.approx([np.sqrt(2) / np.sqrt(10)])


def test_classes_of_equal_rows_have_no_boundary_between_them():
    once = Head.linear([[1.0, 0.1], [0.3, 1.0]], [0.0, 0.0])
    twice = Head.linear([[1.0, 0.1], [0.3, 1.0], [1.0, 0.1]], [0.0, 0.0, -0.5])
    rows, queries = np.array([[1.0, 0], [1, 2]]), np.array([[3.0, 1], [2, 0.3]])
    got = FDBD().fit(Outputs(queries, head=twice), Outputs(rows, head=twice)).score(Outputs(queries, head=twice))
    want = FDBD().fit(Outputs(queries, head=once), Outputs(rows, head=once)).score(Outputs(queries, head=once))
    assert got.tolist() == pytest.approx(want.tolist(), rel=1e-6)


def test_close_rows_of_a_head_keep_their_distance():
    """Rows a hundred-thousandth apart: their boundary is real, at a distance that no cancellation may spoil."""
    weight = np.array([[1.0, 0.0], [1.0, 1e-5]])
    head = Head.linear(weight, [0.0, 0.0])
    train, x = Outputs(np.array([[0.0, 0], [0, 0]]), head=head), Outputs(np.array([[3.0, 4.0]]), head=head)
    assert FDBD().fit(x, train).score(x).tolist() == pytest.approx([4 / 5], rel=1e-5)


def test_a_row_of_zeros_stays_finite():
    head = Head.linear([[1.0, 0.0], [0.0, 1.0]], [1.0, 0.0])
    x = Outputs([[0.0, 0.0]], head=head)
    assert np.isfinite(FDBD("feature").fit(x, x).score(x).tolist()).all()


def test_what_cannot_be_used_is_refused():
    with pytest.raises(ScorerError, match="fdbd: normalizer: expected distance or feature, got 'mean'"):
        FDBD("mean")
    x = Outputs([[1.0]], [[1.0]])
    with pytest.raises(OutputsError, match="head_input: needs a head"):
        FDBD().fit(x, x)
