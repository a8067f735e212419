import numpy as np
import pytest

from ood_toolkit.report.evaluation import About, header_of, mean_rows, misclassification, ood_rows
from ood_toolkit.report.results import Answers, Row

pytestmark = pytest.mark.quick

ABOUT = About("s", "i", "A", ("a note",), 1.5)


def said(scores, **more):
    return Answers(np.arange(len(scores)).astype(str), {"s": np.array(scores, dtype=float)}, **more)


def test_an_ood_row_by_hand():
    test = said([4, 3, 2, 1], accepted={"s": np.array([True, True, True, False])})
    ood = said([2.5, 0.5], accepted={"s": np.array([True, False])})
    (row,) = ood_rows(ABOUT, test, {"o": ood}, "native")
    assert (row.scorer, row.id, row.ood, row.decider, row.notes, row.seconds) == ("s", "i", "o", "A", ("a note",), 1.5)
    assert (row.n_id, row.n_ood) == (4, 2)
    assert row.auroc == 6 / 8
    assert row.fpr95_id == 0.5
    assert (row.id_accepted, row.ood_detected) == (0.75, 0.5)


def test_an_ood_row_without_decisions_and_one_that_failed():
    ood = {"fine": said([0, 1]), "bad": Answers(np.array(["0"]), failed={"s": "module: why"})}
    fine, bad = ood_rows(ABOUT, said([2, 3]), ood, "native")
    assert fine.auroc == 1.0
    assert "id_accepted" not in fine.metrics
    assert (bad.status, bad.notes, dict(bad.metrics)) == ("failed", ("module: why",), {})


def test_other_protocols_have_their_own_metrics():
    (row,) = ood_rows(ABOUT, said([2, 3]), {"o": said([0, 1])}, "mcm")
    assert set(row.metrics) == {"auroc", "fpr95_id", "ap_in"} | set(row.metrics)
    assert "aupr_in" not in row.metrics


def rows(*values):
    return [Row("ood", "s", "i", name, "A", n_id=5, n_ood=n, metrics={"auroc": v}) for name, n, v in values]


def test_means_weigh_each_set_alike():
    made = mean_rows(rows(("a", 10, 0.5), ("b", 990, 1.0), ("c", 1, 0.0)), {"near": ("a", "b"), "far": ("c",)})
    assert [(r.ood, r.auroc, r.n_ood) for r in made] == [("near", 0.75, 1000), ("far", 0.0, 1), ("all", 0.5, 1001)]
    assert {(r.kind, r.scorer, r.id, r.decider, r.n_id) for r in made} == {("mean", "s", "i", "A", 5)}


def test_there_is_no_mean_of_one_set_or_of_a_set_that_failed():
    assert mean_rows(rows(("a", 10, 0.5)), {}) == []
    failed = Row("ood", "s", "i", "b", status="failed")
    made = mean_rows([*rows(("a", 10, 0.5)), failed], {"both": ("a", "b"), "one": ("a",), "none": ()})
    assert [r.ood for r in made] == ["one"]


def test_a_metric_that_one_set_lacks_has_no_mean():
    a, b = rows(("a", 10, 0.5), ("b", 10, 0.7))
    (mean,) = mean_rows([a, Row("ood", "s", "i", "b", metrics={**b.metrics, "ap_in": 0.1})], {})
    assert dict(mean.metrics) == {"auroc": 0.6}


def test_misclassification_by_hand():
    right = np.array([True, True, False, True, False])
    accepted = np.array([True, True, True, False, False])
    (row,) = misclassification(ABOUT, said([5, 4, 3, 2, 1], right=right, accepted={"s": accepted}))
    assert (row.kind, row.n_id, row.n_ood, row.notes) == ("misclassification", 5, 0, ("a note",))
    assert row.auroc == 5 / 6
    assert row.aurc == pytest.approx((0 + 0 + 1 / 3 + 1 / 4 + 2 / 5) / 5)
    assert row.eaurc == pytest.approx(row.aurc - (1 / 4 + 2 / 5) / 5)
    assert row.f1_uncertain == 2 * 1 / (2 * 1 + 1 + 1)
    assert (row.accuracy_uncertain, row.id_accepted) == (0.6, 0.6)


@pytest.mark.parametrize(("truth", "word"), [(True, "right"), (False, "wrong")])
def test_without_mistakes_or_without_a_right_answer_there_is_a_note(truth, word):
    (row,) = misclassification(ABOUT, said([1, 2], right=np.array([truth, truth])))
    assert dict(row.metrics) == {}
    assert row.notes == ("a note", f"all 2 predictions are {word}: nothing to tell apart")


def test_without_labels_there_is_no_row_and_a_failure_is_one():
    assert misclassification(ABOUT, said([1, 2])) == []
    failed = Answers(np.array(["0"]), failed={"s": "why"}, right=np.array([True]))
    assert [(r.status, r.notes) for r in misclassification(ABOUT, failed)] == [("failed", ("why",))]


def test_the_header_of_an_id_set():
    sets = {
        "test": said([1, 2], right=np.array([True, False]), confidence=np.array([0.9, 0.5])),
        "val": said([1, 2, 3]),
    }
    assert header_of("i", sets) == {
        "name": "i",
        "images": 2,
        "validation_images": 3,
        "accuracy": 0.5,
        "ece": pytest.approx((0.1 + 0.5) / 2),
    }
    assert header_of("i", {"test": said([1])}) == {"name": "i", "images": 1}
