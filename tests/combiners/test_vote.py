import numpy as np
import pytest

from ood_toolkit.api.combiner import Scored
from ood_toolkit.combiners.vote import Vote
from ood_toolkit.errors import NotFittedError, OutputsError

pytestmark = pytest.mark.quick


def member(margin, confidence=None, own=None, name="a"):
    n = len(margin)
    return Scored([name] * n, [0.5] * n if confidence is None else confidence, margin, margin, own)


VAL = [member([-1.0, 1.0]), member([-20.0, 20.0]), member([0.0, 200.0])]  # mean 0, 0, 100; spread 1, 20, 100


@pytest.mark.parametrize(
    ("margins", "share", "accepted"),
    [([1, 1, 1], 1, True), ([1, 1, -1], 2 / 3, True), ([1, -1, -1], 1 / 3, False), ([-1, -1, -1], 0, False)],
)
def test_the_majority_of_three_decides(margins, share, accepted):
    found = Vote().fit(VAL).combine([member([float(m)]) for m in margins])
    assert found.margin == pytest.approx([share - 0.5])
    assert found.accepted.tolist() == [accepted]


def test_half_of_the_votes_is_in_distribution():
    found = Vote().fit(VAL[:2]).combine([member([1.0, -1.0]), member([-1.0, -1.0])])
    assert found.margin.tolist() == [0.0, -0.5]
    assert found.accepted.tolist() == [True, False]


def test_equal_shares_are_ranked_by_the_mean_standardised_margin():
    # Standardised: (1, .05, -1.01) mean .0133; (.5, 2, -2) mean .1667; raw means would say the opposite.
    parts = [member([1.0, 0.5]), member([1.0, 40.0]), member([-1.0, -100.0])]
    score = Vote().fit(VAL).combine(parts).score
    means = [(1 + 0.05 - 1.01) / 3, (0.5 + 2 - 2) / 3]
    assert score == pytest.approx([2 / 3 + np.arctan(m) / np.pi / 3 for m in means])
    assert score[1] > score[0]


def test_one_vote_outweighs_every_margin():
    two_of_three = [1e-9, 1e-9, -1e12]
    one_of_three = [1e12, -1e-9, -1e-9]
    parts = [member([a, b]) for a, b in zip(two_of_three, one_of_three, strict=True)]
    score = Vote().fit(VAL).combine(parts).score
    assert score[0] > score[1]


def test_the_prediction_is_that_of_the_most_confident_and_a_tie_goes_to_the_first():
    parts = [member([1.0, 1.0], [0.5, 0.5], name="a"), member([1.0, 1.0], [0.6, 0.5], name="b")]
    found = Vote().fit(VAL[:2]).combine(parts)
    assert found.prediction.tolist() == ["b", "a"]
    assert found.confidence.tolist() == [0.6, 0.5]


def test_each_member_is_standardised_on_its_own_set():
    fitted = Vote().fit([member([-1.0, 1.0, 500.0], own=[True, True, False])])
    assert (fitted.centre_, fitted.spread_) == ([0.0], [1.0])


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3])
def test_a_constant_margin_has_spread_one(value):
    assert Vote().fit([member([value] * 3)]).spread_ == [1.0]


def test_an_unfitted_vote_and_other_images_are_refused():
    with pytest.raises(NotFittedError, match="vote: not fitted"):
        Vote().combine([member([1.0])])
    with pytest.raises(OutputsError, match="expected the same images from every member"):
        Vote().fit(VAL).combine([member([1.0]), member([1.0, 2.0])])
