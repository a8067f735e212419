import numpy as np
import pytest

from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.nci import NCI


@pytest.mark.parametrize("alpha", [None, 0.0, 0.5])
def test_equals_loops(case, alpha):
    mean = sum(case.h[0]) / len(case.h[0])
    used = 1e-4 if alpha is None else alpha
    wanted = [
        case.w[z.argmax()] @ (h - mean) / np.sqrt(((h - mean) ** 2).sum()) + used * sum(abs(v) for v in h)
        for h, z in zip(case.h[1], case.z[1], strict=True)
    ]
    scorer = (NCI() if alpha is None else NCI(alpha)).fit(case.x, case.train)
    assert scorer.score(case.x).numpy() == pytest.approx(wanted, rel=case.rel, abs=case.rel * np.abs(wanted).max())


def test_a_training_set_in_chunks_is_the_same(case, monkeypatch):
    whole = NCI().fit(case.x, case.train).score(case.x).numpy()
    monkeypatch.setattr(Outputs, "chunk_rows", 7)
    assert NCI().fit(case.x, case.train).score(case.x).numpy() == pytest.approx(whole, rel=1e-9)


def test_golden_value_and_an_image_at_the_mean():
    head = Head.linear([[2.0, 0.0], [0.0, 2.0]], [0.0, 0.0])
    train, x = Outputs([[1.0, 0], [1, 2]], head=head), Outputs([[4.0, 5], [1, 1], [3, 1]], head=head)
    got = NCI(alpha=0.1).fit(x, train).score(x).tolist()
    assert got == pytest.approx([2 * 4 / 5 + 0.9, 0.2, 2 + 0.4], rel=1e-6)


@pytest.mark.parametrize("alpha", [-1.0, float("nan"), float("inf"), True, "1"])
def test_parameters_out_of_range_are_refused(alpha):
    with pytest.raises(ScorerError, match="nci: alpha: expected a number of at least 0, got"):
        NCI(alpha)
