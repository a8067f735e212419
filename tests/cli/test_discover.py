"""`oodkit discover` on imported arrays of three known and two unknown classes, and on pictures."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

NAMES = np.array(["ant", "bee", "cat", "dog", "elk"])
MIDDLES = np.random.default_rng(0).normal(size=(6, 16)).astype(np.float32)
MIDDLES /= np.linalg.norm(MIDDLES, axis=1, keepdims=True)


def drawn(classes, each, seed):
    labels = np.repeat(classes, each)
    noise = np.random.default_rng(seed).normal(size=(len(labels), 16)).astype(np.float32)
    return labels, MIDDLES[labels] + 0.09 * noise


@pytest.fixture
def bees(oodkit, tmp_path):
    """Import `three` of three classes, `mixed` of five, and `strange` of a sixth."""

    def put(name, split, classes, each, seed, *more):
        labels, rows = drawn(classes, each, seed)
        file = tmp_path / f"{name}-{split}.npz"
        known = NAMES[:3] if name == "three" else NAMES
        truth = {} if name == "strange" else {"labels": labels, "classes": known}
        np.savez(file, embeddings=rows, **truth)
        assert oodkit("import", name, file, "--split", split, *more).code == 0

    texts = tmp_path / "text.npz"
    np.savez(texts, text=MIDDLES[:3], classes=NAMES[:3])
    for split, each, seed in (("train", 40, 1), ("val", 20, 2), ("test", 30, 3)):
        put("three", split, [0, 1, 2], each, seed, "--text", texts)
    for split, each, seed in (("train", 30, 4), ("test", 20, 5)):
        put("mixed", split, [0, 1, 2, 3, 4], each, seed)
    put("strange", "test", [5], 40, 6)
    words = tmp_path / "words.npz"
    np.savez(words, texts=NAMES, embeddings=MIDDLES[:5])
    return words


def test_new_classes_are_found_named_learnt_and_measured(oodkit, bees, tmp_path):
    out = tmp_path / "found"
    line = ("discover", "--id", "three", "--among", "mixed", "--ood", "strange", "--words", bees, "--output", out)
    done = oodkit(*line)
    assert done.code == 0, done.err
    said = json.loads((out / "clusters.json").read_text())
    assert said["looked_at"]["images"] == 150
    assert said["looked_at"]["new"] == {"images": 60, "kept": 60}
    assert said["clusters_written"]["purity"] >= 0.95
    assert said["clusters_written"]["classes_found"] == said["new_classes"] == 2
    assert said["new_accuracy"] >= 0.95
    assert said["id_accuracy"]["new_head"] >= said["id_accuracy"]["old_classes_head"] - 0.01
    assert said["detection"]["before"]["known"]["discovered"]["auroc"] > 0.95
    assert said["detection"]["after"]["discovered"]["strange"]["auroc"] > 0.9
    for cluster in said["clusters"]:
        assert cluster["words"][0] == cluster["class"]
        assert len(cluster["ids"]) == cluster["size"]
        assert all(one.startswith("mixed/train/") for one in cluster["ids"])
    assert "purity" in done.out
    assert "detection after: new test images against strange" in done.out
    with np.load(out / "clusters.npz", allow_pickle=False) as held:
        assert len(held["embeddings"]) == sum(cluster["size"] for cluster in said["clusters"])
    record = json.loads((out / "training.json").read_text())
    assert record["kind"] == "discover"
    assert {"train", "val", "among"} <= set(record["data"])
    assert list(csv.DictReader((out / "epochs.csv").read_text().splitlines()))
    assert oodkit(*line).code == 1  # the folder is there


def test_the_head_is_one_that_other_commands_take_and_clusters_are_a_set(oodkit, bees, tmp_path):
    out = tmp_path / "found"
    assert oodkit("discover", "--id", "three", "--among", "mixed", "--output", out).code == 0
    done = oodkit(
        "bench", "--id", "three", "--ood", "strange", "--scorers", "energy", "--head", out, "--format", "json"
    )
    row = next(row for row in done.read["rows"] if row["kind"] == "ood")
    assert row["metrics"]["auroc"] > 0.9
    assert oodkit("import", "found", out / "clusters.npz").code == 0


def test_the_same_seed_gives_the_same_files(oodkit, bees, tmp_path):
    for name in ("a", "b"):
        assert oodkit("discover", "--id", "three", "--among", "mixed", "--output", tmp_path / name).code == 0
    for file in ("head.safetensors", "clusters.json", "epochs.csv"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_labels_of_the_images_change_figures_alone(oodkit, bees, tmp_path):
    assert oodkit("discover", "--id", "three", "--among", "mixed", "--output", tmp_path / "a").code == 0
    _, rows = drawn([0, 1, 2, 3, 4], 30, 4)
    np.savez(tmp_path / "bare.npz", embeddings=rows)
    assert oodkit("import", "bare", tmp_path / "bare.npz", "--split", "train").code == 0
    _, rows = drawn([0, 1, 2, 3, 4], 20, 5)
    np.savez(tmp_path / "bare-test.npz", embeddings=rows)
    assert oodkit("import", "bare", tmp_path / "bare-test.npz").code == 0
    done = oodkit("discover", "--id", "three", "--among", "bare", "--output", tmp_path / "b")
    assert done.code == 0, done.err
    first, second = (json.loads((tmp_path / name / "clusters.json").read_text()) for name in "ab")
    assert "new_accuracy" not in second
    assert "clusters_found" not in second
    assert [c["size"] for c in first["clusters"]] == [c["size"] for c in second["clusters"]]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--accept", "9"), "--accept: there is no cluster 9"),
        (("--words", "wordnet"), "has no text tower here to encode words with"),
        (("--among-split", "val"), "mixed: has no val split; choose another with --among-split"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(oodkit, bees, tmp_path, more, said):
    done = oodkit("discover", "--id", "three", "--among", "mixed", "--output", tmp_path / "found", *more)
    done.is_refused(said)
    assert not (tmp_path / "found").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--eps", "-1"), "--eps: expected knee or a number above 0, got '-1'"),
        (("--eps", "1", "--noise", "0.1"), "give one"),
        (("--method", "hdbscan", "--eps", "1"), "go with --method dbscan"),
        (("--accept", "1,x"), "--accept: expected all, or numbers"),
    ],
)
def test_wrong_usage_is_said(oodkit, tmp_path, more, said):
    done = oodkit("discover", "--id", "three", "--among", "mixed", "--output", tmp_path / "found", *more)
    assert done.code == 2
    assert said in done.err


def test_pictures_become_class_folders_and_a_sheet(oodkit, tmp_path):
    out = tmp_path / "found"
    known = "without:digits:zero+four+seven"
    done = oodkit(
        "discover", "--id", known, "--among", "digits", "--among-split", "val", "--accept", "1", "--output", out
    )
    assert done.code == 0, done.err
    said = json.loads((out / "clusters.json").read_text())
    assert said["clusters_written"]["purity"] >= 0.9
    first = said["clusters"][0]
    assert first["name"] == "cluster 01"
    assert len(list((out / "clusters" / "cluster_01").glob("*.png"))) == first["size"]
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.height > 56 * len(said["clusters"])
    assert said["accepted"] == [1]
    again = oodkit("encode", f"folder:{out / 'clusters'}", "--model", "digits-clip")
    assert f"{sum(c['size'] for c in said['clusters'])} images" in again.out
