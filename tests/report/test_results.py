import json
from pathlib import Path

import numpy as np
import pytest

from ood_toolkit import metrics
from ood_toolkit.benchmark.runner import bench
from ood_toolkit.errors import DataError
from ood_toolkit.report.results import SCHEMA, Answers, Row, to_json
from ood_toolkit.report.run_folder import check_new_folder, write_run

pytestmark = pytest.mark.quick


def answers(**more):
    said = {"ids": np.array(["a", "b"]), "scores": {"msp": np.array([0.25, 1 / 3])}}
    return Answers(**(said | more))


def arrays_of(file):
    with np.load(file, allow_pickle=False) as opened:
        return dict(opened)


def test_a_row_gives_its_metrics_by_name_and_key():
    row = Row("ood", "msp", "i", "o", metrics={"auroc": 0.5}, notes=("one", "two"))
    assert row.auroc == row["auroc"] == 0.5
    assert row["scorer"] == "msp"
    with pytest.raises(AttributeError, match="row has no 'aupr'; metrics: auroc"):
        _ = row.aupr
    with pytest.raises(KeyError):
        _ = row["aupr"]
    flat = row.flat()
    assert (flat["notes"], flat["auroc"], flat["ood"], "metrics" in flat) == ("one; two", 0.5, "o", False)


def test_json_holds_no_nan_and_keeps_every_digit():
    third = float(np.float64(1) / 3)
    row = Row("ood", "msp", "i", "o", metrics={"auroc": third, "aurc": float("nan"), "fpr95_id": np.float64("inf")})
    text = to_json({"ood": {"o": np.int64(3)}, "odd": (float("-inf"),)}, [row])

    def refuse(token):
        raise AssertionError(token)

    read = json.loads(text, parse_constant=refuse)
    assert (read["schema"], SCHEMA) == (1, 1)
    assert read["rows"][0]["metrics"] == {"auroc": third, "aurc": None, "fpr95_id": None}
    assert (read["ood"], read["odd"]) == ({"o": 3}, [None])


def test_a_folder_that_holds_something_is_refused(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("full", "file"):
        with pytest.raises(DataError, match="expected a new or empty folder"):
            write_run(tmp_path / name, {}, [], {})
    assert (tmp_path / "full" / "x").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    for name in ("empty", "new", "deep/er"):
        assert check_new_folder(tmp_path / name) == tmp_path / name
        write_run(tmp_path / name, {}, [], {})
        assert (tmp_path / name / "result.json").is_file()


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def torn(file, *args, **arrays):
        Path(file).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", torn)
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        with pytest.raises(OSError, match="disk full"):
            write_run(tmp_path / name, {}, [], {("i", "test"): answers()})
    assert [file.name for file in tmp_path.rglob("*")] == ["empty"]


def test_what_is_not_known_is_left_out_of_the_arrays(tmp_path):
    write_run(tmp_path / "run", {}, [], {("i", "test"): answers(), ("i", "ood:o"): answers(scores={})})
    read = arrays_of(tmp_path / "run" / "scores" / "i" / "test.npz")
    assert sorted(read) == ["ids", "scorers", "scores"]
    np.testing.assert_array_equal(read["scores"], [[0.25, 1 / 3]])
    assert (tmp_path / "run" / "scores" / "i" / "ood_o.npz").is_file()


def test_no_name_leaves_the_folder_and_no_two_share_a_file(tmp_path):
    names = ["..", ".", "a/b", "a_b", "../../x", "a b", "ä", "a|b", "a%2Fb"]
    write_run(tmp_path / "run", {}, [], {(name, f"ood:{name}"): answers() for name in names})
    files = list(tmp_path.rglob("*.npz"))
    assert len(files) == len(names)
    assert {file.parents[2] for file in files} <= {tmp_path / "run"}
    assert [file.name for file in tmp_path.iterdir()] == ["run"]


def test_every_number_of_a_run_can_be_computed_again_from_its_arrays(make_outputs, tmp_path):
    test, val, ood = make_outputs(60, seed=1), make_outputs(50, seed=2), make_outputs(40, seed=3)
    bench("msp,classwise,energy", test, {"a/b": ood}, val).save(tmp_path / "run")
    rows = json.loads((tmp_path / "run" / "result.json").read_text())["rows"]
    folder = tmp_path / "run" / "scores" / "id"
    assert {file.name for file in folder.iterdir()} == {"test.npz", "val.npz", "ood_a%2Fb.npz"}
    held = {name: arrays_of(folder / f"{name}.npz") for name in ("test", "ood_a%2Fb")}
    x, o = held["test"], held["ood_a%2Fb"]
    assert (x["prediction"] == x["label"]).tolist() == x["right"].tolist()
    names = np.array(test.class_names)
    assert x["label"].tolist() == names[test.labels.numpy()].tolist()
    assert "label" not in o
    for place, spec in enumerate(x["scorers"].tolist()):
        detection, mistakes = (
            next(r for r in rows if (r["scorer"], r["kind"]) == (spec, k)) for k in ("ood", "misclassification")
        )
        again = metrics.evaluate(x["scores"][place], o["scores"][place])
        again |= {"id_accepted": x["accepted"][place].mean(), "ood_detected": (~o["accepted"][place]).mean()}
        assert detection["metrics"] == again
        right, scores = x["right"], x["scores"][place]
        assert mistakes["metrics"]["aurc"] == metrics.aurc(scores[right], scores[~right])
        assert mistakes["metrics"]["f1_uncertain"] == metrics.f1_uncertain(~x["accepted"][place], ~right)
