import numpy as np
import pytest

from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.scorers.classwise import Classwise, ClasswiseEntropy
from ood_toolkit.scorers.entropy import Entropy
from ood_toolkit.scorers.knn import KNN
from ood_toolkit.scorers.maxlogit import MaxLogit
from ood_toolkit.scorers.msp import MSP
from ood_toolkit.scorers.thresholds import class_thresholds

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("base", [MSP(), MaxLogit(), KNN(k=3)], ids=lambda base: base.name)
def test_tpr_equals_a_loop_over_the_classes(make_outputs, base):
    val, train, x = make_outputs(900, seed=1), make_outputs(50, seed=2), make_outputs(80, seed=3)
    fitted = base.clone().fit(val, train)
    scores, predicted = fitted.score(val).double().numpy(), val.prediction.numpy()
    wanted = []
    for score, c in zip(fitted.score(x).double().numpy(), x.prediction.numpy(), strict=True):
        own = np.sort(scores[predicted == c])[::-1]
        assert len(own) >= 20
        wanted.append(score - own[(19 * len(own) + 19) // 20 - 1])
    scorer = Classwise(base=base).fit(val, train)
    assert scorer.score(x).numpy() == pytest.approx(np.array(wanted), rel=1e-9, abs=1e-12)
    assert scorer.notes_ == []
    assert scorer.threshold == 0.0


def test_at_least_95_percent_of_each_class_of_validation_is_accepted(make_outputs):
    val = make_outputs(900, seed=1)
    accepted = Classwise().fit(val).score(val) >= 0
    for c in range(5):
        mine = val.prediction == c
        n = int(mine.sum())
        assert int(accepted[mine].sum()) == (19 * n + 19) // 20


@pytest.mark.parametrize("rule", ["tpr", "mean", "f1", "youden", "conformal"])
def test_every_rule_is_that_of_the_thresholds(make_outputs, rule):
    val, x = make_outputs(600, seed=1), make_outputs(80, seed=3)
    scorer = Classwise(rule=rule, target=0.9).fit(val)
    right = val.prediction == val.labels
    found = class_thresholds(rule, val.confidence, val.prediction, 5, right, 0.9)
    assert 0 < (~right).sum() < 600
    assert scorer.threshold_.tolist() == found.values.tolist()
    wanted = [c - found.values[p] for c, p in zip(x.confidence.tolist(), x.prediction.tolist(), strict=True)]
    assert scorer.score(x).numpy() == pytest.approx(wanted, rel=1e-12, abs=1e-12)


def test_a_set_without_wrong_predictions_says_so():
    val = Outputs.from_logits(np.eye(3)[np.arange(60) % 3] * 4, labels=np.arange(60) % 3)
    scorer = Classwise(rule="youden").fit(val)
    assert scorer.notes_ == ["youden: validation lacks right or wrong predictions; took the tpr threshold"]


def test_a_class_without_a_promise_is_accepted_with_a_finite_margin():
    scorer = Classwise(rule="conformal").fit(Outputs.from_logits([[1.0, 0.0]] * 30))
    score = scorer.score(Outputs.from_logits([[0.0, 3.0], [0.5, 0.0]]))
    assert bool(score.isfinite().all())
    assert (score >= 0).tolist() == [True, False]
    assert "conformal: 1 of 2 classes have too few images to promise; threshold -inf" in scorer.notes_


def test_confidences_near_one_stay_distinct():
    gaps = np.linspace(20, 36, 40)
    val = Outputs.from_logits(np.stack([gaps, 0 * gaps], axis=1).astype("f4"))
    score = Classwise().fit(val).score(val)
    assert (score.diff() > 0).all()
    assert (score >= 0).sum() == 38


def test_entropy_is_compared_over_the_logarithm_of_the_classes(make_outputs):
    val, x = make_outputs(600, seed=1), make_outputs(80, seed=3)
    scorer = ClasswiseEntropy().fit(val)

    def negative_entropy(logits):
        p = np.exp(logits) / np.exp(logits).sum()
        return float((p * np.log(p)).sum() / np.log(5))

    scores = [negative_entropy(row) for row in val.logits.double().numpy()]
    found = class_thresholds("tpr", scores, val.prediction, 5)
    wanted = [
        negative_entropy(row) - found.values[c]
        for row, c in zip(x.logits.double().numpy(), x.prediction.tolist(), strict=True)
    ]
    assert scorer.score(x).numpy() == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    assert scorer.base == Entropy(normalised=True)


def test_the_given_base_is_not_fitted_itself(make_outputs):
    base = KNN(k=2)
    scorer = Classwise(base=base).fit(make_outputs(), make_outputs(seed=1))
    assert not base.learned()
    assert scorer.base is base


def test_unknown_rules_and_targets_are_refused():
    with pytest.raises(ScorerError, match="rule: unknown rule 'yuden'; did you mean 'youden'"):
        Classwise(rule="yuden")
    with pytest.raises(ScorerError, match="target: expected a share between 0 and 1, got 95"):
        Classwise(target=95)
