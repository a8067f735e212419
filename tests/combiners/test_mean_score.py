import numpy as np
import pytest

from ood_toolkit.api.combiner import Scored
from ood_toolkit.combiners.mean_score import MeanScore
from ood_toolkit.errors import NotFittedError, ScorerError

pytestmark = pytest.mark.quick


def member(score, confidence=None, own=None, name="a"):
    n = len(score)
    return Scored([name] * n, [0.5] * n if confidence is None else confidence, score, np.zeros(n), own)


def test_scores_are_standardised_averaged_and_decided_on_the_combined_validation():
    # Spreads: 1 around 1, and 20 around 40. Standardised validation: (-1, 1) and (1, -1), so 0 and 0 in the mean.
    fitted = MeanScore(target=0.5).fit([member([0.0, 2.0]), member([60.0, 20.0])])
    assert (fitted.centre_, fitted.spread_, fitted.threshold_) == ([1.0, 40.0], [1.0, 20.0], 0.0)
    found = fitted.combine([member([3.0, 0.0]), member([40.0, 50.0])])
    assert found.score.tolist() == [(2 + 0) / 2, (-1 + 0.5) / 2]
    assert found.margin.tolist() == found.score.tolist()
    assert found.accepted.tolist() == [True, False]


def test_the_threshold_accepts_95_percent_of_the_combined_validation():
    rng = np.random.default_rng(0)
    val = [member(rng.normal(5, 3, 200)), member(rng.normal(-2, 0.1, 200))]
    fitted = MeanScore().fit(val)
    combined = fitted.combine(val)
    standard = [(part.score - part.score.mean()) / part.score.std() for part in val]
    assert combined.score == pytest.approx(np.mean(standard, axis=0))
    assert combined.accepted.sum() == 190
    assert fitted.threshold_ == pytest.approx(np.sort(np.mean(standard, axis=0))[10])


def test_members_with_validation_of_their_own_are_pooled():
    fitted = MeanScore(target=0.6).fit([member([0.0, 2.0]), member([10.0, 20.0, 30.0])])
    spread = np.sqrt(200 / 3)
    pooled = np.sort([-1, 1, -10 / spread, 0, 10 / spread])
    assert fitted.threshold_ == pytest.approx(pooled[2])
    assert fitted.combine([member([1.0]), member([20.0])]).margin == pytest.approx([-pooled[2]])


def test_each_member_is_standardised_on_its_own_set():
    fitted = MeanScore().fit([member([0.0, 2.0, 500.0], own=[True, True, False])])
    assert (fitted.centre_, fitted.spread_) == ([1.0], [1.0])


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3])
def test_a_constant_score_has_spread_one(value):
    fitted = MeanScore().fit([member([value] * 3), member([0.0, 1.0, 2.0])])
    assert fitted.spread_[0] == 1.0
    assert fitted.combine([member([value + 1]), member([1.0])]).score == pytest.approx([0.5])


def test_the_prediction_is_that_of_the_most_confident_and_a_tie_goes_to_the_first():
    parts = [member([1.0, 1.0], [0.5, 0.5], name="a"), member([1.0, 1.0], [0.6, 0.5], name="b")]
    found = MeanScore().fit([member([0.0, 1.0]), member([0.0, 1.0])]).combine(parts)
    assert found.prediction.tolist() == ["b", "a"]
    assert found.confidence.tolist() == [0.6, 0.5]


def test_an_unfitted_mean_and_a_target_out_of_range_are_refused():
    with pytest.raises(NotFittedError, match="mean-score: not fitted"):
        MeanScore().combine([member([1.0])])
    with pytest.raises(ScorerError, match="target: expected a share between 0 and 1, got 2"):
        MeanScore(target=2).fit([member([1.0])])
