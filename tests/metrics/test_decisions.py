"""Shares of right decisions, against scikit-learn and by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from ood_toolkit import metrics
from ood_toolkit.errors import MetricError

pytestmark = pytest.mark.quick

PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=50)


@given(PAIRS)
def test_f1_and_accuracy_are_scikit_learns(pairs):
    uncertain, wrong = zip(*pairs, strict=True)
    expected = f1_score(wrong, uncertain, zero_division=1.0)
    assert metrics.f1_uncertain(uncertain, wrong) == pytest.approx(expected, abs=1e-15)
    assert metrics.accuracy_uncertain(uncertain, wrong) == accuracy_score(wrong, uncertain)


def test_nothing_wrong_and_nothing_called_uncertain_is_a_perfect_decision():
    assert metrics.f1_uncertain([False, False], [False, False]) == 1.0
    assert metrics.f1_uncertain([True, False], [False, False]) == 0.0
    assert metrics.f1_uncertain([False, False], [True, False]) == 0.0


def test_wrong_is_the_positive_class():
    # TP 1, FP 2, FN 0: were "right" positive it would be 2 * 3 / (6 + 2).
    uncertain, wrong = [True, True, True, False, False, False], [True, False, False, False, False, False]
    assert metrics.f1_uncertain(uncertain, wrong) == 0.5
    assert metrics.accuracy_uncertain(uncertain, wrong) == pytest.approx(4 / 6)


def test_shares_of_id_accepted_and_ood_detected():
    assert metrics.id_accepted([True, True, True, False]) == 0.75
    assert metrics.ood_detected([True, False, False, False]) == 0.75
    assert metrics.ood_detected(torch.tensor([0, 0, 1, 1, 1])) == 0.4


@pytest.mark.parametrize("metric", [metrics.f1_uncertain, metrics.accuracy_uncertain])
def test_unequal_lengths_are_refused(metric):
    with pytest.raises(MetricError, match=r"uncertain and wrong: .* got 2 and 3"):
        metric([True, False], [True, False, True])


@pytest.mark.parametrize("metric", [metrics.id_accepted, metrics.ood_detected])
@pytest.mark.parametrize("bad", [[], [0.3], [[True]]])
def test_what_is_no_decision_is_refused(metric, bad):
    with pytest.raises(MetricError):
        metric(bad)
