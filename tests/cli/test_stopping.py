"""Ctrl-C and SIGTERM: one line, an exit code that says which, nothing half-written."""

import os
import signal
import subprocess
import sys

import pytest

from ood_toolkit.cli import main

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs signals of Unix")
STOP = """
import importlib.abc, os, signal, sys

class Stopping(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.{signal})
        return None

sys.meta_path.insert(0, Stopping())
"""
SCRIPT = "from ood_toolkit.cli import main\nsys.exit(main())"
MODULE = "import runpy\nrunpy.run_module('ood_toolkit', run_name='__main__', alter_sys=True)"


def stopped(name, number="SIGINT", how=SCRIPT, words=("bench",), store="store"):
    """Run a command in a process that is sent a signal when it comes to import a module."""
    done = subprocess.run(
        [sys.executable, "-c", STOP.format(name=name, signal=number) + how, *words],
        capture_output=True, text=True, env=os.environ | {"OODKIT_STORE": str(store)}, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("how", "name"),
    [*((SCRIPT, name) for name in ("ood_toolkit.cli.program", "click.core", "ood_toolkit.cli.stopping",
                                   "ood_toolkit.cli.bench", "pluggy", "torch")),
     (MODULE, "ood_toolkit.cli.program"), (MODULE, "numpy")],
)  # fmt: skip
def test_ctrl_c_is_one_line_whatever_is_being_imported(tmp_path, how, name):
    code, out, err = stopped(name, how=how, store=tmp_path / "store")
    assert (code in (130, -signal.SIGINT), out, err) == (True, "", "stopped\n")


@pytest.mark.parametrize("name", ["ood_toolkit.cli.bench", "numpy", "torch"])
def test_a_request_to_end_is_one_line_too(tmp_path, name):
    assert stopped(name, "SIGTERM", store=tmp_path / "store") == (143, "", "stopped\n")


def test_a_terminal_that_closes_ends_a_run_unless_it_ignores_that(tmp_path):
    assert stopped("torch", "SIGHUP", store=tmp_path / "store") == (129, "", "stopped\n")
    ignoring = "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + SCRIPT
    words = ("score", "msp", "--id", "digits", "--limit", "20")
    code, out, _ = stopped("torch", "SIGHUP", ignoring, words, tmp_path / "store")
    assert (code, out.splitlines()[0]) == (0, "id,prediction,label,confidence,score,in_distribution")


TRAP = """
import pathlib
replace, sync, rename = os.replace, os.fsync, pathlib.Path.rename

def stop():
    os.kill(os.getpid(), signal.{number})

def replaced(old, new):
    if "{place}" == "shard" and str(new).endswith(".safetensors"):
        stop()
    return replace(old, new)

def renamed(old, new):
    if "{place}" == "run folder" and str(new).endswith("run"):
        stop()
    return rename(old, new)

def synced(handle):
    if "{place}" == "sync" and os.fstat(handle).st_size > 50_000:
        stop()
    return sync(handle)

os.replace, os.fsync, pathlib.Path.rename = replaced, synced, renamed
"""


@pytest.mark.parametrize(("number", "place"), [("SIGINT", "shard"), ("SIGTERM", "sync"), ("SIGTERM", "run folder")])
def test_nothing_is_left_half_written(tmp_path, number, place):
    trap = TRAP.format(number=number, place=place)
    words = ("bench", "--scorers", "msp", "--output", str(tmp_path / "run"))
    code, _, err = stopped("no module", number, trap + SCRIPT, words, tmp_path / "store")
    assert (code, err.splitlines()[-1]) == (130 if number == "SIGINT" else 143, "stopped")
    assert list(tmp_path.rglob(".*")) == []
    assert not (tmp_path / "run").exists()
    assert [path.name for path in (tmp_path / "store" / "leases").iterdir()] == ["lock"]


def test_handlers_are_those_of_before_when_a_command_is_over():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with pytest.raises(SystemExit):
        main(["scorers"])
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
