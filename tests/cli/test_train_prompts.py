"""`oodkit train prompts`: what it writes, that others take it, what it encodes, and what it refuses."""

import csv
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from ood_toolkit.models.digits_clip import load_digits_clip

QUICK = ("train", "prompts", "--id", "digits", "--model", "digits-clip", "--shots", "2", "--epochs", "2", "--no-crop")


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def noise(tmp_path):
    """Two classes of noise in folders, with a train and a test split."""
    rng = np.random.default_rng(0)
    for name in ("train/ring", "train/bar", "test/ring", "test/bar"):
        folder = tmp_path / "noise" / name
        folder.mkdir(parents=True)
        for place in range(6):
            Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(folder / f"{place}.png")
    return f"folder:{tmp_path / 'noise'}"


def rows_of(done):
    """Give the rows of a result as CSV, without what differs from run to run and from model to model."""
    assert done.code == 0, done.err
    rows = list(csv.DictReader(done.out.splitlines()))
    return [
        {key: value for key, value in row.items() if key not in ("model", "seconds", "prompts", "run_notes")}
        for row in rows
    ]


def vectors(folder):
    with np.load(folder / "context.npz") as held:
        return held["ctx"], held["class_names"].tolist()


def test_what_is_learnt_is_written_told_and_taken_by_bench(oodkit, tmp_path):
    folder = tmp_path / "learnt"
    done = oodkit(*QUICK, "--output", folder)
    assert done.code == 0, done.err
    first, second, third, fourth = done.out.splitlines()
    assert re.fullmatch(
        r"learnt 16 vectors of 20 images of digits: batch 20, loss \S+, accuracy \S+, val_accuracy \S+", first
    )
    assert second == f"wrote {folder / 'context.npz'} and {folder / 'head.safetensors'}"
    assert fourth == f"or without its text tower: --model digits-clip --head {folder / 'head.safetensors'}"
    line = re.fullmatch(r"test it: oodkit (bench --model \S+ --id digits --ood) NAME", third).group(1)
    assert "epoch 2/2  batch 20  loss " in done.err

    ctx, names = vectors(folder)
    assert (ctx.shape, ctx.dtype, names[:2]) == ((16, 64), np.float32, ["zero", "one"])
    said = json.loads((folder / "training.json").read_text())
    assert (said["kind"], said["seed"], said["model"]["name"]) == ("prompts", 0, "digits-clip")
    assert said["config"] | {"method": "coop", "length": 16, "shots": 2, "crop": False, "epochs": 2, "batch": 32,
                             "learning_rate": 2e-3, "warmup": 1, "warmup_rate": 1e-5} == said["config"]  # fmt: skip
    assert {part: one["images"] for part, one in said["data"].items()} == {"train": 20, "val": 20}
    with (folder / "epochs.csv").open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "context.npz",
        "epochs.csv",
        "head.safetensors",
        "training.json",
    ]

    tested = oodkit(*line.split(), "patches", "--limit", "20", "--scorers", "mcm", "--format", "json")
    assert tested.read["model"].startswith("digits-clip:context=")
    again = oodkit(*QUICK, "--output", tmp_path / "again")
    assert again.code == 0
    assert np.array_equal(vectors(tmp_path / "again")[0], ctx)
    heads = [(place / "head.safetensors").read_bytes() for place in (folder, tmp_path / "again")]
    assert heads[0] == heads[1]
    data = json.loads((tmp_path / "again" / "training.json").read_text())["data"]
    assert [one["encoded"] for one in data.values()] == [0, 0]  # no image goes through the network twice
    assert [one["encoded"] for one in said["data"].values()] == [20, 20]
    assert data["train"]["fingerprint"] == said["data"]["train"]["fingerprint"]
    assert not np.array_equal(vectors(folder)[0], _other_seed(oodkit, tmp_path))


def _other_seed(oodkit, tmp_path):
    assert oodkit(*QUICK, "--seed", "1", "--output", tmp_path / "other").code == 0
    return vectors(tmp_path / "other")[0]


@pytest.mark.parametrize("own", [(), ("--class-specific",)], ids=["shared", "class-specific"])
def test_context_and_head_give_the_same_scores(oodkit, tmp_path, own):
    folder, model = tmp_path / "learnt", "digits-clip"
    assert oodkit(*QUICK, *own, "--output", folder).code == 0
    line = ("bench", "--id", "digits", "--ood", "letters", "--limit", "40", "--scorers", "mcm,msp,gl-mcm,classwise")
    heads = {
        "context": ("--model", f"{model}:context={folder / 'context.npz'}"),
        "file": ("--model", model, "--head", folder / "head.safetensors"),
        "folder": ("--model", model, "--head", folder),
    }
    rows = {how: rows_of(oodkit(*line, *more, "--format", "csv")) for how, more in heads.items()}
    assert {row["status"] for row in rows["file"]} == {"ok"}
    assert {row["scorer"] for row in rows["file"]} == {"mcm", "msp", "gl-mcm", "classwise"}
    assert rows["context"] == rows["file"] == rows["folder"]
    plain = rows_of(oodkit(*line, "--model", model, "--format", "csv"))
    assert [row["auroc"] for row in plain] != [row["auroc"] for row in rows["file"]]
    scores = {how: oodkit("score", "mcm", "--id", "digits", "--limit", "9", *more) for how, more in heads.items()}
    assert scores["context"].code == 0, scores["context"].err
    assert scores["context"].out == scores["file"].out


def test_a_head_goes_with_the_encoder_that_it_was_learnt_for(oodkit, tmp_path, clip_folder):
    folder = tmp_path / "learnt"
    assert oodkit(*QUICK, "--output", folder).code == 0
    line = ("bench", "--id", "digits", "--ood", "letters", "--limit", "9", "--scorers", "mcm", "--head", folder)
    oodkit(*line, "--model", f"local-dir:{clip_folder}").is_refused("was trained on features of 'digits-clip'")


def test_vectors_of_each_class_are_of_the_classes_by_name(oodkit, tmp_path):
    done = oodkit(*QUICK, "--class-specific", "--context", "4", "--output", tmp_path / "learnt")
    assert done.code == 0, done.err
    ctx, names = vectors(tmp_path / "learnt")
    assert (ctx.shape, len(names)) == ((10, 4, 64), 10)
    model = load_digits_clip(context=str(tmp_path / "learnt" / "context.npz"))
    with torch.inference_mode():
        forth, back = model.encode_texts(["three", "seven"]), model.encode_texts(["seven", "three"])
    torch.testing.assert_close(forth, back.flip(0))
    assert (model.no_templates, model.learned_prompt) == ((), True)


def test_cropped_pictures_and_patches_of_any_clip(oodkit, noise, clip_folder, tmp_path):
    line = ("train", "prompts", "--id", noise, "--model", f"local-dir:{clip_folder}", "--epochs", "2", "--batch", "4")
    locoop = ("--method", "locoop", "--lambda", "0.5", "--context", "4", "--lr", "0.1")
    first = oodkit(*line, *locoop, "--output", tmp_path / "a")
    assert first.code == 0, first.err
    assert "entropy" in first.err
    assert "val_accuracy" not in first.out  # there is no val split
    assert oodkit(*line, *locoop, "--output", tmp_path / "b").code == 0
    assert np.array_equal(vectors(tmp_path / "a")[0], vectors(tmp_path / "b")[0])
    others = {
        "whole": ("--no-crop",),
        "straight": ("--no-flip",),
        "parts": ("--accumulate", "2"),
    }
    for name, more in others.items():
        assert oodkit(*line, *locoop, *more, "--output", tmp_path / name).code == 0
    learnt = {name: vectors(tmp_path / name)[0] for name in ("a", *others)}
    assert not np.allclose(learnt["a"], learnt["whole"], atol=1e-6)
    assert not np.allclose(learnt["a"], learnt["straight"], atol=1e-6)
    np.testing.assert_allclose(learnt["a"], learnt["parts"], atol=1e-5)
    said = json.loads((tmp_path / "a" / "training.json").read_text())
    assert (said["config"]["top"], said["config"]["entropy_weight"]) == (1, 0.5)
    model = f"local-dir:{clip_folder}:context={tmp_path / 'a' / 'context.npz'}"
    tested = oodkit("bench", "--id", noise, "--ood", "patches", "--limit", "8", "--model", model, "--scorers", "gl-mcm")
    assert tested.code == 0, tested.err


def test_a_stopped_run_is_taken_up_only_when_asked_and_with_the_same_settings(oodkit, changed, tmp_path, monkeypatch):
    from ood_toolkit.learning.prompts.task import Contexts

    assert oodkit(*QUICK, "--output", tmp_path / "whole").code == 0
    real, calls = Contexts.validate, []

    def stops(task):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(task)

    folder = tmp_path / "stopped"
    monkeypatch.setattr(Contexts, "validate", stops)
    assert oodkit(*QUICK, "--output", folder).code != 0
    monkeypatch.setattr(Contexts, "validate", real)
    assert [path.name for path in folder.iterdir()] == ["checkpoint.pt"]
    oodkit(*QUICK, "--output", folder).is_refused("it holds a run on its way; pass --resume")
    low = ("--output", tmp_path / "low")
    oodkit(*QUICK, *low, "--warmup", "2").is_refused("warmup: expected fewer than the 2 steps")
    oodkit(*changed(QUICK, epochs=1), *low).is_refused("warmup: expected fewer than the 1 steps")
    oodkit(*QUICK, *low, "--accumulate", "3").is_refused("batch: expected a multiple of 1 processes times 3 parts")
    oodkit(*changed(QUICK, id="only:digits:one"), *low).is_refused("expected at least 2 classes")
    assert not (tmp_path / "low").exists()
    other = oodkit(*QUICK, "--resume", "--seed", "1", "--output", folder)
    assert (other.code, "a run with other settings or data" in other.err) == (1, True)
    assert oodkit(*QUICK, "--resume", "--output", folder).code == 0
    assert np.array_equal(vectors(folder)[0], vectors(tmp_path / "whole")[0])
    assert (folder / "epochs.csv").read_text() == (tmp_path / "whole" / "epochs.csv").read_text()
    done = oodkit(*QUICK, "--resume", "--output", folder)
    assert (done.code, "the training run is finished" in done.err) == (0, True)
    oodkit(*QUICK, "--output", folder).is_refused("name another")


def test_what_cannot_be_is_refused_in_a_line(oodkit, tmp_path, clip_folder):
    out = ("--output", tmp_path / "x")
    line = ("train", "prompts", "--model", "digits-clip")
    for option, value in (("--lambda", "1"), ("--topk", "2")):
        done = oodkit(*line, "--id", "digits", option, value, *out)
        assert (done.code, f"{option}: goes with --method locoop" in done.err) == (2, True)
    locoop = (*line, "--id", "digits", "--method", "locoop", "--shots", "1", "--topk", "10")
    oodkit(*locoop, *out).is_refused("--topk: expected a number below the 10 classes, got 10")
    oodkit(*line, "--id", "letters", *out).is_refused("letters", "train")
    oodkit(*line, "--id", "digits", "--shots", "1", "--context", "75", *out).is_refused("at most 74 vectors")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("a")
    full = oodkit(*QUICK, "--output", tmp_path / "full")
    full.is_refused("expected a new or empty folder")
    assert not (tmp_path / "x").exists()
