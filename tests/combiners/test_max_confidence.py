import pytest

from ood_toolkit.api.combiner import Scored
from ood_toolkit.combiners.max_confidence import MaxConfidence
from ood_toolkit.errors import OutputsError

pytestmark = pytest.mark.quick

FIRST = Scored(["cat", "cat", "cat", "cat"], [0.9, 0.2, 0.5, 0.5], [9.0, 8, 7, 6], [0.3, -0.1, 0.2, -0.4])
SECOND = Scored(["dog", "dog", "dog", "dog"], [0.8, 0.6, 0.5, 0.50001], [1.0, 2, 3, 4], [-0.7, 0.4, -0.9, 0.0])


def test_each_image_takes_the_word_of_the_more_confident_member_and_a_tie_goes_to_the_first():
    found = MaxConfidence().fit([FIRST, SECOND]).combine([FIRST, SECOND])
    assert found.prediction.tolist() == ["cat", "dog", "cat", "dog"]
    assert found.confidence.tolist() == [0.9, 0.6, 0.5, 0.50001]
    assert found.score.tolist() == found.margin.tolist() == [0.3, 0.4, 0.2, 0.0]
    assert found.accepted.tolist() == [True, True, True, True]
    other = MaxConfidence().combine([SECOND, FIRST])
    assert other.prediction.tolist() == ["cat", "dog", "dog", "dog"]
    assert other.accepted.tolist() == [True, True, False, True]


def test_long_class_names_are_kept_whole():
    long = Scored(["a very long class name"] * 4, [0.1, 0.9, 0.1, 0.9], [0.0] * 4, [0.0] * 4)
    assert MaxConfidence().combine([FIRST, long]).prediction.tolist() == [
        "cat",
        "a very long class name",
        "cat",
        "a very long class name",
    ]


def test_one_member_is_itself():
    found = MaxConfidence().combine([FIRST])
    assert found.prediction.tolist() == FIRST.prediction.tolist()
    assert found.margin.tolist() == FIRST.margin.tolist()


def test_members_of_other_images_are_refused():
    with pytest.raises(OutputsError, match="expected the same images from every member"):
        MaxConfidence().combine([FIRST, Scored(["a"], [0.5], [1.0], [1.0])])
