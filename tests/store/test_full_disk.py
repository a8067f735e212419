"""A full disk stops a run with one line and spoils nothing; with room again the run goes on to the same bytes."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ood_toolkit.cli import main

SETS = ("letters", "digits", "patches")
PROGRAM = """
import contextlib, io, json, subprocess, sys
from pathlib import Path
from ood_toolkit.cli import main

store = Path(sys.argv[1])

def run(*words):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([*words, "--store", str(store / "store")])
        except SystemExit as stop:
            code = stop.code or 0
    return code, out.getvalue(), err.getvalue()

def state():
    names = sorted(path.name for path in store.glob("store/encodings/*/shards/*"))
    return names, [str(path) for path in store.rglob(".*")]

subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", store], check=True)
told = {"full": run("encode", "letters", "digits", "patches"), "verify": run("store", "verify")}
told["bench"] = run("bench", "--scorers", "msp", "--val-split", "0")
told["state"] = state()
subprocess.run(["mount", "-o", "remount,size=16m", store], check=True)
told["more"] = run("encode", "letters", "digits", "patches")
told["again"], told["end"] = run("store", "verify"), state()
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    store = tmp_path_factory.mktemp("undisturbed")
    with pytest.raises(SystemExit) as stop:
        main(["encode", *SETS, "--store", str(store)])
    assert not stop.value.code
    return {path.name: path.read_bytes() for path in store.glob("encodings/*/shards/*")}


def shards(store):
    return {path.name: path.read_bytes() for path in store.glob("encodings/*/shards/*")}


def no_space(code, out, err):
    assert (code, out) == (1, "")
    lines = [line for line in err.splitlines() if not line.startswith("encoding ")]  # progress of a slow machine
    assert len(lines) == 1, err
    (err,) = lines
    assert err.startswith("oodkit: cannot write to ")
    assert "no space is left; free some and run again" in err


@pytest.fixture
def fill(monkeypatch):
    """Make writing fail as on a full disk, for files that are to be called so."""

    def make(how, suffix):
        def full(*args):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        if how == "replace":
            replace = os.replace
            monkeypatch.setattr(os, "replace", lambda a, b: full() if str(b).endswith(suffix) else replace(a, b))
        elif how == "write":
            write = Path.write_bytes

            def partly(self, content):
                if len(content) < 1000:
                    return write(self, content)
                write(self, content[: len(content) // 2])
                return full()

            monkeypatch.setattr(Path, "write_bytes", partly)
        else:
            sync = os.fsync
            monkeypatch.setattr(
                os, "fsync", lambda handle: full() if os.fstat(handle).st_size > 50_000 else sync(handle)
            )

    return make


@pytest.mark.parametrize(
    ("how", "suffix"),
    [("replace", ".safetensors"), ("replace", "encoder.json"), ("replace", ".listing"), ("write", ""), ("fsync", "")],
)
@pytest.mark.parametrize("command", ["encode", "bench"])
def test_a_write_that_fails_is_one_line_and_the_next_run_completes(
    oodkit, fill, undisturbed, tmp_path, monkeypatch, how, suffix, command
):
    line = ("encode", *SETS) if command == "encode" else ("bench", "--scorers", "msp", "--val-split", "0")
    fill(how, suffix)
    no_space(*oodkit(*line, "--store", tmp_path))
    monkeypatch.undo()
    assert [path for path in tmp_path.rglob(".*") if path.is_file()] == []
    assert oodkit("store", "verify", "--store", tmp_path)[0] == 0
    assert oodkit("encode", *SETS, "--store", tmp_path)[0] == 0
    assert shards(tmp_path) == undisturbed
    assert oodkit("store", "verify", "--store", tmp_path)[0] == 0


def test_a_disk_that_is_really_full(undisturbed, tmp_path):
    if (
        shutil.which("unshare") is None
        or subprocess.run(
            ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", tmp_path], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("needs the right to mount a small file system of its own")
    done = subprocess.run(
        ["unshare", "-m", sys.executable, "-c", PROGRAM, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    no_space(*told["full"])
    no_space(*told["bench"])
    assert told["verify"][0] == 0
    names, left = told["state"]
    assert 0 < len(names) < len(undisturbed)
    assert left == []
    assert told["more"][0] == 0
    assert told["again"][0] == 0
    assert told["end"] == [sorted(undisturbed), []]
