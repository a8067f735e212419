import numpy as np
import pytest

from ood_toolkit.api.combiner import Scored
from ood_toolkit.combiners.mean_probability import MeanProbability
from ood_toolkit.errors import NotFittedError, OutputsError, ScorerError

pytestmark = pytest.mark.quick

CLASSES = ["cat", "dog", "fox"]
ONE = [[0.7, 0.2, 0.1], [0.1, 0.5, 0.4], [0.4, 0.35, 0.25]]
OTHER = [[0.2, 0.6, 0.2], [0.2, 0.3, 0.5], [0.1, 0.45, 0.45]]
"""Of the last image the members say cat and dog, and their mean dog; of the second dog and fox, their mean fox."""


def member(probabilities, classes=CLASSES):
    likely = np.asarray(probabilities)
    sure = likely.max(axis=1)
    names = np.array(classes)[likely.argmax(axis=1)]
    return Scored(names, sure, sure, sure, probabilities=likely, classes=classes)


def slow(*members):
    """Average class by class, and add up p log p."""
    found = []
    for rows in zip(*members, strict=True):
        mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        best = max(range(len(mean)), key=mean.__getitem__)
        found.append((CLASSES[best], mean[best], sum(p * np.log(p) for p in mean if p > 0)))
    return found


def test_the_mean_of_the_softmax_predicts_and_its_negative_entropy_is_the_score():
    parts = [member(ONE), member(OTHER)]
    found = MeanProbability().fit(parts).combine(parts)
    prediction, confidence, score = zip(*slow(ONE, OTHER), strict=True)
    assert found.prediction.tolist() == list(prediction) == ["cat", "fox", "dog"]
    assert found.confidence == pytest.approx(confidence)
    assert found.score == pytest.approx(score)


def test_its_largest_probability_on_request():
    parts = [member(ONE), member(OTHER)]
    found = MeanProbability(score="max").fit(parts).combine(parts)
    assert found.score == pytest.approx([0.45, 0.45, 0.4])


def test_classes_are_matched_by_name_whatever_their_order():
    swapped = member(np.array(OTHER)[:, [2, 0, 1]], ["fox", "cat", "dog"])
    fitted = MeanProbability().fit([member(ONE), member(OTHER)])
    same, other = fitted.combine([member(ONE), member(OTHER)]), fitted.combine([member(ONE), swapped])
    assert other.prediction.tolist() == same.prediction.tolist()
    assert other.score == pytest.approx(same.score, abs=1e-15)


def test_sure_images_are_told_apart_by_what_is_left_to_the_other_classes():
    left = np.array([1e-12, 1e-10, 1e-9])
    sure = np.stack([1 - left, left / 2, left / 2], axis=1).astype(np.float32)
    assert (sure[:, 0] == 1).all()  # float32 itself no longer tells them apart
    for kind in ("entropy", "max"):
        found = MeanProbability(score=kind).fit([member(sure)]).combine([member(sure)])
        assert (np.diff(found.score) < 0).all()
    assert found.score == pytest.approx(1 - left, abs=1e-16)


def test_the_threshold_accepts_95_percent_of_validation():
    draw = np.random.default_rng(0)
    val = [member(draw.dirichlet([2, 1, 1], 200)) for _ in range(3)]
    fitted = MeanProbability().fit(val)
    found = fitted.combine(val)
    assert found.accepted.sum() == 190
    assert fitted.threshold_ == pytest.approx(np.sort(found.score)[10])
    assert found.margin == pytest.approx(found.score - fitted.threshold_)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (member(np.array(OTHER)[:, :2], CLASSES[:2]), "one lacks 'fox'"),
        (member(OTHER, ["cat", "dog", "owl"]), "one lacks 'fox'"),
        (member(np.array(OTHER)[:, [0, 1, 2, 2]], [*CLASSES, "owl"]), "got 4 and 3"),
        (Scored(["cat"] * 3, [0.5] * 3, [0.5] * 3, [0.5] * 3), "got a member without"),
    ],
)
def test_members_of_other_classes_are_refused(other, said):
    with pytest.raises(OutputsError, match=said):
        MeanProbability().fit([member(ONE), other])


def test_an_unfitted_mean_an_unknown_score_and_a_missing_member_are_refused():
    with pytest.raises(NotFittedError, match="mean-probability: not fitted"):
        MeanProbability().combine([member(ONE)])
    with pytest.raises(ScorerError, match="score: expected entropy or max, got 'gini'"):
        MeanProbability(score="gini").fit([member(ONE)])
    with pytest.raises(OutputsError, match="the 2 members it was fitted on"):
        MeanProbability().fit([member(ONE), member(OTHER)]).combine([member(ONE)])


@pytest.mark.parametrize(
    ("likely", "classes", "said"),
    [
        (np.ones((2, 3)), CLASSES, r"expected shape \(1, 3\)"),
        (np.ones((1, 2)), CLASSES, r"expected shape \(1, 3\)"),
        (np.ones((1, 3)), None, r"expected shape \(1, 0\)"),
        (np.full((1, 3), np.nan), CLASSES, "finite"),
    ],
)
def test_what_is_said_of_classes_has_a_row_an_image_and_a_column_a_class(likely, classes, said):
    with pytest.raises(OutputsError, match=said):
        Scored(["cat"], [0.5], [0.5], [0.5], probabilities=likely, classes=classes)
