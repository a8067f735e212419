"""Folders of training runs: finished ones, what killed ones left, full disks."""

import json
import os
import shutil
import subprocess
import sys

import pytest

SEVEN = "only:digits:zero+one+two+three+four+five+six"
LOOP = ("--id", SEVEN, "--model", "digits-clip", "--batch", "32")
COMMANDS = {
    "clipn": ("train", "clipn", *LOOP, "--epochs", "1", "--limit", "64", "--lr", "1e-3", "--no-crop"),
    "cma": ("train", "cma", *LOOP, "--epochs", "1", "--limit", "64", "--warmup", "1", "--lr", "1e-3"),
    "prompts": ("train", "prompts", *LOOP, "--epochs", "2", "--shots", "8", "--no-crop"),
}
OTHERWISE = {
    "clipn": (("--lr", "2e-3"), ("--seed", "1"), ("--limit", "70")),
    "cma": (("--lr", "2e-3"), ("--lambda", "0.5"), ("--limit", "70")),
    "prompts": (("--context", "4"), ("--seed", "1"), ("--shots", "6")),
}
pytestmark = pytest.mark.usefixtures("one_thread")


def otherwise(words, option, value):
    """Give a command with one option changed."""
    kept = list(words)
    if option in kept:
        del kept[kept.index(option) : kept.index(option) + 2]
    return (*kept, option, value)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_finished_run_is_said_to_be_and_nothing_is_done(oodkit, tmp_path, name):
    words, out = (*COMMANDS[name], "--output", tmp_path / "run"), tmp_path / "run"
    out.mkdir()
    (out / "checkpoint.pt").write_bytes(b"damaged")
    oodkit(*words).is_refused("it holds a run on its way; pass --resume")
    (out / "checkpoint.pt").unlink()
    done = oodkit(*words)
    assert done.code == 0, done.err
    files = {file.relative_to(out): file.read_bytes() for file in out.rglob("*") if file.is_file()}
    (out / "checkpoint.pt").write_bytes(b"of a run that was killed as it ended")
    again = oodkit(*words, "--resume")
    assert again.code == 0, again.err
    assert again.err.count(f"{out}: the training run is finished, so there is nothing to go on with\n") == 1
    assert "epoch" not in again.err
    assert {file.relative_to(out): file.read_bytes() for file in out.rglob("*") if file.is_file()} == files
    oodkit(*words).is_refused("it holds a finished training run; name another folder")
    for option, value in OTHERWISE[name]:
        other = oodkit(*otherwise(words, option, value), "--resume")
        assert (other.code, other.out) == (1, "")
        *_, said = other.err.splitlines()
        assert said.startswith(f"oodkit: {out}: it holds a run with other settings or data; give those, or another")
        assert ("fingerprint" if option == "--limit" else value.removesuffix("e-3")) in said.partition("asked: ")[2]
    assert {file.relative_to(out): file.read_bytes() for file in out.rglob("*") if file.is_file()} == files
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "store"]


FULL = """
import contextlib, io, json, subprocess, sys
from pathlib import Path
from ood_toolkit.cli import main

disk, commands = Path(sys.argv[1]), json.loads(sys.argv[2])

def run(*words):
    err = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
        try:
            main([*words, "--output", str(disk / "run"), "--store", sys.argv[3]])
        except SystemExit as stop:
            return stop.code or 0, err.getvalue(), [path.name for path in disk.rglob("*") if path.name != "filler"]

subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", disk], check=True)
told = {}
for name, (room, words) in commands.items():
    (disk / "filler").write_bytes(bytes(128 * 1024 - 1024 * room))
    told[name] = run(*words)
    for path in (disk / "run").glob("*"):
        path.unlink()
print(json.dumps(told))
"""


def test_a_full_disk_names_the_folder_and_what_is_left_of_it(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", disk]
    if shutil.which("unshare") is None or subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system of its own")
    commands = {name: (64, words) for name, words in COMMANDS.items()}
    commands["prompts"] = (12, COMMANDS["prompts"])
    commands["head"] = (12, ("train", "head", "--id", SEVEN, "--limit", "64"))
    commands["bench"] = (12, ("bench", "--scorers", "msp"))
    done = subprocess.run(
        ["unshare", "-m", sys.executable, "-c", FULL, disk, json.dumps(commands), tmp_path / "store"],
        capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name, (code, err, left) in json.loads(done.stdout).items():
        last = err.splitlines()[-1]
        assert (name, code) == (name, 1)
        assert last.startswith(f"oodkit: cannot write to {disk}"), (name, err)
        assert "no space is left; free some and run again: its disk has " in last, (name, err)
        assert "of 131.1 KB left; delete what you do not need there" in last, (name, err)
        assert set(left) <= {"run"}, (name, left)
