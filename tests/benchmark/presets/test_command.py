"""`oodkit bench --preset` and `oodkit published`, on the embedded sets."""

import json

import pytest

from ood_toolkit.benchmark.presets import preset_names

TINY = """
description = "Digits against letters and patches."
sources = ["a first run"]
protocol = "mcm"
averaging = "all sets"
class_names = "own"
val_split = 0.0

[id]
name = "digits"
images = 360

[[ood]]
name = "letters"
images = 720

[[ood]]
name = "patches"
images = 800
"""
PUBLISHED = """
[[published]]
method = "MCM"
model = "digits-clip"
scorer = "mcm"
protocol = "mcm"
source = "a first run"
tolerance = {{ fpr95 = 0.5, auroc = 0.01 }}
values.letters = {{ auroc = {auroc!r}, fpr95_id = {fpr95_id!r} }}
values.patches = {{ auroc = {patches!r} }}
means.all = {{ auroc = {mean!r} }}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("presets")


@pytest.fixture
def oodkit(oodkit, no_plugins, monkeypatch, place):
    monkeypatch.setenv("OODKIT_STORE", str(place / "store"))
    monkeypatch.setenv("COLUMNS", "120")
    return oodkit


@pytest.fixture
def first(oodkit, place):
    """Run without published values; give the rows and a function that writes a preset with values."""
    file = place / "tiny.toml"
    file.write_text(TINY)
    code, out, err = oodkit("bench", "--preset", file, "--scorers", "mcm", "--format", "json")
    assert code == 0, err
    result = json.loads(out)
    assert result["published"] == []
    rows = {(row["kind"], row["ood"]): row["metrics"] for row in result["rows"]}
    numbers = {
        "auroc": 100 * rows["ood", "letters"]["auroc"],
        "fpr95_id": 100 * rows["ood", "letters"]["fpr95_id"],
        "patches": 100 * rows["ood", "patches"]["auroc"],
        "mean": 100 * rows["mean", "all"]["auroc"],
    }

    def write(**other):
        file.write_text(TINY + PUBLISHED.format(**{**numbers, **other}))
        return file

    return write


def test_a_run_agrees_with_itself_and_not_with_another_number(first, oodkit, place):
    file = first()
    code, out, err = oodkit("bench", "--preset", file, "--output", place / "run")
    assert code == 0, err
    assert out.startswith("preset tiny\nID digits: 360 test images")
    assert "protocol mcm" in out
    assert out.count("within tolerance") == 4
    assert "outside" not in out
    assert "[1] a first run (protocol mcm)" in out
    assert "classwise" not in out  # scorers are those of the published rows
    found = json.loads((place / "run" / "result.json").read_text())
    assert [item["difference"] for item in found["published"]] == [0.0] * 4
    assert found["preset"] == {
        "name": "tiny", "description": "Digits against letters and patches.", "changed": [],
    }  # fmt: skip

    off = first(auroc=90.0)
    code, out, _ = oodkit("bench", "--preset", off)
    assert code == 0
    assert out.count("outside tolerance") == 1
    line = next(line for line in out.splitlines() if "outside" in line)
    assert " 90.00 " in line
    measured = float(line.split("AUROC")[1].split()[0])
    assert f"{measured - 90:+.2f}" in line


def test_a_report_shows_the_comparison_again(first, oodkit, tmp_path):
    run = tmp_path / "run"
    code, out, _ = oodkit("bench", "--preset", first(auroc=90.0), "--output", run)
    assert code == 0
    assert oodkit("report", run)[1] == out
    assert out.count("within tolerance") == 3
    held = json.loads((run / "result.json").read_text())
    assert json.loads(oodkit("report", run, "--format", "json")[1]) == held


@pytest.mark.parametrize("rules", ["openood-v1.5", "native", "clipn"])
def test_under_another_protocol_the_comparison_is_that_of_bench(first, oodkit, tmp_path, rules):
    file = first(auroc=90.0)
    oodkit("bench", "--preset", file, "--output", tmp_path / "run")
    direct = json.loads(oodkit("bench", "--preset", file, "--protocol", rules, "--format", "json")[1])
    found = json.loads(oodkit("report", tmp_path / "run", "--protocol", rules, "--format", "json")[1])
    assert found["published"] == direct["published"]
    assert {item["metric"]: item["measured"] is None for item in found["published"]} == {
        "auroc": False, "fpr95_id": rules == "openood-v1.5"
    }  # fmt: skip
    code, out, err = oodkit("report", tmp_path / "run", "--protocol", rules)
    assert code == 0, err
    assert "Measured beside published (%)" in out
    assert ("not measured under this protocol" in out) == (rules == "openood-v1.5")


def test_a_metric_that_was_not_measured_is_compared_once_its_protocol_is_asked_for(first, oodkit, tmp_path):
    oodkit("bench", "--preset", first(), "--protocol", "openood-v1.5", "--output", tmp_path / "run")
    assert oodkit("report", tmp_path / "run")[1].count("not measured under this protocol") == 1
    out = oodkit("report", tmp_path / "run", "--protocol", "mcm")[1]
    assert out.count("within tolerance") == 4
    assert "not measured" not in out


def test_what_cannot_be_matched_again_is_left_out_with_a_line(first, oodkit, tmp_path):
    run = tmp_path / "run"
    oodkit("bench", "--preset", first(), "--output", run)
    held = json.loads((run / "result.json").read_text())
    del held["published"][0]["same_images"]  # as a run of before
    held["published"][1]["ood"] = "gone"
    (run / "result.json").write_text(json.dumps(held))
    assert oodkit("report", run)[1].count("within tolerance") == 4
    code, out, err = oodkit("report", run, "--protocol", "native")
    assert code == 0, err
    assert out.count("within tolerance") == 2
    assert "2 published values cannot be matched again and are left out" in out


def test_a_damaged_comparison_is_one_line(first, oodkit, tmp_path):
    run = tmp_path / "run"
    oodkit("bench", "--preset", first(), "--output", run)
    held = json.loads((run / "result.json").read_text())
    held["published"][0]["measured"] = "97"
    (run / "result.json").write_text(json.dumps(held))
    code, out, err = oodkit("report", run)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "published: expected a list of objects with measured" in err


def test_the_ordinary_rows_are_compared_and_not_those_of_the_full_spectrum(first, oodkit, tmp_path):
    from ood_toolkit.data.catalogue.digits import DIGITS

    pictures = DIGITS.open("val", None)
    for place in range(60):
        name = pictures.classes[pictures.labels[place]]
        (tmp_path / "shifted" / name).mkdir(parents=True, exist_ok=True)
        pictures.items[place].image.save(tmp_path / "shifted" / name / f"{place}.png")
    run, folder = tmp_path / "run", f"folder:{tmp_path / 'shifted'}"
    code, out, err = oodkit("bench", "--preset", first(), "--model", "digits-clip", "--csid", folder, "--output", run)
    assert code == 0, err
    assert "full spectrum digits+csid: 420 test images" in out
    assert out.count("within tolerance") == 4
    found = json.loads(oodkit("report", run, "--protocol", "mcm", "--format", "json")[1])
    assert {item["id"] for item in found["published"]} == {"digits"}
    assert [item["verdict"] for item in found["published"]] == ["within tolerance"] * 4


def test_options_win_and_are_named(first, oodkit):
    code, out, _ = oodkit("bench", "--preset", first(), "--ood", "letters", "--protocol", "openood-v1.5")
    assert code == 0
    assert out.startswith("preset tiny, changed: ood, protocol\n")
    assert "OOD letters (720)\n" in out
    assert "not measured under this protocol" in out  # FPR95 with ID positive under OpenOOD's rules
    assert out.count("within tolerance") == 1
    code, out, _ = oodkit("bench", "--preset", first(), "--val-split", "0.2")
    assert out.startswith("preset tiny, changed: val-split\n")
    assert "other images" in out


def test_what_is_missing_is_said_in_a_line_each(oodkit, tmp_path):
    code, out, err = oodkit(
        "bench", "--preset", "openood-cifar10", "--model", "digits-clip", "--scorers", "mcm", "--data-root", tmp_path
    )
    assert (code, out) == (1, "")
    head, first, *others = err.splitlines()
    assert head == "oodkit: 7 of the 8 things that this run needs are not here"
    assert first.startswith(f"  data set cifar10-openood: no test images below {tmp_path}; looked for ")
    absent = ["cifar100-openood", "tiny-imagenet-cifar10", "mnist-openood", "svhn", "textures", "places365-cifar10"]
    assert [line.split(":")[0] for line in others] == [f"  data set {name}" for name in absent]  # a line a set
    code, _, err = oodkit("bench", "--preset", "openood")
    assert (code, err.count("\n")) == (1, 1)
    assert "unknown preset 'openood'" in err
    bad = tmp_path / "bad.toml"
    bad.write_text(TINY.replace('protocol = "mcm"', 'protocol = "mmc"'))
    code, _, err = oodkit("bench", "--preset", bad)
    assert (code, err) == (1, "oodkit: preset bad.toml: protocol: unknown name 'mmc'; did you mean 'mcm'?\n")


def test_presets_are_listed_and_shown(oodkit):
    code, out, _ = oodkit("published", "--json")
    assert code == 0
    assert [row["name"] for row in json.loads(out)] == [*preset_names(), "ust-etri"]
    code, out, _ = oodkit("published", "imagenet1k-mos", "--method", "clipn-atd")
    assert code == 0
    assert "CLIPN-ATD, run 3" in out
    assert "SeTAR" not in out
    assert "github.com/xmed-lab/CLIPN" in out
    code, out, _ = oodkit("published", "imagenet-o", "--json")
    assert json.loads(out)["published"][0]["values"]["imagenet-o"] == {"auroc": 75.58, "fpr95_id": 81.6}


def test_a_method_that_is_not_there_is_one_line(oodkit):
    code, out, err = oodkit("published", "imagenet-o", "--method", "zoc")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "no published row names 'zoc'" in err
    code, _, err = oodkit("published", "--method", "zoc")
    assert code == 2
