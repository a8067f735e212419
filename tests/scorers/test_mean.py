import numpy as np
import pytest

from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.scorers.classwise import Classwise
from ood_toolkit.scorers.maxlogit import MaxLogit
from ood_toolkit.scorers.mean import Mean

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(("target", "base"), [(0.95, None), (0.8, MaxLogit())])
def test_the_threshold_is_the_unweighted_mean_over_the_classes(make_outputs, target, base):
    val, x = make_outputs(900, seed=1), make_outputs(80, seed=3)
    scorer = (Mean(target=target) if base is None else Mean(base, target)).fit(val)
    scores = val.confidence if base is None else val.max_logit
    own = []
    for c in range(5):
        mine = np.sort(scores[val.prediction == c].double().numpy())[::-1]
        own.append(mine[-(-len(mine) * round(100 * target) // 100) - 1])
    theta = sum(own) / 5
    assert scorer.threshold_.numpy() == pytest.approx(np.full(5, theta))
    wanted = (x.confidence if base is None else x.max_logit).double().numpy() - theta
    assert scorer.score(x).numpy() == pytest.approx(wanted, rel=1e-9, abs=1e-12)


def test_small_classes_weigh_as_much_as_large_ones_after_shrinking():
    # 40 images of class 0 at one confidence, 10 of class 1 at another; class 2 is empty and takes the global one.
    val = Outputs.from_logits(np.array([[3.0, 0, 0]] * 40 + [[0, 1.0, 0]] * 10))
    high, low = np.exp(3) / (np.exp(3) + 2), np.e / (np.e + 2)
    shrunk = (10 * low + 20 * low) / 30
    assert Mean().fit(val).threshold_.numpy() == pytest.approx(np.full(3, (high + shrunk + low) / 3))


def test_targets_out_of_range_are_refused():
    with pytest.raises(ScorerError, match="target: expected a share between 0 and 1, got 0"):
        Mean(target=0)


@pytest.mark.parametrize("rule", ["mean", "f1", "youden"])
def test_it_is_the_mean_of_what_classwise_has_by_the_same_rule(make_outputs, rule):
    val = make_outputs(900, seed=1)
    one, each = Mean(rule=rule).fit(val).threshold_, Classwise(rule=rule).fit(val).threshold_
    assert one.numpy() == pytest.approx(np.full(5, sum(each.tolist()) / 5))
    assert abs(float(one[0] - Mean().fit(val).threshold_[0])) > 1e-3
    assert "val_labels" in Mean(rule=rule).needs - Mean().needs


def test_a_class_without_a_promise_lets_all_pass():
    """One threshold of minus infinity makes their mean so, and no margin falls below 0."""
    val = Outputs.from_logits(np.array([[3.0, 0, 0]] * 40 + [[0, 1.0, 0]] * 10))
    assert (Mean(rule="conformal").fit(val).score(val) >= 0).all()
