"""`oodkit bench --csid`: labels by class name, the run folder, presets, and what is refused."""

import json

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PRESET = """
description = "Digits, the full spectrum, against letters."
sources = ["a test"]
protocol = "mcm"
averaging = "all sets"
class_names = "own"
val_split = 0.0
scorers = "mcm"

[id]
name = "digits"

[[csid]]
name = "folder:{folder}"

[[ood]]
name = "letters"
"""


@pytest.fixture
def folder(tmp_path):
    """Forty negatives of digits and two pictures of no digit, in folders that are named as the classes."""
    digits = load_digits()
    for place in range(40):
        image = (255 - digits.images[place] * 15).astype(np.uint8)
        where = tmp_path / "negatives" / NAMES[digits.target[place]]
        where.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(where / f"{place}.png")
    other = tmp_path / "negatives" / "none"
    other.mkdir()
    for place in range(2):
        Image.fromarray(np.full((8, 8), 90 * place, dtype=np.uint8)).save(other / f"{place}.png")
    return tmp_path / "negatives"


def bench(oodkit, *more):
    return oodkit("bench", "--model", "digits-clip", "--scorers", "msp", "--ood", "letters", *more)


def test_pictures_are_labelled_by_class_name_and_others_left_out(oodkit, folder, tmp_path):
    found = bench(oodkit, "--csid", f"folder:{folder}", "--format", "json", "--output", tmp_path / "run").read
    (part,) = found["csid"]["sets"]
    assert (part["name"], part["images"], found["csid"]["images"]) == (f"folder:{folder}", 40, 400)
    (file,) = (tmp_path / "run" / "scores" / "digits").glob("csid_*.npz")
    with np.load(file) as held:
        assert [name.split("/")[-2] for name in held["ids"]] == held["label"].tolist()
        assert part["accuracy"] == (held["label"] == held["prediction"]).mean()
        assert set(held["label"]) <= set(NAMES)
    assert found["notes"] == [f"2 of the 42 images of folder:{folder} are of classes that digits lacks, and left out"]
    assert [(row["kind"], row["id"]) for row in found["rows"]] == [
        (kind, name) for name in ("digits", "digits+csid") for kind in ("ood", "misclassification")
    ]
    assert oodkit("report", tmp_path / "run", "--format", "json").read == found
    assert oodkit("report", tmp_path / "run", "--protocol", "native", "--format", "json").read["rows"] == found["rows"]


def test_imported_embeddings_are_labelled_by_class_name(oodkit, tmp_path):
    digits = load_digits()
    draw = np.random.default_rng(0)
    inside = {"embeddings": digits.data[:50] + draw.normal(size=(50, 64)), "labels": digits.target[:50]}
    np.savez(tmp_path / "i.npz", **inside, text=draw.normal(size=(10, 64)), classes=np.array(NAMES))
    turned = np.array(NAMES)[::-1]
    shifted = {"embeddings": digits.data[50:80], "labels": 9 - digits.target[50:80], "classes": turned}
    np.savez(tmp_path / "s.npz", **shifted)
    np.savez(tmp_path / "o.npz", embeddings=-digits.data[80:120])
    for name in "iso":
        done = oodkit("import", name, tmp_path / f"{name}.npz", "--model", "toy")
        assert done.code == 0, done.err
    done = oodkit(
        "bench", "--id", "i", "--ood", "o", "--csid", "s", "--scorers", "msp", "--model", "toy", "--val-split", "0",
        "--output", tmp_path / "run",
    )  # fmt: skip
    assert done.code == 0, done.err
    with np.load(tmp_path / "run" / "scores" / "i" / "csid_s.npz") as held:
        assert held["label"].tolist() == [NAMES[digit] for digit in digits.target[50:80]]
        assert held["ids"].tolist() == [f"s/test/{place}" for place in range(30)]


@pytest.mark.parametrize("named", [True, False])
def test_imported_logits_are_labelled_by_class_name(oodkit, tmp_path, named):
    draw = np.random.default_rng(0)
    names, labels = np.array(["ant", "bee", "cat"]), draw.integers(0, 2, 30)
    shown = {"classes": names} if named else {}
    np.savez(tmp_path / "i.npz", logits=draw.normal(size=(40, 3)), labels=draw.integers(0, 3, 40), **shown)
    np.savez(tmp_path / "o.npz", logits=draw.normal(size=(20, 3)))
    shifted = {"logits": draw.normal(size=(30, 3)), "labels": labels, "classes": np.array(["cat", "bee"])}
    np.savez(tmp_path / "s.npz", **shifted)
    for name in "iso":
        done = oodkit("import", name, tmp_path / f"{name}.npz", "--model", "toy")
        assert done.code == 0, done.err
    done = oodkit("bench --id i --ood o --csid s --scorers msp --model toy --val-split 0 --format json")
    if not named:
        done.is_refused("s: expected i to have class names as s has; import it with classes")
        return
    accuracy = np.mean(shifted["logits"].argmax(axis=1) == np.array([2, 1])[labels])
    assert done.read["csid"]["sets"][0]["accuracy"] == accuracy


def test_ready_scores(oodkit, tmp_path):
    draw = np.random.default_rng(0)
    for name, mean in (("i", 2), ("s", 1), ("o", 0)):
        np.savez(tmp_path / f"{name}.npz", scores=draw.normal(mean, 1, 30))
        assert oodkit("import", name, tmp_path / f"{name}.npz", "--scores", "--model", "toy").code == 0
    found = oodkit("bench --id i --ood o --csid s --model toy --format json").read
    assert [(row["id"], row["n_id"]) for row in found["rows"]] == [("i", 30), ("i+csid", 60)]


def test_what_cannot_be_is_one_line(oodkit, folder):
    refused = bench(oodkit, "--csid", "patches,letters")
    refused.is_refused("letters: named after --csid and --ood; a set has one part in a run")
    bench(oodkit, "--csid", "digits").is_refused("digits: named after --csid and --id")
    bench(oodkit, "--csid", "patches", "--tune", "patches", "--scorers", "knn").is_refused(
        "patches: named after --csid and --tune"
    )
    two = ("--id", "digits", "--id", "letters", "--csid", f"folder:{folder}")
    for more in ((), ("--combiners", "vote")):
        done = oodkit("bench", "--model", "digits-clip", "--ood", "patches", *two, *more)
        done.is_refused("--csid: expected one ID set, got 2: digits, letters")
    oodkit("bench", "--model", "digits-clip", "--ood", "patches", "--csid", "letters", "--limit", "20").is_refused(
        "letters: expected images of the classes of digits, got none, by class name"
    )
    assert bench(oodkit, "--csid", "letterz").err.startswith("oodkit: not here: letterz.")


def test_a_preset_brings_shifted_sets_and_an_empty_text_takes_them_away(oodkit, folder, tmp_path):
    file = tmp_path / "tiny.toml"
    file.write_text(PRESET.format(folder=folder))
    done = oodkit("bench", "--preset", file, "--model", "digits-clip", "--output", tmp_path / "run")
    assert done.code == 0, done.err
    assert done.out.startswith("preset tiny\nID digits: 360 test images")
    assert "full spectrum digits+csid: 400 test images" in done.out
    assert json.loads((tmp_path / "run" / "result.json").read_text())["csid"]["images"] == 400
    without = oodkit("bench", "--preset", file, "--model", "digits-clip", "--csid", "")
    assert without.out.startswith("preset tiny, changed: csid\n")
    assert "full spectrum" not in without.out
    said = oodkit("published", file).out.split()
    assert " ".join(said[said.index("covariate-shifted") :]).startswith(
        f"covariate-shifted ID folder:{folder} (unknown) OOD letters (unknown)"
    )
