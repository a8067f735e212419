import numpy as np
import pytest

from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.scorers import relation as module
from ood_toolkit.scorers.relation import Relation


def softmax(row):
    raised = [np.exp(v - max(row)) for v in row]
    return np.array(raised) / sum(raised)


def slow(case, power, cutoff):
    found = []
    p_train = [softmax(z) for z in case.z[0]]
    for h, z in zip(case.unit[1], case.z[1], strict=True):
        own = softmax(z)
        ties = [max(h @ other, 0) * (own @ p) for other, p in zip(case.unit[0], p_train, strict=True)]
        assert min(abs(tie - cutoff) for tie in ties) > 1e-6
        found.append(sum(tie**power for tie in ties if tie > cutoff))
    return found


@pytest.mark.parametrize("rows", [31, 2048])
@pytest.mark.parametrize(("power", "cutoff"), [(1.0, 0.03), (4.0, 0.03), (1.0, 0.3)])
def test_equals_loops_whatever_the_size_of_the_blocks(case, monkeypatch, power, cutoff, rows):
    monkeypatch.setattr(module, "BANK_ROWS", rows)
    got, wanted = Relation(power, cutoff).fit(case.x, case.train).score(case.x).numpy(), slow(case, power, cutoff)
    assert got == pytest.approx(wanted, rel=10 * case.rel, abs=case.rel)
    assert min(wanted) < max(wanted)


def test_the_defaults(case):
    got = Relation().fit(case.x, case.train).score(case.x).numpy()
    assert got == pytest.approx(slow(case, 1, 0.03), rel=10 * case.rel, abs=case.rel)


def test_golden_value():
    """Products of probabilities .5 throughout; cosines 1, .6, 0.02 and -1: the last two do not count."""
    x = Outputs([[2.0, 0.0]], [[0.0, 0.0]])
    train = Outputs([[1.0, 0.0], [3.0, 4.0], [0.02, np.sqrt(1 - 0.02**2)], [-1.0, 0.0]], np.zeros((4, 2)))
    assert Relation().fit(x, train).score(x).tolist() == pytest.approx([0.5 + 0.3])
    assert Relation(power=2.0).fit(x, train).score(x).tolist() == pytest.approx([0.25 + 0.09])
    assert Relation(cutoff=0.005).fit(x, train).score(x).tolist() == pytest.approx([0.5 + 0.3 + 0.01])


def test_parameters_out_of_range_are_refused():
    with pytest.raises(ScorerError, match="relation: power: expected a number above 0, got 0"):
        Relation(power=0)
    with pytest.raises(ScorerError, match="relation: cutoff: expected a number above 0, got -1"):
        Relation(cutoff=-1)
