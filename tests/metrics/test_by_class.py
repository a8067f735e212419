"""Metrics class by class, and their mean, against loops and against weights worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ood_toolkit import metrics
from ood_toolkit.errors import MetricError

pytestmark = pytest.mark.quick

ID = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=25)
OOD = st.lists(st.tuples(st.integers(-4, 4).map(float), st.sampled_from("abc")), min_size=1, max_size=40)


@given(ID, OOD)
def test_each_class_is_compared_with_all_of_id(inside, images):
    scores, classes = [score for score, _ in images], [name for _, name in images]
    found = metrics.evaluate_by_class(inside, scores, classes)
    assert list(found) == sorted(set(classes))
    for name, values in found.items():
        assert values == metrics.evaluate(inside, [score for score, own in images if own == name])


@given(ID, OOD)
def test_the_mean_weighs_each_image_by_its_class(inside, images):
    names = {name for _, name in images}
    sizes = {name: sum(own == name for _, own in images) for name in names}
    threshold = max(
        t for t in {*inside, *(s for s, _ in images)} if 20 * sum(s >= t for s in inside) >= 19 * len(inside)
    )
    auroc = accepted = 0.0
    for score, name in images:
        weight = 1 / (len(names) * sizes[name])
        auroc += weight * sum((s > score) + 0.5 * (s == score) for s in inside) / len(inside)
        accepted += weight * (score >= threshold)
    found = metrics.macro_average(inside, [s for s, _ in images], [name for _, name in images])
    assert found["auroc"] == pytest.approx(auroc, abs=1e-12)
    assert found["fpr95_id"] == pytest.approx(accepted, abs=1e-12)  # the threshold is that of ID, whatever the class


def test_a_rare_class_counts_as_much_as_a_frequent_one():
    inside, common, rare = [5.0, 6.0], [0.0] * 99, [9.0]
    scores, classes = common + rare, [0] * 99 + [7]
    assert metrics.auroc(inside, scores) == 0.99
    assert metrics.macro_average(inside, scores, classes)["auroc"] == 0.5
    assert metrics.macro_average(inside, scores, np.array(classes)[::-1], "mcm").keys() == {
        "auroc",
        "fpr95_id",
        "ap_in",
    }
    assert metrics.macro_average(inside, scores, [1] * 100) == metrics.evaluate(inside, scores)


def test_names_may_be_objects():
    found = metrics.evaluate_by_class([1.0], [0.0, 2.0], np.array(["bee", "ant"], dtype=object))
    assert {name: values["auroc"] for name, values in found.items()} == {"ant": 0.0, "bee": 1.0}


@pytest.mark.parametrize(("classes", "message"), [
    ([1], "ood_scores and ood_classes: expected one value per image in both, got 2 and 1"),
    ([0.5, 1.5], "expected one whole number or text"), ([[1], [2]], r"got int64 of shape \(2, 1\)"),
    ([True, False], "expected one whole number or text"),
])  # fmt: skip
def test_bad_input_is_refused(classes, message):
    with pytest.raises(MetricError, match=message):
        metrics.macro_average([1.0], [0.0, 2.0], classes)
