import numpy as np
import pytest

from ood_toolkit.api.registry import get_registry
from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.vim import ViM

pytestmark = pytest.mark.quick


def slow(case, dim):
    u = -np.linalg.lstsq(case.w, case.b, rcond=None)[0]
    _, _, directions = np.linalg.svd(np.array([row - u for row in case.h[0]]), full_matrices=True)

    def left(row):
        rest = row - u
        for direction in directions[:dim]:
            rest = rest - (rest @ direction) * direction
        return np.sqrt((rest**2).sum())

    alpha = np.mean([max(row) for row in case.z[0]]) / np.mean([left(row) for row in case.h[0]])
    return [np.log(np.exp(z).sum()) - alpha * left(h) for h, z in zip(case.h[1], case.z[1], strict=True)]


@pytest.mark.parametrize("dim", [1, 4, 11])
def test_equals_loops(case, dim):
    got, wanted = ViM(dim).fit(case.x, case.train).score(case.x).numpy(), slow(case, dim)
    assert got == pytest.approx(wanted, rel=case.rel, abs=case.rel * np.abs(wanted).max())


def test_the_default_is_half_the_width(case):
    got, wanted = ViM().fit(case.x, case.train).score(case.x).numpy(), slow(case, 6)
    assert got == pytest.approx(wanted, rel=case.rel, abs=case.rel * np.abs(wanted).max())


def test_golden_value():
    """u = 0; residuals 1 and 1, logits 2 and 4: alpha = 3; LSE of one class is its logit."""
    head = Head.linear([[2.0, 0.0]], [0.0])
    train, x = Outputs([[1.0, 1], [2, -1], [2, 1], [1, -1]], head=head), Outputs([[5.0, 0], [5, 2]], head=head)
    assert ViM(1).fit(x, train).score(x).tolist() == pytest.approx([10, 4], rel=1e-6)


def test_its_spec_parses():
    assert get_registry().scorer("vim:dim=3") == ViM(3)
    assert get_registry().scorer("vim") == ViM()
    assert ViM(3).spec == "vim:dim=3"


def test_what_cannot_be_learned_from_is_refused(case):
    flat = Outputs(case.train.features[:4], head=case.train.head)
    with pytest.raises(ScorerError, match="vim: the training features lie within the subspace; lower dim or give"):
        ViM(6).fit(case.x, flat)
    low = Head.linear(case.w, case.b - 1000)
    with pytest.raises(ScorerError, match="vim: expected training images whose largest logits are above 0 on average"):
        ViM(6).fit(case.x, Outputs(case.train.features, head=low))
    with pytest.raises(ScorerError, match="vim: dim=12: expected less than the width of the features, 12"):
        ViM(12).fit(case.x, case.train)
