import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from ood_toolkit.errors import ScorerError
from ood_toolkit.scorers.thresholds import balanced_accuracy, class_thresholds, grid_threshold, threshold

# Few distinct values, so that ties are common.
some = st.lists(st.integers(-6, 6).map(lambda i: i / 4), min_size=1, max_size=45)
pairs = st.lists(st.tuples(st.integers(-6, 6).map(lambda i: i / 4), st.booleans()), min_size=1, max_size=45)
targets = st.integers(1, 99).map(lambda i: i / 100) | st.sampled_from([0.999, 1e-9, 1 / 3, 0.1 + 0.2])


def accepting(scores, target):
    """The highest score that, as a threshold, accepts at least the target share: by counting, in fractions."""
    share = Fraction(str(target))
    return max(t for t in scores if Fraction(sum(s >= t for s in scores), len(scores)) >= share)


def merit(rule, scores, right, cut):
    """F1 or TPR - FPR of "right" at a cut, as a fraction."""
    tp = sum(s >= cut and r for s, r in zip(scores, right, strict=True))
    fp = sum(s >= cut and not r for s, r in zip(scores, right, strict=True))
    rights, wrongs = sum(right), len(right) - sum(right)
    if rule == "f1":
        return Fraction(2 * tp, 2 * tp + fp + (rights - tp))
    return Fraction(tp, rights) - Fraction(fp, wrongs)


def best_cut(rule, scores, right):
    cuts = sorted(set(scores))
    best = max(merit(rule, scores, right, cut) for cut in cuts)
    return next(cut for cut in cuts if merit(rule, scores, right, cut) == best)


@given(some, targets)
@example([float(i) for i in range(40)], 0.95)
def test_tpr_is_the_highest_threshold_that_accepts_the_share(scores, target):
    assert threshold("tpr", scores, target=target) == (accepting(scores, target), ())


@pytest.mark.parametrize("target", [0.95, np.float64(0.95), np.float32(0.95), Fraction(19, 20)])
@pytest.mark.parametrize("n", [20, 40, 100, 200, 1000, 2000])
def test_exact_multiples_are_counted_in_integers(n, target):
    # 95 % of n is a whole number: exactly that many are accepted, not one more.
    scores = np.arange(1, n + 1)
    assert threshold("tpr", scores, target=target)[0] == n - 19 * n // 20 + 1
    for size in (n - 1, n + 1):
        accepted = (19 * size + 19) // 20
        assert threshold("tpr", np.arange(1, size + 1), target=target)[0] == size - accepted + 1


@given(some, targets)
@example([float(i) for i in range(9)], 0.9)
@example([float(i) for i in range(19)], 0.8)
def test_conformal_is_the_floor_of_n_plus_one_times_the_rest(scores, target):
    place = math.floor((len(scores) + 1) * (1 - Fraction(str(target))))
    wanted = sorted(scores)[place - 1] if place else -math.inf
    few = f"conformal: {len(scores)} images are too few to promise {target:g} of ID; threshold -inf, all are accepted"
    assert threshold("conformal", scores, target=target) == (wanted, () if place else (few,))


@pytest.mark.parametrize(("n", "place"), [(18, 0), (19, 1), (20, 1), (38, 1), (39, 2), (99, 5), (199, 10)])
def test_conformal_promises_from_nineteen_images(n, place):
    found, _ = threshold("conformal", np.arange(1.0, n + 1), target=0.95)
    assert found == (place if place else -math.inf)


@pytest.mark.parametrize("rule", ["f1", "youden"])
@given(pairs)
@example([(0.0, True), (0.25, False), (0.5, True), (0.75, False), (1.0, True)])
@example([(0.1 * i, i % 3 != 0) for i in range(30)])
def test_the_best_cut_is_found_by_trying_all(rule, rows):
    scores, right = [s for s, _ in rows], [r for _, r in rows]
    found, notes = threshold(rule, scores, right)
    if all(right) or not any(right):
        assert found == accepting(scores, 0.95)
        assert notes == (f"{rule}: validation lacks right or wrong predictions; took the tpr threshold",)
    else:
        assert (found, notes) == (best_cut(rule, scores, right), ())


def test_equal_cuts_go_to_the_lower_one_exactly():
    # TPR - FPR is 1 - 7/10 at the lowest of the best cuts and 3/10 - 0 at the highest: unequal in floats.
    scores = [0.0] * 3 + [1.0] * 7 + [1.0] * 7 + [2.0] * 3
    right = [False] * 3 + [False] * 7 + [True] * 7 + [True] * 3
    assert 1 - 0.7 != 0.3
    assert merit("youden", scores, right, 1.0) == merit("youden", scores, right, 2.0)
    assert threshold("youden", scores, right)[0] == 1.0


@given(pairs)
def test_mean_is_a_tenth_below_the_mean_of_the_right_ones(rows):
    scores, right = [s for s, _ in rows], [r for _, r in rows]
    found, notes = threshold("mean", scores, right)
    kept = [s for s, r in rows if r]
    if not kept:
        assert found == accepting(scores, 0.95)
        assert notes == ("mean: validation lacks right predictions; took the tpr threshold",)
    else:
        mean = math.fsum(kept) / len(kept)
        assert found == pytest.approx(0.9 * mean if mean >= 0 else 1.1 * mean, rel=1e-12, abs=1e-12)
        assert notes == ()


@pytest.mark.parametrize("rule", ["mean", "f1", "youden"])
def test_without_labels_the_tpr_threshold_is_taken_and_said(rule):
    found, notes = threshold(rule, np.arange(20.0))
    assert (found, notes) == (1.0, (f"{rule}: no validation labels; took the tpr threshold",))


def slow_class_thresholds(rule, rows, classes, target):
    scores, right = [s for s, _, _ in rows], [r for _, _, r in rows]

    def one(kind, group):
        if kind == "tpr":
            return accepting([s for s, _, _ in group], target)
        rights = [r for _, _, r in group]
        if kind == "mean":
            kept = [s for s, _, r in group if r]
            mean = sum(kept) / len(kept) if kept else None
            return None if mean is None else mean - abs(mean) / 10
        return None if all(rights) or not any(rights) else best_cut(kind, [s for s, _, _ in group], rights)

    used, overall = rule, one(rule, rows)
    if overall is None:
        used, overall = "tpr", accepting(scores, target)
    found = []
    for c in range(classes):
        group = [row for row in rows if row[1] == c]
        own = one(used, group) if group else None
        n = len(group)
        if own is None:
            found.append(overall)
        else:
            found.append(own if n >= 20 else (n * own + 20 * overall) / (n + 20))
    assert len(right) == len(rows)
    return found, overall


@pytest.mark.parametrize("rule", ["tpr", "mean", "f1", "youden"])
@given(
    st.lists(
        st.tuples(st.integers(-6, 6).map(lambda i: i / 4), st.sampled_from([0, 0, 0, 2]), st.booleans()),
        min_size=1,
        max_size=50,
    ),
    targets,
)
def test_class_thresholds_equal_a_loop_over_the_classes(rule, rows, target):
    scores, predicted, right = (list(column) for column in zip(*rows, strict=True))
    found = class_thresholds(rule, scores, predicted, 3, right, target)
    values, overall = slow_class_thresholds(rule, rows, 3, target)
    assert found.values == pytest.approx(values, rel=1e-12, abs=1e-12)
    assert found.overall == pytest.approx(overall, rel=1e-12, abs=1e-12)
    assert found.values[1] == found.overall


def test_nineteen_images_shrink_and_twenty_do_not():
    scores = np.r_[np.arange(20.0) + 100, np.arange(19.0)]
    found = class_thresholds("tpr", scores, [0] * 20 + [1] * 19, 3)
    overall = 1.0  # 38 of 39 are accepted
    assert found.overall == overall
    assert found.values == pytest.approx([101.0, (19 * 0.0 + 20 * overall) / 39, overall])
    assert found.notes == ()


def test_conformal_is_never_shrunk_and_says_what_it_cannot_promise():
    scores = np.r_[np.arange(19.0) + 100, np.arange(18.0)]
    found = class_thresholds("conformal", scores, [0] * 19 + [1] * 18, 3)
    assert found.values.tolist() == [100.0, -math.inf, -math.inf]
    assert found.overall == 0.0
    assert found.notes == ("conformal: 2 of 3 classes have too few images to promise; threshold -inf",)


@pytest.mark.parametrize("n", [19, 40, 77])
def test_conformal_accepts_its_share_of_one_more_image(n):
    # Whichever of n + 1 exchangeable images is the new one, at least 95 % of those choices are accepted.
    scores = np.arange(n + 1.0)
    accepted = [new >= threshold("conformal", np.delete(scores, int(new)))[0] for new in scores]
    assert np.mean(accepted) >= 0.95


def test_classes_without_both_kinds_take_the_global_threshold_and_it_is_said():
    scores = np.r_[np.arange(20.0), np.arange(20.0) + 50]
    right = np.r_[np.ones(20, bool), np.arange(20) >= 10]
    found = class_thresholds("youden", scores, [0] * 20 + [1] * 20, 2, right)
    assert found.overall == best_cut("youden", scores.tolist(), right.tolist())
    assert found.values.tolist() == [found.overall, 60.0]
    assert found.notes == ("youden: 1 of 2 classes lack right or wrong predictions; they take the global threshold",)


def test_a_set_without_wrong_predictions_takes_tpr_in_every_class():
    scores = np.r_[np.arange(20.0), np.arange(20.0) + 50]
    found = class_thresholds("f1", scores, [0] * 20 + [1] * 20, 2, np.ones(40, bool))
    assert found.values.tolist() == [1.0, 51.0]
    assert found.notes == ("f1: validation lacks right or wrong predictions; took the tpr threshold",)


def test_tensors_are_taken():
    scores = torch.arange(20.0).requires_grad_()
    found = class_thresholds("tpr", scores, torch.zeros(20, dtype=torch.int64), 1, torch.ones(20) > 0)
    assert found.values.tolist() == [1.0]
    assert found.values.dtype == np.float64


@given(pairs, st.sampled_from([None, (0.0, 1.0), (-2.0, 2.0)]))
def test_the_grid_takes_the_lowest_of_the_best_of_its_points(rows, bounds):
    scores, right = [s for s, _ in rows], [r for _, r in rows]
    found, notes = grid_threshold(scores, right, bounds)
    if all(right) or not any(right):
        assert found == accepting(scores, 0.95)
        assert notes == ("validation lacks right or wrong predictions; took the tpr threshold",)
        return
    low, high = bounds or (min(scores), max(scores))
    grid = np.linspace(low, high, 101).tolist()
    # Balanced accuracy is (TPR - FPR + 1) / 2.
    merits = [merit("youden", scores, right, theta) for theta in grid]
    assert notes == ()
    assert found == grid[merits.index(max(merits))]


def test_the_grid_has_101_points_from_bound_to_bound():
    assert grid_threshold([0.425, 0.429], [False, True], (0.0, 1.0))[0] == pytest.approx(0.0)
    assert grid_threshold([0.424, 0.431], [False, True], (0.0, 1.0))[0] == pytest.approx(0.43)
    assert grid_threshold([0.0, 0.425, 0.435, 1.0], [False, False, True, True])[0] == pytest.approx(0.43)
    assert grid_threshold([3.0, 5.0], [False, True])[0] == pytest.approx(3.02)
    assert grid_threshold([3.0, 5.0], [True, False])[0] == 3.0


def test_the_grid_without_labels_takes_the_tpr_threshold():
    assert grid_threshold(np.arange(20.0), None) == (1.0, ("no validation labels; took the tpr threshold",))


def test_balanced_accuracy_is_the_mean_of_the_two_shares():
    accepted, right = np.array([1, 1, 0, 1, 0], bool), np.array([1, 1, 1, 0, 0], bool)
    assert balanced_accuracy(accepted, right) == pytest.approx((2 / 3 + 1 / 2) / 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: threshold("tpx", [1.0]), "rule: unknown rule 'tpx'; did you mean 'tpr'?"),
        (lambda: threshold("tpr", [1.0], target=1.0), "target: expected a share between 0 and 1, got 1.0"),
        (lambda: threshold("tpr", [1.0], target=0), "target: expected a share between 0 and 1, got 0"),
        (lambda: threshold("tpr", [1.0], target=float("nan")), "target: expected a share between 0 and 1, got nan"),
        (lambda: threshold("tpr", []), "tpr: expected a row of finite ID validation scores, got shape (0,)"),
        (lambda: threshold("tpr", [[1.0]]), "tpr: expected a row of finite ID validation scores, got shape (1, 1)"),
        (lambda: threshold("f1", [1.0, float("nan")]), "f1: expected a row of finite ID validation scores"),
        (lambda: threshold("f1", [1.0], [True, False]), "right: expected shape (1,), one a score, got (2,)"),
        (lambda: class_thresholds("tpr", [1.0], [0, 1], 2), "prediction: expected shape (1,), one a score, got (2,)"),
        (lambda: grid_threshold([float("inf")], [True]), "grid: expected a row of finite ID validation scores"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_was_expected(call, message):
    with pytest.raises(ScorerError) as error:
        call()
    assert str(error.value).startswith(message)
