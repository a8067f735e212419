"""The long table of scores, in Python and in files: every number of the run is in it, and nothing breaks a form."""

import csv
import subprocess
import sys

import numpy as np
import pytest

from ood_toolkit import metrics, read_run
from ood_toolkit.errors import DataError
from ood_toolkit.report import Report
from ood_toolkit.report.cells import csv_cell
from ood_toolkit.report.results import Answers, Row
from ood_toolkit.report.scores import CHUNK, COLUMNS, write_scores

pandas = pytest.importorskip("pandas", reason="pandas is not installed")


def made(names=("near",), n=6, scorer="msp", ids=None):
    draw = np.random.default_rng(0)
    test = Answers(
        np.array([f"t/{i}" for i in range(n)]) if ids is None else np.array(ids),
        {scorer: draw.normal(1, 1, n)}, {}, np.array(["a", "b"] * (n // 2)), draw.random(n),
        np.array([True, False] * (n // 2)), np.array(["a", ""] * (n // 2)), {scorer: np.arange(n) > 1}, {scorer: 0.5},
    )  # fmt: skip
    ood = {("known", f"ood:{name}"): Answers(np.array(["o/1"]), {scorer: np.array([0.25])}) for name in names}
    rows = [Row("ood", scorer, "known", name, metrics={"auroc": 0.5}) for name in names]
    header = {"protocol": "native", "id": [{"name": "known", "images": n}], "ood": dict.fromkeys(names, 1)}
    return Report(rows, header, {("known", "test"): test, **ood})


def read_csv(file):
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_row_is_an_image_and_a_scorer():
    table = made().scores()
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 7
    first, last = (
        {name: None if pandas.isna(value) else value for name, value in table.iloc[place].items()} for place in (1, 6)
    )
    assert {**first, "score": 0, "confidence": 0} == {
        "model": "", "of": "known", "part": "test", "set": "known", "image": "t/1", "scorer": "msp", "score": 0,
        "accepted": False, "prediction": "b", "label": None, "right": None, "confidence": 0, "stream": "",
    }  # fmt: skip
    assert (last["part"], last["set"], last["score"], last["accepted"]) == ("ood", "near", 0.25, None)


def test_metrics_follow_from_the_table(make_outputs):
    from ood_toolkit import bench

    test, val = make_outputs(40, seed=1), make_outputs(50, seed=2)
    report = bench("msp,energy,adaneg", test, {"o": make_outputs(30, seed=3)}, val, id_name="i", seed=3)
    table = report.scores()
    for row in report.rows:
        if row.kind == "ood" and row.status == "ok":
            mine = table[table.scorer == row.scorer]
            inside = mine[(mine.part == "test") & mine.stream.isin(["", "o"])]
            assert metrics.auroc(inside.score, mine[mine.part == "ood"].score) == row.auroc
            assert set(mine[mine.part == "ood"].stream) == ({"o"} if row.scorer == "adaneg" else {""})
    right = table[(table.part == "test") & (table.scorer == "msp")].right.astype(bool)
    assert metrics.accuracy(right) == report.header["id"][0]["accuracy"]


@pytest.mark.parametrize("suffix", ["csv", "parquet", "PARQUET"])
def test_files_hold_what_the_frame_holds(tmp_path, suffix, monkeypatch):
    if suffix != "csv":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    monkeypatch.setattr("ood_toolkit.report.scores.CHUNK", 4)
    report = made(("near", "far"))
    report.save(tmp_path / "run")
    file = tmp_path / f"a.{suffix}"
    assert write_scores(tmp_path / "run", file) == 8
    held = read_run(tmp_path / "run")
    expected = Report(held.rows, held.header, held.answers).scores()
    if suffix == "csv":
        found = read_csv(file)
        assert [float(row["score"]) for row in found] == expected.score.tolist()
        assert [row["accepted"] for row in found] == ["" if pandas.isna(one) else str(one) for one in expected.accepted]
    else:
        found = pandas.read_parquet(file).astype(expected.dtypes.to_dict())
        pandas.testing.assert_frame_equal(found, expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == [file.name, "run"]


def test_names_do_no_harm_in_csv(tmp_path, hostile):
    name = hostile.replace("\udcff", "")
    made((name,), ids=[hostile] * 6).save(tmp_path / "run")
    write_scores(tmp_path / "run", tmp_path / "a.csv")
    rows = read_csv(tmp_path / "a.csv")
    assert [row["image"] for row in rows if row["part"] == "test"] == [csv_cell(hostile)] * 6
    assert {row["set"] for row in rows if row["part"] == "ood"} == {csv_cell(name)}


def test_ids_that_are_no_text_are_escaped_in_parquet(tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    made(ids=["a\udcff.png"] * 6).save(tmp_path / "run")
    write_scores(tmp_path / "run", tmp_path / "a.parquet")
    assert set(pandas.read_parquet(tmp_path / "a.parquet").image) == {"a\\udcff.png", "o/1"}


def test_a_run_without_scores_and_other_forms_are_refused(tmp_path):
    report = made()
    Report(report.rows, report.header, {}).save(tmp_path / "run")
    with pytest.raises(DataError, match="expected scores of every image, got none"):
        write_scores(tmp_path / "run", tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"ends in \.csv or \.parquet, got \.xlsx"):
        write_scores(tmp_path / "run", tmp_path / "a.xlsx")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert Report(report.rows, report.header).scores().empty


def test_the_command_writes_the_table_and_nothing_else(oodkit, tmp_path):
    made().save(tmp_path / "run")
    done = oodkit("report", tmp_path / "run", "--scores", tmp_path / "a.csv")
    assert (done.code, done.out, done.err) == (0, "", f"{tmp_path / 'a.csv'}: 7 rows\n")
    assert (tmp_path / "a.csv").read_text().startswith(",".join(COLUMNS))
    for words in (("--ci",), ("--format", "csv"), ("--sort", "name")):
        wrong = oodkit("report", tmp_path / "run", "--scores", tmp_path / "b.csv", *words)
        assert (wrong.code, (tmp_path / "b.csv").exists()) == (2, False)
        assert f"{words[0]}: does not go with --scores" in wrong.err
    oodkit("report", tmp_path / "none", "--scores", tmp_path / "b.csv").is_refused("expected a run folder")
    oodkit("report", tmp_path / "run", "--scores", tmp_path / "b.txt").is_refused("ends in .csv or .parquet, got .txt")


PEAK = """
import sys, tracemalloc
from pathlib import Path
from ood_toolkit.report import scores
rows = scores.write_scores(Path(sys.argv[1]), Path(sys.argv[1], "warm.csv"))
tracemalloc.start()
scores.write_scores(Path(sys.argv[1]), Path(sys.argv[1], "a.csv"))
print(rows, tracemalloc.get_traced_memory()[1])
"""


def test_one_set_is_in_memory_at_a_time(tmp_path):
    """Ten sets need no more than one does, and a little for their names."""
    peaks = []
    for count in (1, 10):
        names = [f"o{place}" for place in range(count)]
        report = made(names)
        for name in names:
            ids = np.array([f"{place:06}" for place in range(2 * CHUNK)])
            report.answers["known", f"ood:{name}"] = Answers(ids, {"msp": np.zeros(len(ids))})
        report.save(tmp_path / str(count))
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(tmp_path / str(count))], capture_output=True, text=True, check=True
        )
        rows, peak = map(int, done.stdout.split())
        assert rows == 6 + count * 2 * CHUNK
        peaks.append(peak)
    assert peaks[1] < 1.5 * peaks[0]
