"""`oodkit monitor`: from predictions, vectors and pictures to an alarm, call by call."""

import json

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from ood_toolkit import Detector, Outputs
from ood_toolkit.detectors.writing import FIELDS

RNG = np.random.default_rng(0)
VAL = Outputs.from_logits(4 * RNG.normal(size=(200, 5)))
ID, OOD = (4 * RNG.normal(size=(300, 5))).astype("float32"), RNG.normal(size=(300, 5)).astype("float32")


@pytest.fixture
def file(tmp_path):
    Detector.fit("maxlogit", VAL, rule="conformal:target=0.9").save(tmp_path / "d.oodkit")
    return tmp_path / "d.oodkit"


@pytest.fixture
def predicted(oodkit, file, tmp_path):
    """Predict on logits; give the file of JSON lines."""

    def predict(name, logits, *more, using=None):
        np.savez(tmp_path / f"{name}.npz", logits=logits)
        done = oodkit("predict", using or file, tmp_path / f"{name}.npz", "-o", tmp_path / f"{name}.jsonl", *more)
        assert done.code == 0, done.err
        return tmp_path / f"{name}.jsonl"

    return predict


@pytest.fixture
def watched(oodkit, file, tmp_path):
    """Run the command with one state; give its exit code and its JSON."""

    def watch(*words):
        done = oodkit("monitor", file, "--state", tmp_path / "s.json", "--json", *words)
        return done.code, json.loads(done.out) if done.out else done.err.splitlines()[-1]

    return watch


def test_an_alarm_is_exit_code_3_until_a_reset(watched, predicted):
    usual, strange = predicted("usual", ID), predicted("strange", OOD)
    code, found = watched("--on", usual)
    assert (code, found["images"], found["alarm"]) == (0, 300, False)
    code, found = watched("--on", strange)
    assert (code, found["images"], found["alarm"]) == (3, 600, True)
    assert found["alarm_at"] > 300
    assert watched()[0] == watched("--on", usual)[0] == 3
    code, found = watched("--reset")
    assert (code, found["images"], found["resets"]) == (0, 0, 1)
    assert watched("--on", strange, "--on", usual)[1]["images"] == 0  # what was fed is not fed again


def test_what_was_fed_adds_nothing_whatever_it_is_called(watched, predicted, tmp_path):
    usual = predicted("usual", ID)
    first = watched("--on", usual)[1]
    (tmp_path / "copy.txt").write_bytes(usual.read_bytes())
    assert watched("--on", usual, "--on", tmp_path / "copy.txt")[1] == first
    assert watched("--on", tmp_path / "usual.npz")[1]["images"] == 600  # vectors are other rows than predictions
    assert watched("--on", tmp_path / "usual.npz")[1]["images"] == 600


def test_a_file_that_grows_is_gone_on_with_and_a_torn_line_waits(watched, predicted):
    usual = predicted("usual", ID)
    lines = usual.read_bytes().splitlines(keepends=True)
    whole = watched("--on", usual)[1]
    usual.with_name("s.json").unlink()
    usual.write_bytes(b"".join(lines[:100]) + lines[100][:40])
    assert watched("--on", usual)[1]["images"] == 100
    usual.write_bytes(b"".join(lines))
    found = watched("--on", usual)[1]
    assert found["bits"] == pytest.approx(whole["bits"])
    assert found["rejected"] == whole["rejected"]


def test_what_begins_as_before_and_goes_on_otherwise_is_refused(watched, predicted):
    usual = predicted("usual", ID)
    watched("--on", usual)
    lines = usual.read_bytes().splitlines(keepends=True)
    for kept in (lines[:100], [lines[0], *lines[2:]]):
        usual.write_bytes(b"".join(kept))
        code, said = watched("--on", usual)
        assert (code, "rows could count twice" in said) == (1, True)
    usual.write_bytes(b"".join(predicted("next", OOD[:10]).read_bytes().splitlines(keepends=True)))
    assert watched("--on", usual)[1]["images"] == 310  # the next day's file under the same name


def test_predictions_of_some_rows_or_of_another_detector_are_refused(watched, predicted, file, tmp_path):
    Detector.load(file).moved("conformal:target=0.8").save(tmp_path / "other.oodkit")
    cases = [
        (predicted("some", OOD, "--only", "rejected"), "line 1 was written with --only 'rejected'"),
        (predicted("more", OOD, using=tmp_path / "other.oodkit"), "is of detector"),
    ]
    for bad, said in cases:
        code, error = watched("--on", bad)
        assert (code, said in error) == (1, True), error
    assert not (tmp_path / "s.json").exists()


def test_a_bad_row_in_the_middle_leaves_the_state_as_it_was(watched, predicted, tmp_path):
    watched("--on", predicted("usual", ID))
    before = (tmp_path / "s.json").read_bytes()
    longer = predicted("longer", np.tile(OOD, (5, 1)))
    good = longer.read_bytes()
    for bad in (b"[]\n", b'{"id": "a", "sha256": "", "detector": 3}\n', good[:50] + b"\n"):
        longer.write_bytes(good + bad)
        code, said = watched("--on", longer)
        assert (code, "longer.jsonl: line 1501 is" in said) == (1, True), said
    wrong = json.loads(good.splitlines()[0])
    for change in ({"score": "1"}, {"score": 10**400}, {"prediction": "no class"}, {"threshold": True}):
        longer.write_text(json.dumps({**wrong, **change}) + "\n")
        code, said = watched("--on", longer)
        assert (code, "line 1 is no row of oodkit predict" in said) == (1, True), said
    for lacking in ("score", "threshold", "prediction"):
        longer.write_text(json.dumps({key: value for key, value in wrong.items() if key != lacking}) + "\n")
        code, said = watched("--on", longer)
        assert (code, "line 1 is no row of oodkit predict" in said) == (1, True), said
    assert (tmp_path / "s.json").read_bytes() == before


def test_alpha_is_chosen_once(watched, predicted):
    usual = predicted("usual", ID)
    assert watched("--on", usual, "--alpha", "0.05")[1]["alpha"] == 0.05
    assert watched("--alpha", "0.05")[0] == watched()[0] == 0
    code, said = watched("--alpha", "0.1")
    assert (code, "was begun with alpha 0.05" in said) == (1, True)


def test_usage_and_lists_on_stdin(oodkit, file, tmp_path):
    for words, said in (((), "--on"), (("--on", "digits", "--reset"), "--reset goes with --state")):
        done = oodkit("monitor", file, *words)
        assert (done.code, said in done.err) == (2, True)
    done = oodkit("monitor", file, "--on", "-")
    assert (done.code, "name a file" in done.err) == (1, True)
    (tmp_path / "rows.csv").write_text(",".join(FIELDS) + "\n")
    done = oodkit("monitor", file, "--on", tmp_path / "rows.csv")
    assert (done.code, "reads JSON lines" in done.err) == (1, True), done.err
    done = oodkit("monitor", file, "--on", "nothing-there", "--state", tmp_path)
    assert done.code == 2


def test_pictures_of_a_folder_that_grows(oodkit, tmp_path):
    folder, images = tmp_path / "camera", load_digits().images
    folder.mkdir()

    def put(rows):
        for row in rows:
            Image.fromarray((images[row] * 15.9).astype("uint8")).save(folder / f"{row:03}.png")

    made = oodkit("fit", "msp", "--id", "digits", "--rule", "conformal:target=0.9", "-o", tmp_path / "digits.oodkit")
    assert made.code == 0, made.err
    words = ("monitor", tmp_path / "digits.oodkit", "--on", folder, "--state", tmp_path / "s.json", "--json")
    put(range(10, 30))
    (folder / "015.png").write_text("no picture")
    found = json.loads(oodkit(*words).out)
    assert (found["images"], found["unreadable"]) == (19, 1)
    assert found["rejected"]["n"] == sum(one["count"] for one in found["classes"]) == 19
    put(range(30, 40))
    assert json.loads(oodkit(*words).out)["images"] == 29
    put(range(5))
    done = oodkit(*words)  # others stand before what was fed
    assert (done.code, "rows could count twice" in done.err) == (1, True), done.err
    assert json.loads(oodkit(*words[:2], *words[4:]).out)["images"] == 29
