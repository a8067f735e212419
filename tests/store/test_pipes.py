"""Pipes, devices and links to them in a store: nobody waits for one, and what it stands for is told."""

import os
import shutil

import numpy as np
import pytest

from ood_toolkit.store.marker import MARKER

PLACES = (MARKER, "hashes.sqlite", "arrays/*/features.npy", "arrays/*/classes.npy", "names/m/s.test.json",
          "sets/*.listing", "texts/*.texts", "texts/*.json", "encodings/*/encoder.json", "encodings/*/shards/*",
          "negatives/*.json")  # fmt: skip
LIGHT = (
    ("store", "list"),
    ("store", "verify"),
    ("store", "gc", "--dry-run"),
    ("score", "msp", "--id", "s"),
    ("negatives",),
)
BENCH = ("bench", "--id", "digits", "--ood", "letters", "--limit", "20", "--scorers", "msp")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Make a store with something in each of its folders."""
    from ood_toolkit.cli import main

    base = tmp_path_factory.mktemp("pipes")
    np.savez(
        base / "s.npz", embeddings=np.eye(6, 4, dtype=np.float32) + 1, labels=np.arange(6) % 2, classes=["a", "b"],
        text=np.eye(2, 4, dtype=np.float32),
    )  # fmt: skip
    (base / "store" / "negatives").mkdir(parents=True)
    (base / "store" / "negatives" / f"{'0' * 64}.json").write_text('{"negatives": []}')
    for words in (("import", "s", base / "s.npz", "--model", "m"), BENCH):
        with pytest.raises(SystemExit) as stop:
            main([*map(str, words), "--store", str(base / "store")])
        assert not stop.value.code
    return base / "store"


@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize("place", PLACES)
def test_no_command_waits_for_it(oodkit, made, tmp_path, place, kind):
    store = tmp_path / "copy"
    shutil.copytree(made, store)
    file = next(store.glob(place))
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to("/dev/zero")
    for words in (*LIGHT, *([BENCH] if kind == "pipe" else [])):
        done = oodkit(*words, "--store", store)
        assert done.code in (0, 1), done
        assert "Error" not in done.err
        assert "--debug" not in done.err
        assert len([line for line in done.err.splitlines() if line.startswith("oodkit: ")]) == (
            done.code if words[:2] != ("store", "verify") else 0
        ), done
