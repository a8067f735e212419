"""`oodkit train head`, and its heads in the commands that take one."""

import csv
import json
import shlex

import numpy as np
import pytest

from ood_toolkit.report.results import name_on_disk

NAMES = ("ant", "bee", "cat")


def images(n, seed, classes=NAMES, d=6):
    centres = np.random.default_rng(5).normal(size=(3, d))
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % len(classes)
    rows = 2 + centres[[NAMES.index(classes[label]) for label in labels]] + 0.4 * rng.normal(size=(n, d))
    return {"embeddings": rows.astype(np.float32), "labels": labels, "classes": np.array(classes)}


@pytest.fixture
def imported(oodkit, tmp_path):
    """Import a set with train and test, which came with logits of another head too, and an OOD set."""

    def put(name, split, model="toy", **arrays):
        np.savez(tmp_path / "arrays.npz", **arrays)
        done = oodkit("import", name, tmp_path / "arrays.npz", "--split", split, "--model", model)
        assert done.code == 0, done.err

    put("toys", "train", **images(120, 0))
    rng = np.random.default_rng(1)
    put("toys", "test", **images(90, 1), logits=rng.normal(size=(90, 3)))
    put("odd", "test", embeddings=rng.normal(size=(50, 6)) * 3, logits=rng.normal(size=(50, 3)))
    return put


def test_a_head_is_trained_saved_and_used_as_the_last_line_says(oodkit, imported, tmp_path):
    done = oodkit("train", "head", "--id", "toys", "--model", "toy", "--output", tmp_path / "out")
    assert done.code == 0, done.err
    assert "toys: 120 images of 3 classes" in done.out
    assert "5 stratified folds of the training split, seed 0" in done.out
    assert sorted(file.name for file in (tmp_path / "out" / "toys").iterdir()) == [
        "epochs.csv",
        "head.safetensors",
        "training.json",
    ]
    command = done.out.splitlines()[-1].removeprefix("test: oodkit ").replace("--ood NAME", "--ood odd")
    run = oodkit(*shlex.split(command), "--scorers", "msp,mcm,classwise", "--format", "json").read
    assert run["heads"] == {"toys": str(tmp_path / "out" / "toys" / "head.safetensors")}
    assert run["templates"] == {"toys": []}
    rows = {row["scorer"]: row for row in run["rows"] if row["kind"] == "ood"}
    assert rows["msp"]["status"] == rows["classwise"]["status"] == "ok"
    assert rows["mcm"]["notes"] == ["needs zero_shot"]
    assert rows["msp"]["metrics"]["auroc"] > 0.6
    scored = oodkit("score", "msp", "--id", "toys", "--model", "toy", "--head", tmp_path / "out", "--val-split", 0)
    told = list(csv.DictReader(scored.out.splitlines()))
    right = np.mean([row["prediction"] == row["label"] for row in told])
    assert right > 0.9  # not by the random logits that were imported beside the features


def test_what_was_trained_is_written_down(oodkit, imported, tmp_path):
    said = oodkit("train", "head", "--id", "toys", "--model", "toy", "--preset", "ust-etri", "--lr", 0.01, "--epochs",
                  3, "--output", tmp_path / "out", "--json").read  # fmt: skip
    record = json.loads((tmp_path / "out" / "toys" / "training.json").read_text())
    assert record["kind"] == "head"
    assert record["config"]["learning_rate"] == 0.01
    assert record["config"]["momentum"] == 0.99
    assert record["config"]["input"] == "features"
    assert record["data"]["train"]["images"] == 120
    assert len(record["data"]["train"]["fingerprint"]) == 64
    assert record["model"]["name"] == "toy"
    assert record["result"]["validation"] == "stratified 20 % of the training split, seed 0"
    assert record["epochs"] == said[0]["epochs"]
    with (tmp_path / "out" / "toys" / "epochs.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["epoch"] for row in table] == ["0", "1", "2", "3"]
    assert {row["threshold bee"] for row in table[:1]} == {"0.8"}
    assert float(table[3]["val_accuracy"]) == said[0]["epochs"][3]["val_accuracy"]


def test_two_runs_of_one_command_give_one_file(oodkit, imported, tmp_path):
    words = ("train", "head", "--id", "toys", "--model", "toy", "--preset", "adamw", "--epochs", 3)
    for folder in ("one", "two"):
        assert oodkit(*words, "--output", tmp_path / folder).code == 0
    one, two = ((tmp_path / folder / "toys" / "head.safetensors").read_bytes() for folder in ("one", "two"))
    assert one == two


def test_the_sets_own_validation_is_used_unless_a_share_is_asked_for(oodkit, imported, tmp_path):
    imported("toys", "val", **images(60, 2))
    words = ("train", "head", "--id", "toys", "--model", "toy", "--json", "--output")
    assert oodkit(*words, tmp_path / "a").read[0]["validation"] == "given"
    shared = oodkit(*words, tmp_path / "b", "--val-split", 0.25).read[0]
    assert shared["validation"] == "stratified 25 % of the training split, seed 0"


def test_several_sets_get_a_head_each_and_feed_a_combiner(oodkit, tmp_path):
    """On the embedded digits, seen as two sets."""
    one, two = "only:digits:one+two+three", "without:digits:one+two+three"
    done = oodkit("train", "head", "--id", one, "--id", two, "--limit", 80, "--output", tmp_path / "out")
    assert done.code == 0, done.err
    assert (tmp_path / "out" / name_on_disk(two) / "head.safetensors").is_file()
    command = shlex.split(done.out.splitlines()[-1].removeprefix("test: oodkit "))
    assert command[-4:] == ["--combiners", "max-confidence", "--limit", "80"]
    run = oodkit(*command, "--scorers", "classwise", "--format", "json").read
    rows = {row["decider"]: row for row in run["rows"] if row["kind"] == "ood" and row["ood"] == "patches"}
    assert rows["max-confidence"]["status"] == "ok"
    assert rows["max-confidence"]["metrics"]["auroc"] > 0.8
    named = [f"{name}={tmp_path / 'out' / name_on_disk(name)}" for name in (one, two)]
    again = oodkit("bench", "--id", one, "--id", two, "--head", named[0], "--head", named[1], "--ood", "letters",
                   "--limit", 80, "--scorers", "msp", "--format", "json").read  # fmt: skip
    assert all(name in again["heads"] for name in (one, two))
    file = tmp_path / "out" / name_on_disk(one) / "head.safetensors"
    oodkit("bench", "--id", one, "--id", two, "--head", file, "--ood", "letters").is_refused("is one head, but there")
    oodkit("bench", "--id", one, "--id", two, "--head", named[0], "--ood", "letters").is_refused(
        f"got none for {two}; add {two}=FILE"
    )
    oodkit("bench", "--id", "digits", "--head", file, "--ood", "letters").is_refused(
        "has no class 'zero' of digits; it was trained on 3 classes (one, two, three)"
    )


def test_a_head_is_combined_with_the_prompts_of_its_model(oodkit, tmp_path):
    assert oodkit("train", "head", "--id", "digits", "--limit", 80, "--output", tmp_path / "out").code == 0
    words = ("bench", "--id", "digits", "--ood", "letters", "--limit", 80, "--scorers", "msp")
    heads, combined = ("--head", tmp_path / "out"), ("--combiners", "all")
    run = oodkit(*words, *heads, *combined, "--format", "json").read
    rows = {row["model"]: row["metrics"]["auroc"] for row in run["rows"] if row["kind"] == "ood"}
    alone = [oodkit(*words, *more, "--format", "json").read["rows"][0]["metrics"]["auroc"] for more in ((), heads)]
    assert list(rows) == [
        "digits-clip", str(tmp_path / "out"), "max-confidence", "vote", "mean-score", "mean-probability"
    ]  # fmt: skip
    assert list(rows.values())[:2] == alone
    for wrong, said in (
        (combined, "--combiners: merges several classifiers; repeat --model, add a trained --head, or repeat --id"),
        ((*heads, *heads, *combined), "is named twice; each classifier counts once"),
        ((*heads, *combined, "--tune", "patches"), "--tune: goes with one classifier; leave out --combiners"),
        (("--id", "patches", "--combiners", "mean-probability"), "averages probabilities of the same classes"),
    ):
        done = oodkit(*words, *wrong)
        assert said in done.err, done.err
        assert done.code in (1, 2)


@pytest.mark.parametrize("wrote", [str.upper, lambda name: f" {name}", lambda name: f"\ufeff{name}"])
def test_a_head_knows_classes_that_are_written_otherwise(wrote, oodkit, imported, tmp_path):
    assert oodkit("train", "head", "--id", "toys", "--model", "toy", "--output", tmp_path / "out").code == 0
    made = images(90, 1)
    imported("written", "test", **(made | {"classes": np.array([wrote(str(name)) for name in made["classes"]])}))
    words = ["bench", "--ood", "odd", "--model", "toy", "--head", tmp_path / "out" / "toys" / "head.safetensors"]
    words += ["--scorers", "msp", "--format", "json", "--id"]
    imported("plain", "test", **made)
    found, wanted = (oodkit(*words, name).read["id"][0]["accuracy"] for name in ("written", "plain"))
    assert found == wanted > 0.8


def test_a_head_of_another_encoder_is_refused(oodkit, imported, tmp_path):
    assert oodkit("train", "head", "--id", "toys", "--model", "toy", "--output", tmp_path / "out").code == 0
    imported("toys", "test", model="other", **images(90, 1))
    imported("odd", "test", model="other", embeddings=np.ones((50, 6)))
    head = tmp_path / "out" / "toys" / "head.safetensors"
    oodkit("bench", "--id", "toys", "--ood", "odd", "--model", "other", "--head", head).is_refused(
        "was trained on features of 'toy', but these are of 'other', another encoder"
    )
    oodkit("bench", "--id", "digits", "--ood", "letters", "--limit", 40, "--head", head).is_refused(
        "was trained on features of 'toy', but these are of 'digits-clip', another encoder"
    )


def test_a_head_of_other_weights_or_preprocessing_is_refused_whatever_the_name(oodkit, tmp_path):
    from ood_toolkit.store.head_file import read_head, save_head

    words = ("--id", "only:digits:one+two", "--limit", 60)
    assert oodkit("train", "head", *words, "--output", tmp_path / "out").code == 0
    file = tmp_path / "out" / name_on_disk("only:digits:one+two") / "head.safetensors"
    saved = read_head(file)
    for key, what in (("weights", "another encoder"), ("preprocessing", "another preprocessing")):
        changed = {**saved.encoder, key: {"size": 17}}
        save_head(tmp_path / "changed", saved.head, saved.thresholds, changed, saved.about)
        oodkit("bench", *words, "--ood", "patches", "--head", tmp_path / "changed").is_refused(what)
    renamed = {**saved.encoder, "model": "my copy"}
    save_head(tmp_path / "changed", saved.head, saved.thresholds, renamed, saved.about)
    assert oodkit("bench", *words, "--ood", "patches", "--scorers", "msp", "--head", tmp_path / "changed").code == 0


def test_no_picture_is_encoded_twice(oodkit, tmp_path):
    words = ("--id", "digits", "--limit", 40)
    first = oodkit("train", "head", *words, "--output", tmp_path / "one")
    again = oodkit("train", "head", *words, "--preset", "adamw", "--epochs", 2, "--output", tmp_path / "two")
    assert "encoded 80 images" in first.err  # train and val
    assert "encoded 0 images; 80 were in the store" in again.err


def test_test_images_are_never_learnt_from(oodkit, imported, tmp_path):
    imported("few", "test", **images(30, 3))
    oodkit("train", "head", "--id", "few", "--model", "toy", "--output", tmp_path / "out").is_refused(
        "no train split", "never from test images: oodkit import few FILE.npz --split train --model toy"
    )
    oodkit("train", "head", "--id", "letters", "--output", tmp_path / "out").is_refused("never from test images")
    assert not (tmp_path / "out").exists()


def test_training_images_alone_are_enough_to_learn_from(oodkit, imported, tmp_path):
    imported("lone", "train", **images(60, 4))
    done = oodkit("train", "head", "--id", "lone", "--output", tmp_path / "out")
    assert (done.code, "lone: 60 images of 3 classes" in done.out) == (0, True), done.err
    tested = oodkit("bench", "--id", "lone", "--ood", "odd", "--head", tmp_path / "out")
    assert (tested.code, "Here: lone (toy, no test split), odd (toy)" in tested.err) == (1, True)


def test_the_table_says_which_head_it_is_of(oodkit, imported, tmp_path):
    assert oodkit("train", "head", "--id", "toys", "--model", "toy", "--output", tmp_path / "out").code == 0
    words = ("--id", "toys", "--ood", "odd", "--model", "toy", "--scorers", "msp", "--head", tmp_path / "out")
    said = oodkit("bench", *words, "--output", tmp_path / "run").out
    line = f"model toy, head {tmp_path / 'out' / 'toys' / 'head.safetensors'}"
    assert line.replace(" ", "") in "".join(said.split())  # it may be broken into lines
    assert oodkit("report", tmp_path / "run").out == said


def test_what_does_not_go_together_is_refused(oodkit, imported, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    words = ("train", "head", "--id", "toys", "--model", "toy")
    oodkit(*words, "--output", tmp_path / "full").is_refused("expected a new or empty folder")
    oodkit(*words, "--output", tmp_path / "out", "--patience", 3).is_refused("patience: expected none with lbfgs")
    for option, value in (("lr", 0.5), ("momentum", 0.5), ("batch", 8)):
        oodkit(*words, "--output", tmp_path / "out", f"--{option}", value).is_refused(
            f"{option}: lbfgs has none, so it would do nothing"
        )
    oodkit(*words, "--output", tmp_path / "out", "--preset", "adamw", "--momentum", 0.5).is_refused(
        "momentum: adamw has none"
    )
    both = oodkit(*words, "--output", tmp_path / "out", "--folds", 3, "--val-split", 0.2)
    assert both.code == 2
    assert "two kinds of validation" in both.err
    bench = ("bench", "--id", "toys", "--ood", "odd", "--model", "toy")
    oodkit(*bench, "--head", tmp_path / "gone").is_refused("--head: no such file or folder")
    oodkit(*bench, "--head", tmp_path / "full").is_refused("expected a head of toys in")
    two = oodkit(*bench, "--head", tmp_path / "full" / "file", "--prompts", "a {}")
    assert two.code == 2
    assert "--head and --prompts are two heads" in two.err
    assert oodkit(*words, "--epochs", 1, "--output", tmp_path / "out").code == 0
    local = oodkit(*bench, "--head", tmp_path / "out", "--keep", "local")
    assert local.code == 2
    assert "--keep local: compares patches with class texts, and --head has none" in local.err


def test_a_plot_is_drawn_or_refused_before_training(oodkit, imported, tmp_path, monkeypatch):
    words = ("train", "head", "--id", "toys", "--model", "toy", "--plot", "--epochs", 2, "--output")
    with monkeypatch.context() as without:
        without.setattr("importlib.util.find_spec", lambda name: None)
        oodkit(*words, tmp_path / "none").is_refused("needs matplotlib", "ood-toolkit[plots]")
    pytest.importorskip("matplotlib")
    assert oodkit(*words, tmp_path / "out").code == 0
    assert (tmp_path / "out" / "toys" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_help_is_light(elsewhere):
    import subprocess
    import sys

    code = (
        "import sys; from ood_toolkit.cli import main\n"
        "try: main(['train', 'head', '--help'])\n"
        "except SystemExit: pass\n"
        "print({'torch', 'sklearn', 'matplotlib', 'PIL', 'open_clip'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--preset" in done.stdout
    assert done.stderr.strip() == "set()"
