import numpy as np
import pytest

from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.scorers.mahalanobis import Mahalanobis
from ood_toolkit.scorers.mahalanobis_pp import MahalanobisPP


def test_equals_loops_on_unit_rows(case):
    rows, queries = case.unit
    means = [np.mean([r for r, c in zip(rows, case.labels, strict=True) if c == k], axis=0) for k in range(5)]
    tied = sum(np.outer(r - means[c], r - means[c]) for r, c in zip(rows, case.labels, strict=True)) / len(rows)
    wanted = [max(-(q - m) @ np.linalg.inv(tied) @ (q - m) for m in means) for q in queries]
    got = MahalanobisPP().fit(case.x, case.train).score(case.x).numpy()
    assert got == pytest.approx(wanted, rel=case.rel)
    assert got.tolist() == Mahalanobis(normalise=True).fit(case.x, case.train).score(case.x).tolist()


def test_the_length_of_a_row_does_not_matter(case):
    scorer = MahalanobisPP().fit(case.x, case.train)
    longer = Outputs(case.x.features * 8, head=case.x.head)
    assert scorer.score(longer).tolist() == pytest.approx(scorer.score(case.x).tolist(), rel=1e-12)


def test_no_spread_is_refused_under_its_own_name():
    train = Outputs([[1.0, 0], [2, 0], [0, 1], [0, 3]], np.zeros((4, 2)), labels=[0, 0, 1, 1])
    with pytest.raises(ScorerError, match="mahalanobis-pp: the training features have no spread"):
        MahalanobisPP().fit(train, train)
