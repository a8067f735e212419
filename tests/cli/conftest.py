"""The command line, run in this process with a store of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from ood_toolkit.data.catalogue.digits import DIGITS
from ood_toolkit.models.digits_clip import save_digits_clip


@pytest.fixture(autouse=True)
def _own_store(monkeypatch, tmp_path):
    monkeypatch.setenv("OODKIT_STORE", str(tmp_path / "store"))
    monkeypatch.delenv("OODKIT_DATA", raising=False)
    monkeypatch.setenv("OODKIT_NO_PLUGINS", "1")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr("ood_toolkit.cli.progress.EVERY", float("inf"))  # a slow machine says no more than a quick one


@pytest.fixture
def elsewhere(done_type):
    def run(path, *arguments):
        """Run the command line in a process of its own, with these plugins."""
        env = {k: v for k, v in os.environ.items() if k != "OODKIT_NO_PLUGINS"} | {"PYTHONPATH": path}
        done = subprocess.run(
            [sys.executable, "-m", "ood_toolkit", *map(str, arguments)],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        return done_type(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def changed():
    """Give the words of a command with other values of options that it has: none may be given twice."""

    def put(words, **values):
        made = [str(word) for word in words]
        for name, value in values.items():
            made[made.index(f"--{name}") + 1] = str(value)
        return made

    return put


TRIPLES = (
    ("zero", "four", "seven"),
    ("one", "five", "eight"),
    ("two", "six", "nine"),
    ("three", "seven", "eight"),
    ("zero", "three", "nine"),
)
"""Digits that a model has seen neither as pictures nor as words."""


@pytest.fixture(scope="session")
def triples():
    """Give the five triples of digits that are hidden from a model each."""
    return TRIPLES


@pytest.fixture(scope="session")
def hidden(tmp_path_factory):
    """Give what names the model of a triple: from the folder OODKIT_TEST_MODELS, else trained, 2.5 minutes each."""
    from ood_toolkit.learning.digits_clip.train import DigitsClipRecipe, Trainer

    kept = os.environ.get("OODKIT_TEST_MODELS")
    folder = tmp_path_factory.mktemp("hidden") if kept is None else Path(kept)

    def model(triple):
        file = folder / f"{'-'.join(triple)}.safetensors"
        if not file.is_file():
            classes = tuple(name for name in DIGITS.classes if name not in triple)
            save_digits_clip(Trainer(DigitsClipRecipe(classes=classes)).train(), file)
        return f"digits-clip:weights={file}"

    return model


@pytest.fixture
def killed():
    """Run the command line in a process that is killed as soon as it has written a checkpoint into a folder."""

    def run(words, folder):
        process = subprocess.Popen(
            [sys.executable, "-m", "ood_toolkit", *map(str, words), "--output", str(folder)],
            env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        late = time.monotonic() + 120
        while not (folder / "checkpoint.pt").exists() and process.poll() is None and time.monotonic() < late:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it ended before it was killed"

    return run


CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 16, "patch_size": 8, "width": 32, "layers": 1, "head_width": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1},
}


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory):
    """A small random CLIP as open_clip saves one."""
    folder = tmp_path_factory.mktemp("clip")
    about = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "shortest"}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": about}))
    vision, text = open_clip.CLIPVisionCfg(**CONFIG["vision_cfg"]), open_clip.CLIPTextCfg(**CONFIG["text_cfg"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = open_clip.CLIP(16, vision, text).state_dict()
    save_file({name: part.contiguous() for name, part in state.items()}, folder / "open_clip_model.safetensors")
    return folder
