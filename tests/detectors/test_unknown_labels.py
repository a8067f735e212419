"""Labels of -1 are neither right nor wrong: rules that compare the two leave those images out, and say how many."""

import numpy as np
import pytest
import torch

from ood_toolkit import Detector, Outputs, fit
from ood_toolkit.errors import DetectorError, ScorerError
from ood_toolkit.scorers.classwise import Classwise
from ood_toolkit.scorers.grid import Grid

COMPARING = ["f1", "youden", "mean", "risk:target=0.3:delta=0.2", "cost:error=3"]


def hidden(x, step):
    """Give the same outputs with every so many labels at -1, and those whose label is known."""
    labels = x.labels.clone()
    labels[::step] = -1
    return Outputs(x.features, labels=labels, head=x.head), Outputs(x.features, labels=x.labels, head=x.head)[
        labels >= 0
    ]


@pytest.mark.parametrize("rule", COMPARING)
@pytest.mark.parametrize("step", [2, 3, 17])
def test_a_rule_takes_the_threshold_of_the_known_images(rule, step, make_outputs):
    some, known = hidden(make_outputs(400), step)
    made = Detector.fit("msp", some, rule=rule)
    assert made.threshold == Detector.fit("msp", known, rule=rule).threshold
    count = len(some) - len(known)
    assert f"{count} of 400 calibration images have no known class: {rule.split(':')[0]} leaves them out" in made.notes
    assert made.calibration.n == 400
    assert Detector.fit("msp", known, rule=rule).notes == made.notes[:-1]


def test_they_are_left_out_after_saving_and_moving(make_outputs, tmp_path):
    some, known = hidden(make_outputs(300), 4)
    Detector.fit("energy", some).save(tmp_path / "d")
    for rule in COMPARING:
        moved = Detector.load(tmp_path / "d").moved(rule)
        assert moved.threshold == Detector.fit("energy", known, rule=rule).threshold
        assert any("75 of 300 calibration images have no known class" in note for note in moved.notes)


@pytest.mark.parametrize("rule", ["tpr", "conformal", "pac:target=0.9:delta=0.1", "conformal:by=predicted:target=0.8"])
def test_rules_that_compare_nothing_take_all(rule, make_outputs):
    whole = make_outputs(200)
    made, plain = (Detector.fit("msp", x, rule=rule) for x in (hidden(whole, 2)[0], whole))
    assert (made.threshold, made.notes) == (plain.threshold, plain.notes)


def test_the_set_form_says_how_many_it_leaves_out(make_outputs):
    some, known = hidden(make_outputs(400), 5)
    made = Detector.fit("msp", some, rule="conformal:by=true:target=0.8")
    assert made.threshold == Detector.fit("msp", known, rule="conformal:by=true:target=0.8").threshold
    assert "80 of 400 calibration images have no known class: conformal leaves them out" in made.notes


def test_a_fallback_to_tpr_and_its_expected_share_count_the_known_images(make_outputs):
    whole = make_outputs(300)
    labels = torch.where(torch.arange(300) % 3 == 0, -1, whole.prediction)
    some = Outputs(whole.features, labels=labels, head=whole.head)
    made = Detector.fit("msp", some, rule="youden")
    plain = Detector.fit("msp", some[labels >= 0])
    assert made.threshold == plain.threshold
    assert (made.calibration.accepted.share, made.calibration.accepted.n) == (plain.calibration.accepted.share, 200)


def test_withheld_labels_are_no_labels(make_outputs):
    whole = make_outputs(100)
    some = Outputs(whole.features, labels=np.full(100, -1), head=whole.head)
    bare = Outputs(whole.features, head=whole.head)
    for rule in ("risk", "cost"):
        for x in (some, bare):
            with pytest.raises(ScorerError, match=f"{rule}: needs the labels of ID validation"):
                Detector.fit("msp", x, rule=rule)
    for rule in ("f1", "youden", "mean"):
        made, plain = (Detector.fit("msp", x, rule=rule) for x in (some, bare))
        assert (made.threshold, made.notes) == (plain.threshold, plain.notes)
    with pytest.raises(DetectorError, match="f1: needs labels of the calibration images"):
        Detector.fit("msp", some).moved("f1")
    with pytest.raises(ScorerError, match="needs val_labels"):
        Detector.fit("grid", some)


@pytest.mark.parametrize(
    "spec", ["grid", "classwise:rule=youden", "mean:rule=f1", "temperature", "classwise:base=temperature"]
)
def test_scorers_that_need_labels_learn_the_same_in_a_detector_as_in_fit(spec, make_outputs):
    some, known = hidden(make_outputs(300), 3)
    x, said = make_outputs(50, seed=9).blind(), "100 of 300 validation images have no known class and are left out"
    made = Detector.fit(spec, some)
    assert made.score(x).tolist() == Detector.fit(spec, known).score(x).tolist()
    assert made.score(x).tolist() == fit(spec, some).score(x).tolist()
    assert said in made.notes
    assert said in fit(spec, some).notes_


def test_thresholds_that_are_fitted_directly_look_at_known_images_alone(make_outputs):
    some, known = hidden(make_outputs(300), 3)
    for scorer in (Grid(), Classwise(rule="f1"), Classwise(rule="cost:error=5")):
        made = scorer.clone().fit(some)
        assert made.threshold_.tolist() == scorer.clone().fit(known).threshold_.tolist()
        assert made.notes_[-1].startswith("100 of 300 validation images")
    plain = Classwise()
    assert plain.clone().fit(some).threshold_.tolist() != plain.clone().fit(known).threshold_.tolist()
