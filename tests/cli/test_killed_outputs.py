"""What a command that was killed while it wrote its output leaves: the next one that writes there takes it away."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs SIGKILL")
KILLED = """
import os, signal, sys

replace = os.replace

def stop(old, new):
    if os.path.basename(new) == sys.argv[1]:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(old, new)

os.replace = stop
from ood_toolkit.cli import main
main(sys.argv[2:])
"""
RUN = ("bench", "--id", "x", "--ood", "o", "--scorers", "msp,energy", "--output")
WRITES = {
    "detector.oodkit": ("fit", "msp", "--id", "x", "--output"),
    "rows.csv": ("score", "msp", "--id", "x", "--output"),
    "page.html": ("report", "{base}/run", "--html"),
    "scores.csv": ("report", "{base}/run", "--scores"),
    "index.html": ("leaderboard", "{base}/run", "--html"),
    "plot.svg": ("plot", "{base}/run", "--kind", "roc", "--scorers", "msp", "--output"),
}


@pytest.fixture
def words(oodkit, tmp_path, monkeypatch):
    """Give the words of a command, whose sets are imported, up to the place that it writes."""
    monkeypatch.setenv("OODKIT_STORE", str(tmp_path / "store"))
    draw = np.random.default_rng(0)
    text, labels = np.eye(3, 8, dtype=np.float32), np.arange(60) % 3
    rows = text[labels] + 0.3 * draw.normal(size=(60, 8)).astype(np.float32)
    np.savez(tmp_path / "x.npz", embeddings=rows, labels=labels, classes=["a", "b", "c"], text=text)
    np.savez(tmp_path / "o.npz", embeddings=draw.normal(size=(30, 8)).astype(np.float32))
    for name in "xo":
        assert oodkit("import", name, tmp_path / f"{name}.npz").code == 0
    return lambda name: [word.format(base=tmp_path) for word in WRITES[name]]


@pytest.mark.parametrize("name", WRITES)
def test_it_is_taken_away_by_the_next(name, words, oodkit, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    command = words(name)
    if "{base}/run" in WRITES[name]:
        assert oodkit(*RUN, tmp_path / "run").code == 0
    command.append(str(out if name == "index.html" else out / name))
    killed = subprocess.run([sys.executable, "-c", KILLED, name, *command], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    left = {path.name for path in out.iterdir()}
    assert name not in left
    assert left
    assert all(one.startswith(".oodkit-") for one in left)
    done = oodkit(*command)
    assert done.code == 0, done.err
    assert [path.name for path in out.iterdir()] == [name]
