"""`oodkit fit`, `inspect` and `predict`, from digits to decisions."""

import csv
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from ood_toolkit import Detector
from ood_toolkit.detectors.writing import FIELDS


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(autouse=True)
def _one_store(store, monkeypatch):
    monkeypatch.setenv("OODKIT_STORE", str(store))


MADE = {}
"""What was printed and written, by the words of the command: each is run once."""


@pytest.fixture
def fitted(oodkit, tmp_path):
    """Fit on digits: what was printed, and the file."""

    def fit(spec="msp", rule="conformal:target=0.9", *more, name="d.oodkit"):
        words, file = (spec, rule, *more), tmp_path / name
        if words not in MADE:
            done = oodkit("fit", spec, "--id", "digits", "--rule", rule, "-o", file, *more)
            assert done.code == 0, done.err
            MADE[words] = (done, file.read_bytes())
        file.write_bytes(MADE[words][1])
        return MADE[words][0], file

    return fit


def refused(done, *parts):
    """Check that it ended with an error of one line on stderr that says these parts."""
    assert done.code == 1
    assert done.out == ""
    *before, last = done.err.splitlines()
    assert not [line for line in before if not line.startswith("encoded ")], done.err
    assert last.startswith("oodkit: ")
    assert [part for part in parts if part not in last] == []


@pytest.fixture
def mixed(tmp_path):
    """Twenty digits below folders, and files that are no pictures."""
    folder, images = tmp_path / "mixed", load_digits().images
    for row in range(20):
        place = folder / f"{row % 3}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((images[row] * 15.9).astype("uint8")).save(place / f"{row:02}.png")
    (folder / "broken.png").write_bytes((folder / "0" / "00.png").read_bytes()[:60])
    (folder / "text.jpg").write_text("no picture")
    (folder / "notes.txt").write_text("not looked at")
    return folder


def rows(text):
    return [json.loads(line) for line in text.splitlines()]


def test_fit_prints_the_operating_point_and_inspect_shows_it_again(oodkit, fitted):
    done, file = fitted("msp", "conformal:target=0.9", "--ood", "letters,patches")
    lines = done.out.splitlines()
    assert re.fullmatch(r".+/d\.oodkit: [0-9a-f]{16}", lines[0])
    said = "\n".join(lines)
    assert "msp over 10 classes of digits-clip" in said
    assert "rule: conformal:target=0.9, calibrated on 360 images of digits" in said
    assert "guarantee: At least 90 % of future ID images are accepted, on average over calibration sets" in said
    assert "ID accepted: 90.0 % of images to come on average" in said
    assert "measured on 360 images of digits/test that chose nothing" in said
    assert "worst predicted classes: " in said
    assert "OOD detected: letters " in said
    again = oodkit("inspect", file)
    assert again.out.splitlines()[1 : len(lines)] == lines[1:]
    assert "threshold: accepted from here on" in again.out
    assert max(map(len, again.out.splitlines()[len(lines) :])) <= 100
    facts = oodkit("inspect", file, "--json").read
    known = facts["calibration"]
    assert (known["n"], known["set"], known["rule"], known["moved"]) == (360, "digits", "conformal:target=0.9", 0)
    assert sorted(known["measured"]) == ["digits/test", "letters", "patches"]
    assert sorted(facts["encoder"]) == ["architecture", "model", "precision", "preprocessing", "weights"]
    made = Detector.load(file)
    assert made.threshold == facts["threshold"]
    ranked = np.sort(made.rows.score)
    assert made.threshold == ranked[36 - 1]  # floor(0.1 * 361)


def test_moving_equals_fitting_and_is_counted(oodkit, fitted, tmp_path):
    _, first = fitted("msp", "tpr")
    for rule in ("pac:target=0.9", "conformal:by=predicted:target=0.8", "risk:target=0.05"):
        _, other = fitted("msp", rule, name="o.oodkit")
        moved = oodkit("inspect", first, "--move", rule, "-o", tmp_path / "m.oodkit")
        assert moved.code == 0, moved.err
        assert "moved: thresholds were moved once after the fit; a target picked after looking" in moved.out
        one, two = (oodkit("inspect", path, "--json").read for path in (tmp_path / "m.oodkit", other))
        for name in ("threshold", "class_thresholds", "rule"):
            assert one[name] == two[name]
        if "predicted" in rule:
            moved_by_class = (tmp_path / "m.oodkit").rename(tmp_path / "p.oodkit")
    assert "each compared with the threshold of its predicted class" in oodkit("inspect", moved_by_class).out
    assert "accepted from here on" not in oodkit("inspect", moved_by_class).out
    assert oodkit("inspect", first, "--move", "tpr").code == 2
    assert oodkit("inspect", first, "--accept-all").code == 2
    oodkit("inspect", first, "--move", "best", "-o", tmp_path / "x").is_refused("unknown rule 'best'")
    _, margin = fitted("classwise", "tpr", name="c.oodkit")
    oodkit("inspect", margin, "--move", "pac", "-o", tmp_path / "x").is_refused("classwise: decides by itself")
    assert not (tmp_path / "x").exists()


def test_what_accepts_everything_is_refused_unless_told(oodkit, tmp_path):
    words = ["fit", "msp", "--id", "digits", "--rule", "conformal:target=0.9999", "-o", tmp_path / "d"]
    refused(oodkit(*words), "on 360 images accepts everything", "--accept-all")
    assert not (tmp_path / "d").exists()
    done = oodkit(*words, "--accept-all")
    assert done.code == 0
    assert "threshold: -inf, everything is accepted" in done.out
    oodkit("fit", "msp", "--id", "digits", "-o", tmp_path / "t")
    move = ["inspect", tmp_path / "t", "--move", "conformal:target=0.9999", "-o", tmp_path / "m"]
    refused(oodkit(*move), "t: msp: conformal:target=0.9999 on 360 images accepts everything", "--accept-all")
    assert not (tmp_path / "m").exists()
    assert oodkit(*move, "--accept-all").code == 0


def test_classes_that_accept_everything_are_named(oodkit, tmp_path):
    words = ["--id", "digits", "-o", tmp_path / "d"]
    for spec in (["msp", "--rule", "conformal:target=0.973:by=predicted"], ["classwise:rule=conformal:target=0.973"]):
        done = oodkit("fit", *spec, *words)
        assert "7 of 10 classes have too few images to promise; threshold -inf: zero, two, four, five" in done.out


def test_calibration_images_that_chose_the_head_are_noted(oodkit, tmp_path):
    words = ["train", "head", "--id", "digits", "--epochs", "2", "--output"]
    for folder, more in (("a", []), ("b", ["--val-split", "0.3"])):
        assert oodkit(*words, tmp_path / folder, *more).code == 0
        done = oodkit("fit", "msp", "--id", "digits", "--head", tmp_path / folder, "-o", tmp_path / "d")
        assert ("360 of the 360 images to calibrate on also chose the head" in done.out) == (folder == "a")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fit", "adaneg", "--id", "digits"], "it cannot be deployed"),
        (["fit", "mps", "--id", "digits"], "did you mean 'msp'"),
        (["fit", "msp", "--id", "digits", "--rule", "pca"], "did you mean 'pac'"),
        (["fit", "classwise", "--id", "digits", "--rule", "pac"], "decides by itself"),
        (["fit", "msp", "--id", "digits", "--ood", "digits"], "an OOD set cannot be an ID set too"),
        (["fit", "msp", "--id", "digits", "--val-split", "0"], "no images to calibrate on"),
        (["fit", "l-mcm", "--id", "digits", "--rule", "conformal:by=true:target=0.99"], "at least 99 images of each"),
    ],
)
def test_wrong_fits_are_one_line(words, said, oodkit, tmp_path):
    refused(oodkit(*words, "-o", tmp_path / "d"), said)
    assert not (tmp_path / "d").exists()
    oodkit("fit", "msp", "--id", "digits", "-o", tmp_path / "no" / "d").is_refused("its folder does not exist")


def test_predict_decides_on_a_folder_with_rubbish(oodkit, fitted, mixed):
    _, file = fitted()
    done = oodkit("predict", file, mixed)
    found = rows(done.out)
    assert done.code == 0
    below = sorted(range(20), key=lambda row: (row % 3, row))
    names = ["broken.png", "text.jpg", *(f"{row % 3}/{row:02}.png" for row in below)]
    assert [row["id"] for row in found] == [f"{mixed}/{name}" for name in names]
    assert all(list(row) == list(FIELDS) for row in found)
    by_name = {row["id"].rpartition("/")[2]: row for row in found}
    words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    right = sum(by_name[f"{r:02}.png"]["prediction"] == words[load_digits().target[r]] for r in range(20))
    assert right >= 18
    assert sum(row["accepted"] for row in found) >= 14
    for name in ("broken.png", "text.jpg"):
        assert by_name[name]["score"] is None
        assert not by_name[name]["accepted"]
        assert "not a readable picture" in by_name[name]["why"]
    kept = sum(row["accepted"] for row in found)
    said = f"decided 22 images: {kept} accepted, {20 - kept} rejected, 2 not scored, "
    assert said in done.err
    assert "broken.png: not a readable picture" in done.err
    assert oodkit("predict", file, mixed, "--strict").code == 1
    assert by_name["00.png"]["sha256"] == hashlib.sha256((mixed / "0" / "00.png").read_bytes()).hexdigest()


def test_forms_and_choices_of_output(oodkit, fitted, mixed, tmp_path):
    from pyarrow import parquet

    _, file = fitted()
    plain = rows(oodkit("predict", file, mixed).out)
    table = list(csv.DictReader(io.StringIO(oodkit("predict", file, mixed, "--csv").out)))
    assert [row["id"] for row in table] == [row["id"] for row in plain]
    assert [row["accepted"] == "True" for row in table] == [row["accepted"] for row in plain]
    assert [float(row["score"]) for row in table if row["score"]] == [
        r["score"] for r in plain if r["score"] is not None
    ]
    for choice in ("accepted", "rejected"):
        kept = rows(oodkit("predict", file, mixed, "--only", choice).out)
        wanted = [row for row in plain if row["accepted"] == (choice == "accepted")]
        assert kept == [{**row, "only": choice} for row in wanted]  # so that `oodkit monitor` can refuse them
    assert oodkit("predict", file, mixed, "--parquet", tmp_path / "p.parquet").out == ""
    assert parquet.read_table(tmp_path / "p.parquet").to_pylist() == plain
    assert oodkit("predict", file, mixed, "-o", tmp_path / "o.jsonl").out == ""
    assert rows((tmp_path / "o.jsonl").read_text()) == plain
    oodkit("predict", file, mixed, "-o", tmp_path / "o.jsonl").is_refused(
        "is there already; go on with it with --append"
    )


def test_lists_sets_and_files_of_embeddings(oodkit, fitted, mixed, tmp_path, monkeypatch):
    import pyarrow as pa
    from pyarrow import parquet

    _, file = fitted()
    names = sorted(map(str, mixed.rglob("*.png")))
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join([*names, str(mixed / "gone.png")]) + "\n"))
    listed = rows(oodkit("predict", file, "-").out)
    assert [row["id"] for row in listed] == [*names, str(mixed / "gone.png")]
    assert listed[-1]["why"] == "cannot be read: no such file or folder; check its name"
    one = rows(oodkit("predict", file, names[0], names[1]).out)
    assert [row["sha256"] for row in one] == [row["sha256"] for row in listed[:2]]
    assert [row["score"] for row in one] == pytest.approx([row["score"] for row in listed[:2]], rel=1e-4)
    letters = rows(oodkit("predict", file, "letters").out)
    assert len(letters) == 720
    assert sum(row["accepted"] for row in letters) < 72
    features = np.random.default_rng(0).normal(size=(30, 64)).astype(np.float32)
    features[7, 3] = np.nan
    wanted = Detector.load(file).decide(features)
    np.save(tmp_path / "x.npy", features)
    np.savez(tmp_path / "x.npz", embeddings=features, ids=[f"n{i}" for i in range(30)])
    np.savez(tmp_path / "y.npz", other=features)
    parquet.write_table(pa.table({"path": [f"n{i}" for i in range(30)], "vec": list(features)}), tmp_path / "x.parquet")
    for words in (["x.npy"], ["x.npz"], ["x.parquet"], ["y.npz", "--column", "other"]):
        found = rows(oodkit("predict", file, tmp_path / words[0], *words[1:]).out)
        assert [row["score"] for row in found] == [None if s != s else s for s in wanted.score]
        assert [row["accepted"] for row in found] == wanted.accepted.tolist()
        named = words[0] in ("x.npz", "x.parquet")
        assert found[3]["id"] == ("n3" if named else f"{tmp_path / words[0]}#3")
        assert found[7]["why"] == "not scored: NaN among its numbers"
    assert oodkit("predict", file, tmp_path / "x.npy").err.startswith("decided 30 images")


def test_wrong_predictions_are_one_line(oodkit, fitted, mixed, tmp_path):
    _, file = fitted()
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").write_bytes(file.read_bytes()[:-7])
    np.save(tmp_path / "wide.npy", np.zeros((3, 65), np.float32))
    np.save(tmp_path / "none.npy", np.zeros((0, 64), np.float32))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "text.parquet").write_text("no table")
    for words, said in (
        ([file, tmp_path / "empty"], "expected pictures"),
        ([file, "gone"], "no such file or folder, and no data set of that name"),
        ([file, "leters"], "did you mean 'letters'"),
        ([tmp_path / "gone.oodkit", mixed], "no such file"),
        ([tmp_path / "bad", mixed], "expected a detector"),
        ([file, tmp_path / "wide.npy"], "got width 65: they are of another model"),
        ([file, tmp_path / "none.npy"], "expected at least one row"),
        ([file, tmp_path / "objects.npy"], "arrays of Python objects are not read"),
        ([file, tmp_path / "text.npz"], ".npz"),
        ([file, tmp_path / "text.parquet"], "expected a Parquet file"),
        ([file, mixed, "--model", "ViT-B-33"], "unknown model"),
    ):
        oodkit("predict", *words).is_refused(said)
    for words in (
        [file, mixed, "--append"],
        [file, mixed, "--append", "-o", "x", "--fdr", "0.1"],
        [file, mixed, "--storey"],
        [file, mixed, "--parquet", "x.parquet", "--csv"],
        [file],
    ):
        assert oodkit("predict", *words).code == 2


def test_other_weights_are_refused_with_both_hashes(oodkit, fitted, mixed, tmp_path):
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    from ood_toolkit.models.digits_clip import WEIGHTS

    _, file = fitted()
    arrays = load_file(WEIGHTS)
    with safe_open(WEIGHTS, "pt") as held:
        metadata = held.metadata()
    name = next(name for name in arrays if "visual" in name and arrays[name].ndim == 2)
    save_file({**arrays, name: arrays[name] + 0.01}, tmp_path / "w.safetensors", metadata)
    done = oodkit("predict", file, mixed, "--model", f"digits-clip:weights={tmp_path / 'w.safetensors'}")
    recorded = Detector.load(file).encoder["weights"]
    done.is_refused(recorded, "has weights")
    assert len(set(re.findall(r"[0-9a-f]{64}", done.err))) == 2


@pytest.mark.parametrize("style", [[], ["--csv"]])
@pytest.mark.parametrize("cut", [1, 400, 1500])
def test_a_torn_file_is_gone_on_with(style, cut, oodkit, fitted, mixed, tmp_path):
    _, file = fitted()
    mixed, whole = mixed / "0", tmp_path / "whole"
    oodkit("predict", file, mixed, "-o", whole, *style)
    torn = tmp_path / "torn"
    torn.write_bytes(whole.read_bytes()[:cut])
    assert oodkit("predict", file, mixed, "-o", torn, "--append", *style).code == 0
    read = (lambda text: list(csv.DictReader(io.StringIO(text)))) if style else rows
    one, two = read(torn.read_text()), read(whole.read_text())
    for name in ("id", "prediction", "accepted", "why", "sha256", "detector"):
        assert [row[name] for row in one] == [row[name] for row in two]
    # An image's score may round otherwise among other images.
    one, two = ([float(row["score"]) for row in found if row["score"]] for found in (one, two))
    assert one == pytest.approx(two, rel=1e-4)
    before = torn.read_bytes()
    assert "decided 0 images" in oodkit("predict", file, mixed, "-o", torn, "--append", *style).err
    assert torn.read_bytes() == before


def test_append_looks_at_content_and_refuses_other_detectors(oodkit, fitted, mixed, tmp_path):
    _, file = fitted()
    out = tmp_path / "o.jsonl"
    oodkit("predict", file, mixed, "-o", out)
    digits = load_digits().images
    Image.fromarray((digits[77] * 15.9).astype("uint8")).save(mixed / "0" / "00.png")
    assert "decided 1 image: " in oodkit("predict", file, mixed, "-o", out, "--append").err
    assert len(rows(out.read_text())) == 23
    _, other = fitted("energy", name="o.oodkit")
    oodkit("predict", other, mixed, "-o", out, "--append").is_refused("its rows are of detector")
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n')
    oodkit("predict", file, mixed, "-o", tmp_path / "x.jsonl", "--append").is_refused("line 1 is no row")
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    oodkit("predict", file, mixed, "--csv", "-o", tmp_path / "x.csv", "--append").is_refused("expected the header")


def test_parquet_in_parts_is_added_to(oodkit, fitted, mixed, tmp_path):
    from pyarrow import parquet

    _, file = fitted()
    parts = f"{tmp_path}/parts/"
    oodkit("predict", file, mixed / "0", "--parquet", parts)
    oodkit("predict", file, mixed, "--parquet", parts).is_refused("expected a new or empty folder")
    assert "7 were decided before" in oodkit("predict", file, mixed, "--parquet", parts, "--append").err
    found = parquet.read_table(parts).to_pylist()
    assert sorted(row["id"] for row in found) == sorted(row["id"] for row in rows(oodkit("predict", file, mixed).out))
    oodkit("predict", file, mixed, "--parquet", tmp_path / "p.parquet", "--append").is_refused("written whole")
    _, other = fitted("energy", name="o.oodkit")
    oodkit("predict", other, mixed, "--parquet", parts, "--append").is_refused("its rows are of detector")


def test_false_discoveries_are_flagged_over_the_whole_run(oodkit, fitted, mixed):
    from ood_toolkit.metrics.discoveries import benjamini_hochberg

    _, file = fitted()
    plain = rows(oodkit("predict", file, mixed, "letters").out)
    done = oodkit("predict", file, mixed, "letters", "--fdr", "0.1")
    flagged = rows(done.out)
    p = [np.nan if row["p_value"] is None else row["p_value"] for row in plain]
    wanted = benjamini_hochberg(p, 0.1).flagged
    assert [row["accepted"] for row in flagged] == [
        not w and row["score"] is not None for w, row in zip(wanted, plain, strict=True)
    ]
    assert f"flagged {wanted.sum()} as OOD" in done.err
    assert {row["why"] for row in flagged if row["accepted"]} == {""}
    assert "flagged at a false discovery rate of 0.1" in {row["why"] for row in flagged}
    none = oodkit("predict", file, mixed, "--fdr", "0.0001")
    assert "nothing is flagged: the smallest p-value that 360 calibration images allow is 0.0028" in none.err
    _, margin = fitted("classwise", "tpr", name="c.oodkit")
    oodkit("predict", margin, mixed, "--fdr", "0.1").is_refused("its p-values promise nothing")


def test_a_run_that_is_interrupted_loses_and_repeats_nothing(fitted, tmp_path):
    _, file = fitted()
    folder, images = tmp_path / "many", load_digits().images
    folder.mkdir()
    for row in range(240):
        Image.fromarray((images[row] * 15.9).astype("uint8")).save(folder / f"{row:04}.png")
    out = tmp_path / "o.jsonl"
    words = [sys.executable, "-m", "ood_toolkit", "predict", file, folder, "-o", out, "--append", "--batch-size", "4"]
    words = [*map(str, words), "--workers", "1"]
    for stop in (signal.SIGINT, signal.SIGKILL):
        before = out.stat().st_size if out.exists() else 0
        process = subprocess.Popen(words, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
        late = time.monotonic() + 60
        while (not out.exists() or out.stat().st_size < before + 2000) and time.monotonic() < late:
            time.sleep(0.005)
        process.send_signal(stop)
        process.wait()
    subprocess.run(words, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True, stderr=subprocess.DEVNULL)
    assert [row["id"] for row in rows(out.read_text())] == [str(folder / f"{row:04}.png") for row in range(240)]
