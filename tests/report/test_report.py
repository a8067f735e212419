import csv
import io
import json
import sys

import numpy as np
import pandas
import pytest

from ood_toolkit.benchmark.runner import bench
from ood_toolkit.errors import DataError
from ood_toolkit.report import Report
from ood_toolkit.report.results import Answers, Row

THIRD = float(np.float64(1) / 3)
GOOD = {"auroc": THIRD, "fpr95_id": 0.5, "aupr_in": 0.98765, "id_accepted": 0.95, "ood_detected": 1.0}


def row(scorer="msp", ood="o", **more):
    return Row("ood", scorer, "i", ood, **({"n_id": 10, "n_ood": 20, "metrics": GOOD} | more))


HEADER = {
    "protocol": "native",
    "id": [{"name": "digits", "images": 360, "accuracy": 0.98889, "ece": 0.0091, "validation_images": 90}],
    "ood": {"letters": 720, "patches": 800},
    "model": "digits-clip",
    "prompts": '"a photo of a {}"',
    "validation": {"digits": "the set's own split"},
}


def arrays_of(file):
    with np.load(file, allow_pickle=False) as opened:
        return dict(opened)


@pytest.fixture
def report(make_outputs):
    ood = {"letters": make_outputs(40, seed=3), "patches": make_outputs(30, seed=4)}
    return bench("classwise,grid,mean,msp,mcm,knn", make_outputs(60, seed=1), ood, make_outputs(50, seed=2))


def test_csv_parses_back_with_every_digit(report):
    read = list(csv.DictReader(io.StringIO(report.to_csv())))
    assert len(read) == len(report.rows)
    for line, made in zip(read, report.rows, strict=True):
        assert (line["kind"], line["scorer"], line["ood"], line["status"]) == (
            made.kind,
            made.scorer,
            made.ood,
            made.status,
        )
        assert {key: float(line[key]) for key in made.metrics} == dict(made.metrics)
        assert {key for key, value in line.items() if value == "" and key in made.metrics} == set()
        assert line["notes"] == "; ".join(made.notes)
        assert int(line["n_id"]) == made.n_id


def test_csv_quotes_what_needs_it():
    odd = row("classwise:base=(knn:k=5)", 'a "b", c', notes=("one, two", "three\nfour"))
    (line,) = csv.DictReader(io.StringIO(Report([odd], HEADER).to_csv()))
    assert (line["scorer"], line["ood"], line["notes"]) == (odd.scorer, odd.ood, r"one, two; three\nfour")


def test_json_parses_and_holds_everything(report):
    def refuse(token):
        raise AssertionError(token)

    read = json.loads(report.to_json(), parse_constant=refuse)
    assert read["schema"] == 1
    assert read["id"] == report.header["id"]
    assert read["versions"]["numpy"] == np.__version__
    for held, made in zip(read["rows"], report.rows, strict=True):
        assert held["metrics"] == dict(made.metrics)
        assert (held["scorer"], held["status"], tuple(held["notes"])) == (made.scorer, made.status, made.notes)
    assert Report([row(metrics={"auroc": float("nan")})], HEADER).to_json().count("null") == 1


def test_a_data_frame_has_a_column_for_each_metric(report, monkeypatch):
    frame = report.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.auroc.tolist()[0] == report.rows[0].auroc
    assert frame.scorer.tolist() == [made.scorer for made in report.rows]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'ood-toolkit\[pandas\]'"):
        report.to_pandas()


def test_failed_and_ran():
    failed, skipped = (row(status=status, metrics={}, notes=("why",)) for status in ("failed", "skipped"))
    assert Report([row(), failed, skipped], HEADER).failed == [failed]
    assert Report([row(), failed], HEADER).ran
    assert not Report([failed, skipped], HEADER).ran


def test_a_run_folder_is_written_once(report, tmp_path):
    report.save(tmp_path / "run")
    assert json.loads((tmp_path / "run" / "result.json").read_text()) == json.loads(report.to_json())
    test = arrays_of(tmp_path / "run" / "scores" / "id" / "test.npz")
    place = test["scorers"].tolist().index("msp")
    np.testing.assert_array_equal(test["scores"][place], report.answers["id", "test"].scores["msp"])
    before = {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()}
    with pytest.raises(DataError, match="expected a new or empty folder"):
        report.save(tmp_path / "run")
    assert {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_object_names_are_written_as_text(tmp_path):
    said = Answers(np.array(["x"]), {"msp": np.array([1.0])}, prediction=np.array(["cat"], dtype=object))
    Report([row()], HEADER, {("i", "test"): said}).save(tmp_path / "run")
    read = arrays_of(tmp_path / "run" / "scores" / "i" / "test.npz")
    assert read["prediction"].tolist() == ["cat"]


def test_reports_of_several_models_are_joined():
    from dataclasses import replace

    from ood_toolkit.report.report import joined

    def of(model, accuracy):
        header = HEADER | {"model": model, "id": [{"name": "digits", "images": 360, "accuracy": accuracy, "ece": 0.1}]}
        rows = [replace(row(), model=model), replace(row("mcm"), model=model)]
        return Report(rows, header, {("digits", "test"): Answers(np.array([model]))})

    one, two = of("a", 0.5), of("b", 0.25)
    assert joined([one]) is one
    both = joined([one, two])
    assert [(r.model, r.scorer) for r in both.rows] == [("a", "msp"), ("a", "mcm"), ("b", "msp"), ("b", "mcm")]
    assert both.header["ood"] == HEADER["ood"]
    assert [part["id"][0]["accuracy"] for part in both.header["models"]] == [0.5, 0.25]
    assert "model" not in both.header
    assert both.answers["b", "digits", "test"].ids.tolist() == ["b"]
    table = both.table(100)
    assert table.count("model ") == 3  # once for each, and the column
    assert "accuracy 25.00 %" in table
    assert [line.split()[:2] for line in table.splitlines() if "33.33" in line] == [
        ["a", "msp"], ["a", "mcm"], ["b", "msp"], ["b", "mcm"],
    ]  # fmt: skip
