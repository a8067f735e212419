import math

import numpy as np
import pytest

from ood_toolkit import Detector, Outputs
from ood_toolkit.errors import DetectorError, ScorerError
from ood_toolkit.metrics.binomial import accepted_share

RULES = ["tpr", "tpr:target=0.8", "conformal:target=0.9", "conformal:by=predicted:target=0.8", "youden", "f1", "mean"]
RULES += ["conformal:by=true:target=0.8", "pac:target=0.9:delta=0.1", "risk:target=0.3:delta=0.2", "cost:error=3"]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("first", ["tpr", "conformal:by=predicted"])
def test_moved_thresholds_are_those_of_a_fit(rule, first, make_outputs, tmp_path):
    val = make_outputs(400)
    Detector.fit("msp", val, rule=first, set="s").save(tmp_path / "d")
    moved, fitted = Detector.load(tmp_path / "d").moved(rule), Detector.fit("msp", val, rule=rule, set="s")
    assert moved.threshold == fitted.threshold
    assert moved.rule == fitted.rule
    assert moved.notes == fitted.notes
    if fitted.class_thresholds is None:
        assert moved.class_thresholds is None
    else:
        np.testing.assert_array_equal(moved.class_thresholds, fitted.class_thresholds)
    assert moved.calibration.moved == 1
    assert moved.moved(first).calibration.moved == 2
    assert {**moved.calibration.to_dict(), "moved": 0} == fitted.calibration.to_dict()


@pytest.mark.parametrize("rule", ["conformal:target=0.8", "pac:target=0.8:delta=0.2", "risk:target=0.4:delta=0.3"])
def test_a_scorer_that_learns_from_validation_is_moved_among_promises(rule, make_outputs):
    val = make_outputs(300)
    made = Detector.fit("temperature", val, rule="conformal")
    assert made.moved(rule).threshold == Detector.fit("temperature", val, rule=rule).threshold
    with pytest.raises(DetectorError, match=r"temperature: learns from validation.*fit it again with --rule tpr"):
        made.moved("tpr")
    with pytest.raises(DetectorError, match="learns from validation"):
        Detector.fit("temperature", val).moved(rule)


def test_what_cannot_be_moved_is_refused_in_one_line(make_outputs, tmp_path):
    val = make_outputs(60)
    bare = Detector.fit("msp", Outputs(val.features, head=val.head))
    for rule in ("f1", "risk", "cost", "conformal:by=true"):
        with pytest.raises(DetectorError, match=f"{rule}: needs labels of the calibration images"):
            bare.moved(rule)
    with pytest.raises(DetectorError, match="classwise: decides by itself, by a rule that is its parameter"):
        Detector.fit("classwise", val).moved("conformal")
    with pytest.raises(ScorerError, match="unknown rule"):
        bare.moved("best")


def test_a_promise_is_calibrated_on_what_the_scorer_did_not_learn_from(make_outputs):
    val = make_outputs(301)
    for rule in ("conformal", "pac", "risk"):
        made = Detector.fit("temperature", val, rule=rule, seed=3)
        assert made.calibration.n == len(made.rows) == 151
        assert made.calibration.fresh
        assert "one half" in made.calibration.how
        assert any("fitted on 150 images and calibrated on 151 others" in note for note in made.notes)
        counts = np.bincount(made.rows.label, minlength=5), np.bincount(val.labels, minlength=5)
        assert np.abs(counts[0] - counts[1] / 2).max() <= 1  # stratified
    other = Detector.fit("temperature", val, rule="conformal", seed=4)
    assert not np.array_equal(other.rows.score, Detector.fit("temperature", val, rule="conformal", seed=3).rows.score)
    for spec in ("temperature", "classwise"):
        assert not Detector.fit(spec, val).calibration.fresh
        assert Detector.fit(spec, val).calibration.n == 301
    plain = Detector.fit("msp", val, rule="conformal")
    assert (plain.calibration.n, plain.calibration.fresh, plain.calibration.how) == (301, True, "")


def test_a_class_wise_promise_over_a_base_that_learns_is_calibrated_apart(make_outputs):
    val = make_outputs(400)
    made = Detector.fit("classwise:base=temperature:rule=conformal:target=0.8", val)
    assert made.calibration.n == 200
    for name, one in made.calibration.by_class.items():
        rank = math.floor((one.n + 1) * 0.2 + 1e-9)
        assert one.share == accepted_share(rank, one.n).value, name
        assert one.basis == "future"
    assert "predicted as each class" in made.calibration.guarantee


def test_the_record_says_what_to_expect(make_outputs):
    val = make_outputs(200)
    share = accepted_share(10, 200)
    known = Detector.fit("msp", val, rule="conformal").calibration
    assert (known.accepted.share, known.accepted.low, known.accepted.high) == (share.value, share.low, share.high)
    assert (known.accepted.basis, known.accepted.n, known.target) == ("future", 200, 0.95)
    assert known.guarantee.startswith("At least 95 % of future ID images are accepted, on average")
    assert sum(one.n for one in known.by_class.values()) == 200
    assert {one.basis for one in known.by_class.values()} == {"in sample, no interval"}
    known = Detector.fit("msp", val, rule="conformal:by=predicted:target=0.8").calibration
    assert {one.basis for one in known.by_class.values()} == {"future"}
    assert all(one.share >= 0.8 for one in known.by_class.values())
    assert known.accepted.basis == "future, the mean over classes"
    known = Detector.fit("msp", val, rule="risk:target=0.3").calibration
    assert known.accepted.basis == "in sample, no interval"
    assert "accepted OOD images are not counted" in known.guarantee
    assert Detector.fit("msp", val).calibration.accepted.share == accepted_share(11, 200).value
    for rule in ("tpr", "youden", "cost"):
        assert Detector.fit("msp", val, rule=rule).calibration.guarantee.startswith("No promise")
    every = [
        Detector.fit("msp", val, rule=rule).calibration.guarantee for rule in ("conformal", "pac", "risk:target=.3")
    ]
    assert all("no rule can promise how much OOD is detected" in one for one in every)
    assert all("exchangeable" in one for one in every)


def test_what_accepts_everything_is_counted(make_outputs):
    few = Detector.fit("msp", make_outputs(18), rule="conformal")
    assert few.threshold == -math.inf
    assert few.accepts_everything
    assert few.calibration.accepts_all == 5
    assert any("too few to promise" in note for note in few.notes)
    some = Detector.fit("msp", make_outputs(120), rule="conformal:by=predicted")
    sizes = {name: one.n for name, one in some.calibration.by_class.items()}
    assert some.calibration.accepts_all == sum(n < 19 for n in sizes.values()) + 5 - len(sizes)


def test_what_was_measured_has_its_interval(make_outputs):
    made = Detector.fit("msp", make_outputs(100)).with_measured(**{"digits/test": make_outputs(50, seed=2)})
    one = made.calibration.measured["digits/test"]
    kept = int(made.predict(make_outputs(50, seed=2)).sum())
    assert (one.share, one.n) == (kept / 50, 50)
    assert one.low < one.share < one.high


@pytest.mark.parametrize("spec", ["knn:k=1", "mahalanobis"])
def test_calibrating_on_what_was_trained_on_is_refused_unless_told(spec, make_outputs):
    val, other = make_outputs(60), make_outputs(60, seed=1)
    same = Outputs(val.features.clone(), labels=val.labels, head=val.head)
    both = Outputs(np.concatenate([val.features, other.features]), labels=np.concatenate([val.labels, other.labels]),
                   head=val.head)  # fmt: skip
    for train in (val, same, both):
        with pytest.raises(ScorerError, match="all 60 images to calibrate on are also trained on"):
            Detector.fit(spec, val, train)
    assert any("60 of the 60" in note for note in Detector.fit(spec, val, same, allow_same=True).notes)
    assert any("30 of the 60" in note for note in Detector.fit(spec, val, val[:30]).notes)
    assert Detector.fit(spec, val, other).notes == ()
    assert Detector.fit("msp", val, val).notes == ()  # which does not look at it


@pytest.mark.parametrize("scorer", ["msp", "temperature"])
def test_promises_hold_also_for_a_scorer_that_learns_from_validation(scorer, one_thread):
    """150 calibration sets from a population whose every image is known, so that the share accepted is too."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 2000)
    known = Outputs.from_logits(rng.normal(size=(2000, 3)) + 2 * np.eye(3)[labels], labels)
    wrong, shares, broken = (known.prediction != known.labels).numpy(), {"conformal": [], "pac": []}, []
    for _ in range(150):
        val = known[rng.integers(0, 2000, 600)]
        made = Detector.fit(scorer, val, rule="conformal:target=0.8")
        shares["conformal"].append(made.predict(known).mean())
        shares["pac"].append(made.moved("pac:target=0.8:delta=0.2").predict(known).mean())
        kept = made.moved("risk:target=0.12:delta=0.2").predict(known)
        broken.append((kept & wrong).sum() > 0.12 * kept.sum())
    mean, error = np.mean(shares["conformal"]), np.std(shares["conformal"]) / np.sqrt(150)
    assert mean > 0.8 - 3 * error
    assert mean < 0.82
    chance = 0.2 + 3 * np.sqrt(0.2 * 0.8 / 150)
    assert (np.array(shares["pac"]) < 0.8).mean() < chance
    assert np.mean(broken) < chance
