"""`store gc` deletes only what this program wrote, in a folder that is a store."""

import json
import os
import time
from io import StringIO

import numpy as np
import pytest

from ood_toolkit.cli import main
from ood_toolkit.errors import StoreError
from ood_toolkit.store.encodings import Encoding
from ood_toolkit.store.garbage import survey
from ood_toolkit.store.hashes import Memory
from ood_toolkit.store.imports import Imports
from ood_toolkit.store.listings import Listing, Listings
from ood_toolkit.store.locks import owner
from ood_toolkit.store.marker import MARKER
from ood_toolkit.store.negatives import Negatives
from ood_toolkit.store.texts import Texts

pytestmark = pytest.mark.quick

ROWS = {"logits": np.eye(3, dtype=np.float32)}
FOREIGN = (
    ".git/HEAD",
    ".ssh/id_rsa",
    "src/.env",
    ".bashrc",
    ".profile.abcd1234",
    ".oodkit-partial.abcd1234",
    "arrays/my_data/a.npy",
    f"arrays/{'a' * 63}/mine.npy",
    f"arrays/{'b' * 64}/notes.txt",
    f"arrays/{'e' * 64}/mine.npy",
    "arrays/.hidden",
    "arrays/.notes.abcd1234",
    "names/.DS_Store",
    "names/m/._a.test.json",
    "names/m/.keep.abcd1234",
    "sets/._x.listing",
    "sets/.mine.abcd1234",
    "texts/my.texts",
    "leases/mine",
    f"encodings/{'c' * 64}/shards/mine.safetensors",
    f"encodings/{'c' * 64}/shards/._{'d' * 64}.safetensors",
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
        survey(foreign)
    assert gc(foreign, "--yes") == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert here(foreign) == set(FOREIGN)


def test_an_empty_folder_and_a_missing_one_are_refused(tmp_path):
    assert gc(tmp_path, "--yes") == 1
    assert gc(tmp_path / "nothing", "--yes") == 1
    (tmp_path / "hashes.sqlite").write_bytes(b"SQLite format 3\0 of somebody else")
    assert gc(tmp_path, "--yes") == 1


def test_foreign_files_in_a_store_stay(foreign, capsys):
    imports = Imports(foreign)
    imports.add("a", "m", "test", ROWS, "a.npz")
    banks = {"text": np.ones((3, 3)), "bank.negatives": np.ones((2, 3)), "words.negatives": np.array(["x", "y"])}
    lost = imports.add("b", "m", "test", ROWS | banks, "b.npz")
    next((foreign / "names").glob("*/b.test.json")).unlink()
    partial = foreign / "sets" / f".oodkit-partial.{owner()}.0123456789abcdef"
    partial.write_text("half")
    old = [foreign / "names" / "m" / ".a.test.json.abcd1234", foreign / "arrays" / f".{'1' * 16}.abcd1234",
           foreign / "sets" / ".digits.test.list.abcd1234"]  # fmt: skip
    for older in old:
        older.write_text("half")
    aged(foreign)
    before = here(foreign)
    assert gc(foreign) == 2
    assert here(foreign) == before
    shown = capsys.readouterr().out
    assert gc(foreign, "--yes") == 0
    assert capsys.readouterr().out == shown
    gone = before - here(foreign)
    parts = ("bank.negatives", "logits", "text", "words.negatives")
    assert gone == {
        *(f"arrays/{lost.key}/{part}.npy" for part in parts),
        *(path.relative_to(foreign).as_posix() for path in (partial, *old)),
    }
    assert set(FOREIGN) <= here(foreign)


def test_what_an_older_version_may_still_write_stays_for_an_hour(tmp_path):
    Imports(tmp_path).add("a", "m", "test", ROWS, "a.npz")
    older = tmp_path / "names" / "m" / ".a.test.json.abcd1234"
    older.write_text("half")
    assert survey(tmp_path).lost == {}
    aged(tmp_path)
    assert list(survey(tmp_path).lost) == [older]


def test_a_foreign_file_beside_lost_arrays_stays_with_its_folder(tmp_path):
    imports = Imports(tmp_path)
    entry = imports.add("a", "m", "test", ROWS, "a.npz")
    next((tmp_path / "names").glob("*/a.test.json")).unlink()
    (tmp_path / "arrays" / entry.key / "notes.txt").write_text("mine")
    assert gc(tmp_path, "--yes") == 0
    assert [path.name for path in (tmp_path / "arrays" / entry.key).iterdir()] == ["notes.txt"]


def test_a_link_out_of_the_store_is_not_followed(foreign, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    for name in (f".{'1' * 16}.abcd1234", "logits.npy", f".oodkit-partial.{owner()}.0123456789abcdef"):
        (outside / name).write_text("mine")
    aged(outside)
    Imports(foreign).add("a", "m", "test", ROWS, "a.npz")
    (foreign / "negatives").symlink_to(outside)
    (foreign / "arrays" / ("d" * 64)).symlink_to(outside)
    assert gc(foreign, "--yes") == 0
    assert len(list(outside.iterdir())) == 3


def test_a_damaged_name_may_mean_any_arrays_so_all_stay(tmp_path, capsys):
    imports = Imports(tmp_path)
    imports.add("a", "m", "test", ROWS, "a.npz")
    other = imports.add("b", "m", "test", {"logits": np.ones((3, 3), np.float32)}, "b.npz")
    next((tmp_path / "names").glob("*/b.test.json")).write_text("{")
    assert gc(tmp_path, "--yes") == 0
    assert f"kept arrays/{other.key}: b.test.json is damaged" in capsys.readouterr().err
    assert (tmp_path / "arrays" / other.key).is_dir()


def test_a_store_is_marked_at_its_start_and_an_old_one_when_it_is_next_written(tmp_path):
    Memory(tmp_path / "new").close()
    assert json.loads((tmp_path / "new" / MARKER).read_text())["format"] == 1
    assert gc(tmp_path / "new", "--yes") == 0  # empty, and yet a store
    Imports(tmp_path / "old").add("a", "m", "test", ROWS, "a.npz")
    for made in ("oodkit-store.json", "leases/lock"):
        (tmp_path / "old" / made).unlink()
    before = here(tmp_path / "old")
    assert gc(tmp_path / "old", "--dry-run") == 0
    assert here(tmp_path / "old") == before
    (tmp_path / "old" / "arrays" / ("f" * 64)).mkdir()
    assert gc(tmp_path / "old", "--yes") == 0
    assert (tmp_path / "old" / MARKER).is_file()
    assert not (tmp_path / "old" / "arrays" / ("f" * 64)).exists()


KEY = {"encoder": 1}
WRITERS = {
    "an import": lambda store: Imports(store).add("a", "m", "test", ROWS, "a.npz"),
    "a listing": lambda store: Listings(store).write(Listing("a", "test", np.zeros((1, 32), np.uint8), ("x",))),
    "texts": lambda store: Texts(store).write(KEY, np.ones((2, 3))),
    "negatives": lambda store: Negatives(store).write(KEY, ["x"], [0.5]),
    "rows": lambda store: Encoding(store, KEY, Memory(store)).add(np.zeros((1, 32), np.uint8), np.ones((1, 3)), {}),
    "hashes": lambda store: Memory(store).close(),
}


@pytest.mark.parametrize("what", WRITERS)
def test_whatever_is_written_first_marks_a_store_and_one_without_a_mark_is_known_by_it(tmp_path, what):
    WRITERS[what](tmp_path)
    assert json.loads((tmp_path / MARKER).read_text())["format"] == 1
    (tmp_path / MARKER).unlink()
    for lock in tmp_path.glob("leases/*"):
        lock.unlink()
    (tmp_path / "arrays" / ("f" * 64)).mkdir(parents=True)
    (tmp_path / "notes.txt").write_text("mine")
    assert gc(tmp_path) == 2
    assert not (tmp_path / MARKER).exists()
    assert gc(tmp_path, "--yes") == 0
    assert (tmp_path / MARKER).is_file()
    assert not (tmp_path / "arrays" / ("f" * 64)).exists()
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("text", [None, "{", '{"made_by": "oodkit", "format": 1, "more": "x"}', '{"format": 0}'])
def test_the_marker_is_part_of_no_key(tmp_path, text):
    keys, rows = np.zeros((1, 32), np.uint8), np.ones((1, 3), np.float32)
    Encoding(tmp_path, KEY, Memory(tmp_path)).add(keys, rows, {})
    before = [path.name for path in (tmp_path / "encodings").iterdir()]
    (tmp_path / MARKER).unlink()
    if text is not None:
        (tmp_path / MARKER).write_text(text)
    again = Encoding(tmp_path, KEY, Memory(tmp_path))
    assert again.has(keys).all()
    assert again.read(keys).tolist() == rows.tolist()
    assert [path.name for path in (tmp_path / "encodings").iterdir()] == before


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("yes\n", 0), ("n\n", 1), ("\n", 1), ("what\n", 1), ("", 1)])
def test_on_a_terminal_it_asks_and_only_yes_deletes(tmp_path, monkeypatch, answer, code):
    Imports(tmp_path).add("a", "m", "test", ROWS, "a.npz")
    (tmp_path / "arrays" / ("f" * 64)).mkdir()
    typed = StringIO(answer)
    monkeypatch.setattr(typed, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", typed)
    assert (gc(tmp_path) != 0) is (code != 0)
    assert (tmp_path / "arrays" / ("f" * 64)).exists() is (code != 0)
    assert len(Imports(tmp_path).entries()) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": "1"}', '{"format": true}', "\udcff"])
def test_a_damaged_marker_stops_deletion_and_nothing_else(tmp_path, capsys, text):
    imports = Imports(tmp_path)
    imports.add("a", "m", "test", ROWS, "a.npz")
    (tmp_path / MARKER).write_text(text, errors="surrogateescape")
    assert gc(tmp_path, "--yes") == 1
    assert "damaged, so nothing is deleted" in capsys.readouterr().err
    imports.add("b", "m", "test", ROWS, "b.npz")
    assert [entry.name for entry in imports.entries()] == ["a", "b"]
    with pytest.raises(SystemExit) as stop:
        main(["store", "verify", "--store", str(tmp_path)])
    assert stop.value.code == 1
    assert capsys.readouterr().out.startswith(f"{MARKER}: ")


def test_a_store_of_a_later_format_is_left_alone(tmp_path):
    imports = Imports(tmp_path)
    imports.add("a", "m", "test", ROWS, "a.npz")
    (tmp_path / MARKER).write_text('{"format": 2}')
    before = here(tmp_path)
    for ask in (
        lambda: imports.add("b", "m", "test", ROWS, "b.npz"),
        lambda: survey(tmp_path),
        lambda: Memory(tmp_path),
    ):
        with pytest.raises(StoreError, match="expected format 1, got 2"):
            ask()
    assert here(tmp_path) == before
