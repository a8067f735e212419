"""Each metric against scikit-learn, and against a slow loop that shares nothing with the code."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    auc,
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from ood_toolkit import metrics

TIED = st.lists(st.integers(-6, 6).map(float), min_size=1, max_size=60)
SPREAD = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)
SCORES = TIED | SPREAD


def labelled(positive, negative):
    """Labels and scores as scikit-learn wants them."""
    return np.r_[np.ones(len(positive)), np.zeros(len(negative))], np.r_[positive, negative]


def slow_fpr95_id(id_scores, ood_scores):
    """Walk down the distinct scores until 95 % of ID is accepted, counted in integers."""
    for t in sorted({*id_scores, *ood_scores}, reverse=True):
        if 20 * sum(1 for s in id_scores if s >= t) >= 19 * len(id_scores):
            return Fraction(sum(1 for s in ood_scores if s >= t), len(ood_scores))
    raise AssertionError("the lowest threshold accepts everything")


def slow_fpr95_ood(id_scores, ood_scores):
    """Walk up the distinct scores until 95 % of OOD is caught."""
    for t in sorted({*id_scores, *ood_scores}):
        if 20 * sum(1 for s in ood_scores if s <= t) >= 19 * len(ood_scores):
            return Fraction(sum(1 for s in id_scores if s <= t), len(id_scores))
    raise AssertionError("the highest threshold catches everything")


def slow_auroc(id_scores, ood_scores):
    """Compare every pair."""
    won = sum(Fraction(1) if i > o else Fraction(i == o, 2) for i in id_scores for o in ood_scores)
    return won / (len(id_scores) * len(ood_scores))


def slow_detection_error(id_scores, ood_scores):
    """Try every threshold, and the one above all scores."""
    errors = [Fraction(1, 2)]
    for t in {*id_scores, *ood_scores}:
        fpr = Fraction(sum(o >= t for o in ood_scores), len(ood_scores))
        fnr = Fraction(sum(i < t for i in id_scores), len(id_scores))
        errors.append((fpr + fnr) / 2)
    return min(errors)


@given(SCORES, SCORES)
def test_auroc_is_the_exact_share_of_pairs(id_scores, ood_scores):
    value = metrics.auroc(id_scores, ood_scores)
    assert value == float(slow_auroc(id_scores, ood_scores))
    assert value == pytest.approx(roc_auc_score(*labelled(id_scores, ood_scores)), abs=1e-12)


@given(SCORES, SCORES)
def test_fpr95_is_the_slow_count_for_both_positive_classes(id_scores, ood_scores):
    assert metrics.fpr95_id(id_scores, ood_scores) == float(slow_fpr95_id(id_scores, ood_scores))
    assert metrics.fpr95_ood(id_scores, ood_scores) == float(slow_fpr95_ood(id_scores, ood_scores))


@given(SCORES, SCORES)
def test_fpr95_is_the_first_point_of_the_full_roc_curve(id_scores, ood_scores):
    fpr, tpr, _ = roc_curve(*labelled(id_scores, ood_scores), drop_intermediate=False)
    assert metrics.fpr95_id(id_scores, ood_scores) == pytest.approx(fpr[np.argmax(tpr >= 0.95)], abs=1e-12)
    fpr, tpr, _ = roc_curve(*labelled(-np.array(ood_scores), -np.array(id_scores)), drop_intermediate=False)
    assert metrics.fpr95_ood(id_scores, ood_scores) == pytest.approx(fpr[np.argmax(tpr >= 0.95)], abs=1e-12)


@pytest.mark.parametrize("n", [20, 40, 60, 140, 180, 200, 300, 380])
def test_fpr95_id_at_exact_multiples_of_twenty(n):
    # One OOD score between each pair of ID scores tells exactly which threshold was taken.
    id_scores = list(range(n))
    ood_scores = [i + 0.5 for i in range(n)]
    accepted = 19 * n // 20
    assert metrics.fpr95_id(id_scores, ood_scores) == accepted / n
    assert metrics.fpr95_id(id_scores, ood_scores) == float(slow_fpr95_id(id_scores, ood_scores))


@given(SCORES, SCORES)
def test_tnr_is_one_minus_fpr(id_scores, ood_scores):
    assert metrics.tnr_at_tpr95(id_scores, ood_scores) == 1 - metrics.fpr95_id(id_scores, ood_scores)


@given(SCORES, SCORES)
def test_detection_error_is_the_least_over_all_thresholds(id_scores, ood_scores):
    expected = float(slow_detection_error(id_scores, ood_scores))
    assert metrics.detection_error(id_scores, ood_scores) == expected


@given(SCORES, SCORES)
def test_average_precision_is_scikit_learns(id_scores, ood_scores):
    expected = average_precision_score(*labelled(id_scores, ood_scores))
    assert metrics.ap_in(id_scores, ood_scores) == pytest.approx(expected, abs=1e-12)
    expected = average_precision_score(*labelled(-np.array(ood_scores), -np.array(id_scores)))
    assert metrics.ap_out(id_scores, ood_scores) == pytest.approx(expected, abs=1e-12)


@given(SCORES, SCORES)
def test_aupr_is_the_trapezoid_under_scikit_learns_curve(id_scores, ood_scores):
    precision, recall, _ = precision_recall_curve(*labelled(id_scores, ood_scores))
    assert metrics.aupr_in(id_scores, ood_scores) == pytest.approx(auc(recall, precision), abs=1e-12)
    precision, recall, _ = precision_recall_curve(*labelled(-np.array(ood_scores), -np.array(id_scores)))
    assert metrics.aupr_out(id_scores, ood_scores) == pytest.approx(auc(recall, precision), abs=1e-12)


@given(TIED, TIED, st.randoms(use_true_random=False))
def test_no_metric_depends_on_the_order_of_rows(id_scores, ood_scores, random):
    expected = metrics.evaluate(id_scores, ood_scores)
    random.shuffle(id_scores)
    random.shuffle(ood_scores)
    assert metrics.evaluate(id_scores, ood_scores) == expected


@given(TIED, TIED)
def test_no_metric_changes_under_a_strictly_rising_map(id_scores, ood_scores):
    def rise(scores):
        return np.exp(np.array(scores)) * 100 - 500

    assert metrics.evaluate(rise(id_scores), rise(ood_scores)) == metrics.evaluate(id_scores, ood_scores)


def test_perfect_and_reversed_scores():
    id_scores, ood_scores = [5.0, 6.0, 7.0], [1.0, 2.0]
    best = metrics.evaluate(id_scores, ood_scores)
    assert best == {
        "auroc": 1.0,
        "fpr95_id": 0.0,
        "fpr95_ood": 0.0,
        "aupr_in": 1.0,
        "aupr_out": 1.0,
        "ap_in": 1.0,
        "ap_out": 1.0,
        "tnr_at_tpr95": 1.0,
        "detection_error": 0.0,
    }
    worst = metrics.evaluate(ood_scores, id_scores)
    assert worst["auroc"] == worst["tnr_at_tpr95"] == 0.0
    assert worst["fpr95_id"] == worst["fpr95_ood"] == 1.0
    assert worst["detection_error"] == 0.5
