import numpy as np
import pytest
import torch

from ood_toolkit.api.combiner import Combiner, Scored, check_aligned
from ood_toolkit.errors import OutputsError

pytestmark = pytest.mark.quick


def scored(**changes):
    given = {"prediction": ["a", "b"], "confidence": [0.9, 0.8], "score": [2.0, 1.0], "margin": [0.5, -0.5]}
    return Scored(**(given | changes))


def test_array_likes_become_arrays():
    part = scored(confidence=torch.tensor([0.9, 0.8], requires_grad=True), score=[2, 1], own=[1, 0])
    assert part.prediction.tolist() == ["a", "b"]
    assert part.confidence == pytest.approx([0.9, 0.8])
    assert (part.score.dtype, part.own.dtype) == (np.float64, np.bool_)
    assert len(part) == 2


def test_a_margin_of_zero_is_in_distribution():
    assert scored(margin=[0.0, -1e-300]).accepted.tolist() == [True, False]


def test_the_own_set_is_all_unless_said():
    assert scored().of_own_set(np.array([3, 4])).tolist() == [3, 4]
    assert scored(own=[False, True]).of_own_set(np.array([3, 4])).tolist() == [4]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score": [1.0]}, "Scored.score: expected 2 rows, as many as prediction, got 1"),
        ({"margin": [[1.0], [2.0]]}, "Scored.margin: expected shape (n,), got (2, 1)"),
        ({"prediction": "ab"}, "Scored.prediction: expected shape (n,), got ()"),
        ({"confidence": [float("nan"), 1]}, "Scored.confidence: expected finite numbers, got NaN or infinity"),
        ({"margin": [float("inf"), 1]}, "Scored.margin: expected finite numbers, got NaN or infinity"),
        ({"own": [True]}, "Scored.own: expected 2 rows, as many as prediction, got 1"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(OutputsError) as error:
        scored(**changes)
    assert str(error.value) == message


def test_parts_of_other_images_are_refused():
    other = Scored(["a"], [0.5], [1.0], [1.0])
    assert check_aligned([scored(), scored()]) == 2
    with pytest.raises(OutputsError, match=r"combine: expected the same images from every member, got \[2, 1\] rows"):
        check_aligned([scored(), other])
    with pytest.raises(OutputsError, match="combine: expected the parts of at least one member, got none"):
        check_aligned([])


def test_combine_is_the_one_abstract_method():
    assert Combiner.__abstractmethods__ == {"combine"}
