"""A number that is not known is not printed: labels of -1, labels that are withheld, runs that say nothing."""

import numpy as np
import pytest
import torch

import ood_toolkit
from ood_toolkit import metrics
from ood_toolkit.outputs import Head, Outputs
from ood_toolkit.report.columns import summary


@pytest.fixture
def sets(make_outputs):
    return make_outputs(90, seed=1), make_outputs(60, seed=2), make_outputs(40, seed=3).without_labels()


def relabelled(x, labels):
    return Outputs(x.features, labels=torch.as_tensor(labels), head=x.head, ids=x.ids)


def without_labels(x):
    """Withhold every label."""
    return Outputs(
        x.features, None if x.head is not None else x.logits, np.full(len(x), -1), head=x.head, ids=x.ids,
        class_names=None if x.head is not None else x.class_names,
    )  # fmt: skip


def head_of(report):
    return report.header["id"][0]


def of_ood(report):
    return [row.metrics for row in report.rows if row.kind == "ood"]


@pytest.mark.parametrize("hidden", [1, 30, 89])
def test_images_without_a_known_class_are_left_out_of_what_needs_one(sets, hidden):
    test, val, ood = sets
    labels = test.labels.clone()
    labels[torch.randperm(90, generator=torch.Generator().manual_seed(0))[:hidden]] = -1
    known = labels >= 0
    report = ood_toolkit.bench("msp,grid", relabelled(test, labels), {"o": ood}, val)
    whole = ood_toolkit.bench("msp,grid", test, {"o": ood}, val)
    right = (test.prediction == test.labels)[known].numpy()
    assert head_of(report)["unlabelled"] == hidden
    assert head_of(report)["accuracy"] == right.mean()
    assert head_of(report)["ece"] == metrics.ece(test.confidence[known].numpy(), right)
    assert of_ood(report) == of_ood(whole)
    scores = test.confidence[known].numpy()
    row = next(row for row in report.rows if row.kind == "misclassification" and row.scorer == "msp")
    assert row.n_id == 90 - hidden
    if right.any() and not right.all():
        assert row.auroc == pytest.approx(metrics.auroc(scores[right], scores[~right]), abs=1e-6)
    said = f"{hidden} of them without a known class ({100 * hidden / 90:.1f} %)"
    assert any(said in line for line in summary(report.header))


FORMS = {
    "texts": lambda x: x,
    "a linear head": lambda x: Outputs(
        x.features, labels=x.labels, head=Head.linear(x.head.weight * 20, None, x.head.class_names), ids=x.ids
    ),
    "logits alone": lambda x: Outputs.from_logits(x.logits, labels=x.labels, class_names=x.class_names),
}
"""What outputs may be made of."""


@pytest.mark.parametrize("form", FORMS)
def test_withheld_labels_leave_accuracy_out_and_everything_else_runs(sets, form):
    test, val, ood = map(FORMS[form], sets)
    hidden = without_labels(test)
    report = ood_toolkit.bench("msp,grid,classwise", hidden, {"o": ood}, val)
    assert "accuracy" not in head_of(report)
    assert not [row for row in report.rows if row.kind == "misclassification"]
    assert any("all are -1" in note for note in head_of(report)["notes"])
    whole = ood_toolkit.bench("msp,grid,classwise", test, {"o": ood}, val)
    assert [row.metrics for row in report.rows] == of_ood(whole)


def test_what_learns_from_labels_is_skipped_where_those_of_validation_are_withheld(sets):
    test, val, ood = sets
    report = ood_toolkit.bench("msp,grid", test, {"o": ood}, relabelled(val, np.full(60, -1)))
    found = [(row.scorer, row.status) for row in report.rows if row.kind == "ood"]
    assert found == [("msp", "ok"), ("grid", "skipped")]
    assert next(row for row in report.rows if row.scorer == "grid").notes == ("needs val_labels",)


def test_what_learns_from_labels_learns_from_those_that_are_known(sets):
    _, val, ood = sets
    labels = val.labels.clone()
    labels[::3] = -1
    known = val[labels >= 0]
    for spec in ("grid", "classwise:rule=youden"):
        mine = ood_toolkit.score(spec, ood, relabelled(val, labels))
        assert mine.tolist() == ood_toolkit.score(spec, ood, known).tolist()


def test_a_saved_run_keeps_which_truth_is_known(sets, tmp_path):
    test, val, ood = sets
    labels = test.labels.clone()
    labels[:20] = -1
    ood_toolkit.bench("msp", relabelled(test, labels), {"o": ood}, val).save(tmp_path / "run")
    run = ood_toolkit.read_run(tmp_path / "run")
    assert run.header["id"][0]["unlabelled"] == 20
    assert (run.answers["id", "test"].known == (labels >= 0).numpy()).all()


@pytest.mark.parametrize(("k", "share"), [(5, 0.0), (5, 0.2), (2, 0.5), (2, 0.1), (10, 0.1), (100, 0.01)])
def test_accuracy_at_or_below_chance_is_noted(k, share):
    logits = torch.randn(100, k, generator=torch.Generator().manual_seed(k))
    best, ood = logits.argmax(1), Outputs.from_logits(logits[:9])
    labels = torch.where(torch.arange(100) < round(100 * share), best, (best + 1) % k)
    said = f"no better than chance ({100 / k:.2f} % with {k} classes)"
    report = ood_toolkit.bench("msp", Outputs.from_logits(logits, labels=labels), {"o": ood})
    assert [said in note for note in head_of(report)["notes"]] == [True]
    report = ood_toolkit.bench("msp", Outputs.from_logits(logits, labels=best), {"o": ood})
    assert "notes" not in head_of(report)


def test_a_constant_score_is_noted_in_its_row(sets):
    x = Outputs.from_logits(np.ones((8, 3)), labels=np.arange(8) % 3)
    report = ood_toolkit.bench("msp,energy", x, {"o": Outputs.from_logits(np.ones((5, 3)))})
    notes = [row.notes for row in report.rows if row.kind == "ood"]
    assert notes == [("the score is the same for every image, so it tells nothing apart",)] * 2
    report = ood_toolkit.bench("msp,energy", x, {"o": Outputs.from_logits(np.full((5, 3), 2.0))})
    assert [len(row.notes) for row in report.rows if row.kind == "ood"] == [1, 0]


@pytest.mark.parametrize("value", [0.0, -3.5, 1e30])
def test_ready_scores_and_whatever_gives_one_number_are_noted_too(value):
    same = Outputs(torch.full((8, 4), 2.0), head=Head.zero_shot(np.eye(3, 4), list("abc"), 100.0))
    rows = ood_toolkit.bench("mcm,energy", same, {"o": same[:5]}).rows
    given = {"id": np.full(8, value), "o": np.full(5, value)}
    rows += ood_toolkit.bench("msp", same, {"o": same[:5]}, ready={"mine": given}).rows
    said = {
        row.scorer for row in rows if "the score is the same for every image, so it tells nothing apart" in row.notes
    }
    assert said == {"mcm", "energy", "msp", "mine"}
    given["o"][2] = 1.5 * value + 1
    rows = ood_toolkit.bench("msp", same, {"o": same[:5]}, ready={"mine": given}).rows
    assert not [note for row in rows if row.scorer == "mine" for note in row.notes if "the same for every" in note]


@pytest.mark.parametrize("form", FORMS)
def test_a_test_of_one_class_is_noted_whatever_it_is_made_of(sets, form):
    test, _, ood = map(FORMS[form], sets)
    report = ood_toolkit.bench("msp", test[test.labels == 1], {"o": ood})
    assert any("of one class, 'class 1'" in note for note in head_of(report)["notes"])
    report = ood_toolkit.bench("msp", test[test.labels <= 1], {"o": ood})
    assert "notes" not in head_of(report)


def test_one_class_is_noted(sets):
    test, _, ood = sets
    alone = Head.zero_shot(test.head.weight[:1], ["only"], 10.0)
    report = ood_toolkit.bench("msp", Outputs(test.features, head=alone), {"o": Outputs(ood.features, head=alone)})
    assert any("the model has one class" in note for note in head_of(report)["notes"])
    report = ood_toolkit.bench("msp", test[test.labels == 2], {"o": ood})
    assert any("of one class, 'class 2'" in note for note in head_of(report)["notes"])


@pytest.mark.parametrize("which", ["test", "val", "o"])
def test_equal_ids_are_noted(sets, which):
    given = dict(zip(("test", "val", "o"), sets, strict=True))
    given[which] = given[which].named(["x.png"] * len(given[which]))
    report = ood_toolkit.bench("msp", given["test"], {"o": given["o"]}, given["val"])
    (note,) = head_of(report)["notes"]
    assert note == f"all {len(given[which])} ids of {which} are 'x.png', so no image can be told from another"


def test_doubtful_outputs_are_named_in_the_header(sets):
    test, val, ood = sets
    same = Outputs(ood.features[:1].expand(40, -1), head=ood.head)
    report = ood_toolkit.bench("msp", test, {"o": ood, "same": same}, val)
    assert report.header["notes"] == ["same: all 40 embeddings are equal"]


@pytest.mark.parametrize("scale", [4.6052, 4.61, 4.59])
def test_a_scale_that_is_a_logarithm_is_doubted_once_a_run(sets, scale):
    test, val, ood = (
        Outputs(x.features, labels=x.labels, head=Head.zero_shot(x.head.weight, x.head.class_names, scale))
        for x in sets
    )
    (note,) = ood_toolkit.bench("msp,energy", test, {"o": ood, "p": ood}, val).header["notes"]
    assert f"scale {scale:.4g}: is it the log of {np.exp(scale):.0f}?" in note


@pytest.mark.parametrize("form", [np.float32, np.float64, "percent"])
def test_probabilities_in_the_place_of_logits_are_doubted_of_each_set(sets, form):
    shares = [x.logits.double().softmax(1).numpy() for x in sets]
    given = [Outputs.from_logits(100 * one if form == "percent" else one.astype(form)) for one in shares]
    notes = ood_toolkit.bench("msp", given[0], {"o": given[2]}, given[1]).header["notes"]
    assert [note.partition(":")[0] for note in notes] == ["id", "o"]
    assert all("are they probabilities? give logits" in note for note in notes)
