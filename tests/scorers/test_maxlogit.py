import pytest

from ood_toolkit.metrics import auroc
from ood_toolkit.outputs import Outputs
from ood_toolkit.scorers.maxlogit import MaxLogit

pytestmark = pytest.mark.quick


def test_golden_values():
    x = Outputs.from_logits([[2.0, 1, 0, -1], [0.5, 0.4, 0.3, 0.2]])
    assert MaxLogit().score(x).tolist() == [2.0, 0.5]


def test_is_the_largest_logit_wherever_it_stands(make_outputs):
    x = make_outputs(bias=-4.0)
    wanted = [max(10 * float(cosine) - 4 for cosine in row) for row in x.cosine]
    assert MaxLogit().score(x).numpy() == pytest.approx(wanted, abs=1e-5)


def test_huge_logits_are_kept():
    assert MaxLogit().score(Outputs.from_logits([[1e30, -1e30], [-1e30, -1e35]])).numpy() == pytest.approx(
        [1e30, -1e30]
    )


def test_real_clip_vectors_give_the_known_auroc(clip):
    found = auroc(MaxLogit().score(clip["cifar10"]), MaxLogit().score(clip["food101"]))
    assert found == pytest.approx(0.9958, abs=1e-4)
