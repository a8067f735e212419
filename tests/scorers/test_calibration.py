from math import comb

import numpy as np
import pytest
import torch

from ood_toolkit import Detector, Member, Outputs, bench, get_registry
from ood_toolkit.errors import ScorerError
from ood_toolkit.scorers.calibration import (
    calibration_scores,
    folds_of,
    halves,
    learns_from_val,
    missed,
    shared_with_train,
)
from ood_toolkit.scorers.klm import KLMatching
from ood_toolkit.scorers.thresholds import threshold

pytestmark = pytest.mark.quick

LEARNERS = ("klm", "temperature", "react:signed=allow", "vra:signed=allow", "logitgap-adaptive")


def accepted(scores, cut):
    return float(np.mean(np.asarray(scores) >= cut))


@pytest.mark.parametrize("spec", LEARNERS)
def test_each_fold_is_scored_by_a_clone_that_has_not_seen_it(spec, make_outputs):
    val, train = make_outputs(83, seed=1), make_outputs(40, seed=2)
    scorer = get_registry().scorer(spec)
    count = 5 if spec == "klm" else 2  # the others learn a number or two
    found, parts = calibration_scores(scorer, val, train), folds_of(val, count)
    assert not scorer.learned()
    assert [f"from {count} folds" in note for note in found.notes] == [True]
    for fold in range(count):
        mine = np.flatnonzero(parts == fold)
        others = np.array([i for i in range(83) if i not in set(mine.tolist())])
        wanted = get_registry().scorer(spec).fit(val[others], train).score(val[mine])
        np.testing.assert_allclose(found.scores[mine], wanted.numpy(), rtol=1e-6)


@pytest.mark.parametrize("spec", ["msp", "energy", "knn:k=3", "mahalanobis", "clipn-ctw"])
def test_what_does_not_learn_from_validation_simply_scores_it(spec, make_outputs):
    val, train = make_outputs(50, seed=1), make_outputs(60, seed=2)
    fitted = get_registry().scorer(spec).fit(val, train)
    found = calibration_scores(get_registry().scorer(spec), val, train)
    assert not learns_from_val(fitted)
    assert found.notes == ()
    assert found.scores.tolist() == fitted.score(val).double().tolist()
    assert found.scores.dtype == np.float64


@pytest.mark.parametrize(("n", "k", "folds"), [(83, 5, 5), (7, 3, 5), (3, 2, 5), (400, 10, 4), (1, 2, 5)])
def test_folds_are_seeded_and_hold_every_class_alike(n, k, folds, make_outputs):
    val = make_outputs(n, k=k, seed=n)
    parts = folds_of(val, folds, seed=3)
    assert set(parts) == set(range(min(folds, n)))
    assert np.ptp(np.bincount(parts)) <= 1
    for c in range(k):
        mine = parts[(val.labels == c).numpy()]
        assert np.ptp(np.bincount(mine, minlength=min(folds, n))) <= 1
    assert parts.tolist() == folds_of(val, folds, seed=3).tolist()
    assert n < 80 or parts.tolist() != folds_of(val, folds, seed=4).tolist()


def test_without_labels_predictions_stratify_and_without_either_nothing_does(make_outputs):
    val = make_outputs(90)
    bare = Outputs(val.features, head=val.head)
    parts = folds_of(bare)
    assert all(np.ptp(np.bincount(parts[(val.prediction == c).numpy()], minlength=5)) <= 1 for c in range(5))
    assert np.bincount(folds_of(Outputs(val.features))).tolist() == [18] * 5


@pytest.mark.parametrize("n", [2, 3, 60, 61])
def test_halves_are_disjoint_complete_and_stratified(n, make_outputs):
    val = make_outputs(n).named([f"i{place:02d}" for place in range(n)])
    first, second = halves(val, seed=2)
    assert (len(first), len(second)) == (n // 2, n - n // 2)
    assert sorted([*first.ids, *second.ids]) == list(val.ids)
    assert list(first.ids) == sorted(first.ids)
    counts = [np.bincount(part.labels.numpy(), minlength=5) for part in (first, second)]
    assert np.abs(counts[0] - counts[1]).max() <= 1
    assert list(halves(val, seed=2)[0].ids) == list(first.ids)
    if n == 60:
        assert list(halves(val, seed=3)[0].ids) != list(first.ids)
    assert bool((first.labels == val.labels[np.searchsorted(val.ids, first.ids)]).all())


def test_one_image_cannot_be_cut(make_outputs):
    with pytest.raises(ScorerError, match="at least 2 images"):
        halves(make_outputs(1))
    with pytest.raises(ScorerError, match="folds: expected at least 2, got 1"):
        folds_of(make_outputs(5), 1)
    val = make_outputs(1)
    found = calibration_scores(KLMatching(), val)
    assert found.scores.tolist() == KLMatching().fit(val).score(val).tolist()
    assert found.notes[0].startswith("the threshold is taken from the validation images it learnt from")


def test_where_a_part_is_too_small_to_fit_on_that_is_said(make_outputs):
    val = make_outputs(20)
    one = Outputs(val.features, labels=[3] + [-1] * 19, head=val.head)  # the fold with the one label leaves none
    made = Detector.fit("temperature", one)
    assert made.threshold == threshold("tpr", made.score(one))[0]
    assert any("needs val_labels, validation images of at least one class" in note for note in made.notes)


@pytest.mark.parametrize("spec", LEARNERS)
def test_detector_and_bench_take_the_cross_fitted_threshold_and_keep_the_scores(spec, make_outputs):
    val, test, ood = make_outputs(70, seed=1), make_outputs(90, seed=2), make_outputs(40, seed=3)
    fitted = get_registry().scorer(spec).fit(val)
    cut = threshold("tpr", calibration_scores(get_registry().scorer(spec), val).scores)[0]
    made = Detector.fit(spec, val)
    assert made.threshold == cut
    np.testing.assert_array_equal(made.score(test), fitted.score(test).double().numpy())
    report = bench(spec, test, {"ood": ood}, val)
    (row,) = [row for row in report.rows if row.kind == "ood"]
    assert row.id_accepted == pytest.approx(accepted(fitted.score(test), cut))
    assert row.ood_detected == pytest.approx(1 - accepted(fitted.score(ood), cut))
    count = 5 if spec == "klm" else 2
    note = f"learns from validation: its threshold is from {count} folds, each scored by a fit on the others"
    assert note in row.notes
    assert note in made.notes


def test_a_margin_keeps_its_own_threshold(make_outputs):
    val = make_outputs(60, seed=1)
    for spec in ("classwise", "mean", "grid", "classwise:base=klm"):
        made = Detector.fit(spec, val)
        assert made.threshold == 0.0
        assert not any("folds" in note for note in made.notes)


def test_klm_with_many_classes_and_few_validation_images_accepts_most_of_fresh_id():
    draw = torch.Generator().manual_seed(0)

    def images(n):
        labels = torch.randint(0, 1000, (n,), generator=draw)
        logits = torch.randn(n, 1000, generator=draw)
        logits[torch.arange(n), labels] += 6
        return Outputs.from_logits(logits, labels)

    val, fresh = images(30), images(400)
    fitted = KLMatching().fit(val)
    assert accepted(fitted.score(fresh), threshold("tpr", fitted.score(val).numpy())[0]) < 0.1  # each matches itself
    assert Detector.fit("klm", val).predict(fresh).mean() > 0.85


@pytest.mark.parametrize("rule", ["mean", "f1", "youden"])
def test_rules_with_labels_are_cross_fitted_too(rule, make_outputs):
    val = make_outputs(80, seed=4)
    known = calibration_scores(KLMatching(), val).scores
    assert Detector.fit("klm", val, rule=rule).threshold == threshold(rule, known, val.right)[0]


def test_training_images_among_validation_are_noticed(make_outputs):
    train, fresh = make_outputs(60, seed=1), make_outputs(60, seed=2)
    half = train[:30]
    mixed = Outputs(torch.cat([half.features, fresh[:30].features]), head=train.head, labels=[0] * 60)
    said = "{} of {} validation images are training images too: the threshold rejects too much of ID"
    for val, count in ((train, 60), (mixed, 30), (fresh, 0)):
        for spec in ("knn:k=1", "mahalanobis", "classwise:base=(knn:k=1)"):
            wanted = [said.format(count, len(val))] if count else []
            report = bench(spec, fresh, {"o": half}, val, train)
            assert [note for note in report.rows[0].notes if "training images" in note] == wanted
        assert not any("training images" in note for note in bench("msp", fresh, {"o": half}, val, train).rows[0].notes)


def doubled(x):
    return Outputs(torch.cat([x.features, x.features]), head=x.head, labels=[0] * (2 * len(x)))


@pytest.mark.parametrize(
    ("val_of", "count"),
    [
        (lambda train: train[torch.randperm(60, generator=torch.Generator().manual_seed(0))], 60),
        (lambda train: train.without_labels(), 60),
        (lambda train: doubled(train), 120),
        (lambda train: train[::3], 20),
        (lambda train: train[:1], 1),
        (lambda train: Outputs(train.features * 2, head=train.head, labels=train.labels), 0),
    ],
    ids=["another order", "no labels", "each twice", "every third", "one image", "other images"],
)
def test_validation_made_of_training_images_is_noticed(val_of, count, make_outputs):
    train = make_outputs(60, seed=1)
    val = val_of(train)
    report = bench("knn:k=1", make_outputs(60, seed=2), {"o": make_outputs(30, seed=3)}, val, train)
    wanted = f"{count} of {len(val)} validation images are training images too: the threshold rejects too much of ID"
    assert (wanted in report.rows[0].notes) is (count > 0)
    assert any("training images too" in note for note in report.rows[0].notes) is (count > 0)


def test_shared_images_are_found_by_what_rows_hold_whatever_they_are_stored_as(make_outputs):
    train = make_outputs(40, seed=1)
    same = Outputs(train.features.double(), head=train.head).named([f"other{place}" for place in range(40)])
    knn = get_registry().scorer("knn")
    assert shared_with_train(knn, same[::-1], train) != ()
    assert shared_with_train(knn, Outputs(train.features + 1e-5, head=train.head), train) == ()
    ready = Outputs.from_logits(train.logits)
    assert (ready.row_keys == Outputs.from_logits(train.logits.clone()).row_keys).all()
    assert len(np.unique(make_outputs(5000).row_keys)) == 5000
    swapped = Outputs.from_logits(ready.logits[:, [1, 0, 2, 3, 4]])
    assert not np.isin(swapped.row_keys, ready.row_keys).any()


def test_a_base_that_learns_from_validation_is_said(make_outputs):
    said = "its thresholds are from images that its base score learnt from, and reject too much of ID"
    val = make_outputs(60)
    for spec, wanted in (("classwise:base=klm", True), ("mean:base=temperature", True), ("grid", False)):
        assert (said in Detector.fit(spec, val).notes) is wanted


def test_mean_says_what_its_target_is_a_share_of(make_outputs):
    val = make_outputs(60)
    notes = Detector.fit("mean", val).notes
    assert notes == ("its threshold is the mean of those that accept 0.95 of each predicted class, not of ID",)
    assert "accept 0.9 of each" in Detector.fit("mean:target=0.9", val).notes[0]
    assert not any("of each predicted class" in note for note in Detector.fit("mean:rule=f1", val).notes)


@pytest.mark.parametrize(("k", "seen"), [(7, [0, 0, 2, 5]), (3, [1]), (100, [4, 9]), (2, [1, 1, 1])])
def test_klm_counts_the_classes_without_validation_images(k, seen):
    notes = KLMatching().fit(Outputs.from_logits(torch.eye(k)[seen] * 9)).notes_
    (note,) = notes
    assert note.startswith(f"{k - len(set(seen))} of {k} classes ")
    assert note.endswith("predicted for no validation image; their distribution is one-hot")
    assert KLMatching().fit(Outputs.from_logits(torch.eye(7))).notes_ == []


def test_conformal_with_too_few_images_promises_nothing_and_says_so(make_outputs):
    for n, target, few in ((18, 0.95, True), (19, 0.95, False), (98, 0.99, True), (3, 0.5, False), (1, 0.6, True)):
        made = Detector.fit("msp", make_outputs(n), rule="conformal", target=target)
        said = f"conformal: {n} images are too few to promise {target:g} of ID; threshold -inf, all are accepted"
        assert (said in made.notes) is few
        assert np.isneginf(made.threshold) == few


def test_a_combination_takes_its_threshold_from_cross_fitted_scores(make_outputs):
    ids = [f"i{place}" for place in range(90)]
    val, test, ood = make_outputs(70, seed=1), make_outputs(90, seed=2).named(ids), make_outputs(40, seed=3)
    report = bench("klm", combiners="mean-score", members={"a": Member(val, {"a": test}, {"o": ood})})
    fitted = KLMatching().fit(val)
    cut = threshold("tpr", calibration_scores(KLMatching(), val).scores)[0]
    (row,) = [row for row in report.rows if row.decider == "mean-score" and row.kind == "ood"]
    assert row.id_accepted == pytest.approx(accepted(fitted.score(test), cut))  # one member: standardising keeps it
    assert cut < threshold("tpr", fitted.score(val).numpy())[0]


def draws_below(n, rank, m, rejected):
    """Say how often at most, and at least, so many of m images lie below the rank-th of n scores."""
    ways = [comb(rank - 1 + j, j) * comb(n - rank + m - j, m - j) for j in range(m + 1)]
    return sum(ways[: rejected + 1]) / comb(n + m, m), sum(ways[rejected:]) / comb(n + m, m)


@pytest.mark.parametrize(
    ("n", "accepted", "side"),
    [(200, 400, "above"), (200, 345, "below"), (200, 370, None), (60, 394, None), (500, 393, "above")],
)
def test_a_test_unlike_validation_is_said_where_chance_hardly_explains_it(n, accepted, side):
    known = np.arange(n, dtype=np.float64)
    rank = n - int(np.ceil(0.95 * n)) + 1
    notes = missed(known, float(rank - 1), np.arange(400) < accepted)
    few, _ = draws_below(n, rank - 1, 400, 400 - accepted)
    _, many = draws_below(n, rank, 400, 400 - accepted)
    rare = 2 * (few if accepted > 380 else many) < 0.05 and abs(accepted / 400 - 0.95) >= 0.03
    assert bool(notes) is rare is (side is not None)
    assert all(f" {side} 95 %" in note for note in notes)


@pytest.mark.parametrize("tied", [np.zeros(300), np.repeat([0.0, 1.0], [30, 270]), np.repeat([0.0, 1.0], [15, 285])])
def test_ties_are_no_surprise(tied):
    cut, _ = threshold("tpr", tied)
    assert missed(tied, cut, np.resize(tied, 4000) >= cut) == ()


@pytest.mark.parametrize(
    ("spec", "shift", "side"),
    [("energy", 2, "above"), ("maxlogit", 1, "above"), ("energy", -1, "below"), ("klm", -1, "below"), ("klm", 0, None)],
)
def test_the_rows_of_a_shifted_test_say_so(spec, shift, side):
    draw = np.random.default_rng(0)
    val, test = (Outputs.from_logits(draw.normal([at, 0, 0], size=(400, 3))) for at in (3.0, 3.0 + shift))
    row = bench(spec, test, {"ood": val}, val).rows[0]
    said = [note for note in row.notes if "unlike validation" in note]
    assert len(said) == int(side is not None)
    assert all(f" {side} 95 %" in note for note in said)
