"""The command line, run in this process with a store of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from ood_toolkit.cli import main
from ood_toolkit.data.catalogue.digits import DIGITS
from ood_toolkit.models.digits_clip import save_digits_clip


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    def is_refused(self, *parts):
        """Check that it ended with one line on stderr that says these parts."""
        assert self.code == 1
        assert self.out == ""
        assert self.err.startswith("oodkit: ")
        assert self.err.count("\n") == 1, self.err
        for part in parts:
            assert part in self.err

    @property
    def read(self):
        """What was printed, read as JSON."""
        assert self.code == 0, self.err
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def _own_store(monkeypatch, tmp_path):
    monkeypatch.setenv("OODKIT_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("OODKIT_NO_PLUGINS", "1")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr("ood_toolkit.cli.progress.EVERY", float("inf"))  # a slow machine says no more than a quick one


@pytest.fixture
def oodkit(capsys):
    """Run the command line, as one text or as words, in this process."""

    def run(*arguments) -> Done:
        capsys.readouterr()
        words = arguments[0].split() if len(arguments) == 1 else arguments
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        return Done(stop.value.code or 0, out, err)

    return run


@pytest.fixture
def elsewhere():
    def run(path, *arguments) -> Done:
        """Run the command line in a process of its own, with these plugins."""
        env = {k: v for k, v in os.environ.items() if k != "OODKIT_NO_PLUGINS"} | {"PYTHONPATH": path}
        done = subprocess.run(
            [sys.executable, "-m", "ood_toolkit", *map(str, arguments)],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run


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
