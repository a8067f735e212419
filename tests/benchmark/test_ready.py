"""Ready scores of a method of one's own beside the scorers of a run, from Python."""

import numpy as np
import pytest
import torch

from ood_toolkit import metrics
from ood_toolkit.benchmark.members import Member
from ood_toolkit.benchmark.runner import bench
from ood_toolkit.errors import DataError, MetricError, OutputsError
from ood_toolkit.report import Report
from ood_toolkit.report.comparison import with_tests
from ood_toolkit.report.run_folder import read_run

pytestmark = pytest.mark.usefixtures("no_plugins")


@pytest.fixture
def sets(make_outputs):
    return {
        "test": make_outputs(50),
        "ood": {"far": make_outputs(40, seed=1)},
        "val": make_outputs(30, seed=2),
    }


@pytest.fixture
def mine():
    draw = np.random.default_rng(0)
    return {"id": draw.normal(1, 1, 50), "far": draw.normal(0, 1, 40)}


def rows_of(report, scorer):
    return {row.kind: row for row in report.rows if row.scorer == scorer}


def test_they_are_a_row_measured_as_they_are_and_tested_with_the_others(sets, mine):
    report = bench("msp,energy", **sets, ready={"my score": mine}, paired=True)
    assert list(dict.fromkeys(row.scorer for row in report.rows)) == ["msp", "energy", "my score"]
    row = rows_of(report, "my score")["ood"]
    assert row.auroc == metrics.auroc(mine["id"], mine["far"])
    assert row["fpr95_id"] == metrics.evaluate(mine["id"], mine["far"])["fpr95_id"]
    assert (row.n_id, row.n_ood) == (50, 40)
    assert "id_accepted" not in row.metrics
    assert "no decisions" in row.notes[0]
    right = (sets["test"].prediction == sets["test"].labels).numpy()
    wrong = rows_of(report, "my score")["misclassification"]
    assert wrong.auroc == pytest.approx(metrics.auroc(mine["id"][right], mine["id"][~right]))
    tests = {test["scorer"]: test for test in report.header["paired"]}
    said = report.answers["id", "test"].scores["msp"], report.answers["id", "ood:far"].scores["msp"]
    assert tests["my score"]["p"] == metrics.delong_test(mine["id"], mine["far"], *said).p
    against = with_tests(report, "my score").header["paired"]
    assert [test["against"] for test in against] == [{"scorer": "my score"}] * 2


def test_what_the_scorers_say_is_as_without_them(sets, mine):
    alone, beside = bench("msp,knn", **sets), bench("msp,knn", **sets, ready={"mine": mine})
    told = [row.metrics for row in beside.rows if row.scorer != "mine"]
    assert told == [row.metrics for row in alone.rows]


def test_a_run_folder_keeps_them_without_decisions(sets, mine, tmp_path):
    bench("msp", **sets, ready={"mine": mine}).save(tmp_path / "run")
    held = read_run(tmp_path / "run")
    said = held.answers["id", "test"]
    np.testing.assert_array_equal(said.scores["mine"], mine["id"])
    assert list(said.accepted) == ["msp"]
    tests = with_tests(Report(held.rows, held.header, held.answers), "mine").header["paired"]
    assert [test["scorer"] for test in tests] == ["msp"]


def test_they_are_shown_on_the_full_spectrum_and_on_the_union(sets, mine, make_outputs):
    shifted = make_outputs(20, seed=3)
    report = bench("msp", **sets, csid={"v2": shifted}, ready={"mine": mine | {"v2": np.zeros(20)}})
    whole = next(row for row in report.rows if (row.scorer, row.id) == ("mine", "id+csid"))
    assert whole.auroc == metrics.auroc(np.append(mine["id"], np.zeros(20)), mine["far"])
    members = {name: Member(None, {"a": sets["test"], "b": sets["val"]}, sets["ood"]) for name in "ab"}
    own = {"a": mine["id"], "b": np.zeros(30), "far": mine["far"]}
    report = bench("msp", members=members, ready={"mine": own})
    union = [row for row in report.rows if (row.scorer, row.id, row.kind) == ("mine", "union", "ood")]
    assert [row.auroc for row in union] == [metrics.auroc(np.append(mine["id"], np.zeros(30)), mine["far"])] * 2


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"far": None}, OutputsError, "'mine' has no scores of 'far'"),
        ({"fra": [1.0]}, OutputsError, "the unknown set 'fra'; did you mean 'far'?"),
        ({"far": np.ones(39)}, OutputsError, "expected 40 scores of 'mine' for 'far', one for each image"),
        ({"far": np.full(40, np.nan)}, MetricError, "expected numbers only, got 40 NaN"),
        ({"id": torch.ones(50, 2)}, MetricError, r"expected shape \(n,\), one number per image"),
    ],
)
def test_scores_of_other_images_are_refused(sets, mine, change, error, said):
    given = {name: scores for name, scores in (mine | change).items() if scores is not None}
    with pytest.raises(error, match=said):
        bench("msp", **sets, ready={"mine": given})


def test_a_label_that_is_a_scorer_is_refused(sets, mine):
    with pytest.raises(DataError, match="ready scores 'msp': a scorer of this run has that name"):
        bench("msp", **sets, ready={"msp": mine})
    with pytest.raises(OutputsError, match="expected scores by set for 'mine', got ndarray"):
        bench("msp", **sets, ready={"mine": mine["id"]})
