"""`store gc` deletes only what this program wrote, in a folder that is a store."""

import os
import time

import numpy as np
import pytest

from ood_toolkit.cli import main
from ood_toolkit.errors import StoreError
from ood_toolkit.store.imports import Imports
from ood_toolkit.store.inventory import garbage, remove

FOREIGN = (
    ".git/HEAD",
    ".ssh/id_rsa",
    "src/.env",
    ".bashrc",
    ".profile.abcd1234",
    "arrays/my_data/a.npy",
    f"arrays/{'a' * 63}/mine.npy",
    f"arrays/{'b' * 64}/notes.txt",
    "arrays/.hidden",
    "names/.DS_Store",
    "sets/._x.listing",
    "texts/my.texts",
    f"encodings/{'c' * 64}/shards/mine.safetensors",
    f"encodings/{'c' * 64}/README",
    "encodings/mine/shards/.x.abcd1234",
    "encodings/.x.abcd1234/data",
)


def aged(folder):
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - 7200, time.time() - 7200))


@pytest.fixture
def foreign(tmp_path):
    for name in FOREIGN:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("mine")
    aged(tmp_path)
    return tmp_path


def here(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def gc(folder, *words):
    with pytest.raises(SystemExit) as stop:
        main(["store", "gc", "--store", str(folder), *words])
    return stop.value.code or 0


def test_a_folder_that_is_no_store_is_refused(foreign, capsys):
    with pytest.raises(StoreError, match="is no store of oodkit"):
        list(garbage(foreign))
    assert gc(foreign, "--yes") == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert here(foreign) == set(FOREIGN)


def test_an_empty_folder_and_a_missing_one_are_refused(tmp_path):
    assert gc(tmp_path, "--yes") == 1
    assert gc(tmp_path / "nothing", "--yes") == 1


def test_foreign_files_in_a_store_stay(foreign, capsys):
    imports = Imports(foreign)
    imports.add("a", "m", "test", {"logits": np.eye(3, dtype=np.float32)}, "a.npz")
    lost = imports.add("b", "m", "test", {"logits": np.ones((3, 3), np.float32)}, "b.npz")
    next((foreign / "names").glob("*/b.test.json")).unlink()
    partial = foreign / "sets" / ".oodkit-partial.abcd1234"
    partial.write_text("half")
    older = foreign / "names" / "m" / ".a.test.json.abcd1234"
    older.write_text("half")
    aged(foreign)
    before = here(foreign)
    assert gc(foreign) == 2
    assert here(foreign) == before
    shown = capsys.readouterr().out
    assert gc(foreign, "--yes") == 0
    assert capsys.readouterr().out == shown
    gone = before - here(foreign)
    assert gone == {f"arrays/{lost.key}/logits.npy", "sets/.oodkit-partial.abcd1234", "names/m/.a.test.json.abcd1234"}
    assert set(FOREIGN) <= here(foreign)


def test_a_link_out_of_the_store_is_not_followed(foreign, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / ".x.abcd1234").write_text("mine")
    aged(outside)
    Imports(foreign).add("a", "m", "test", {"logits": np.eye(3, dtype=np.float32)}, "a.npz")
    (foreign / "negatives").symlink_to(outside)
    (foreign / "arrays" / ("d" * 64)).symlink_to(outside)
    assert [str(path) for path, _ in garbage(foreign) if "abcd1234" in str(path)] == []
    remove(foreign / "arrays" / ("d" * 64))
    assert (outside / ".x.abcd1234").read_text() == "mine"
