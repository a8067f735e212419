"""`oodkit store remove`: names go, arrays are gc's; nothing goes unasked, nor what is in use or was changed."""

import json

import numpy as np
import pytest

from ood_toolkit.store.imports import Imports
from ood_toolkit.store.leases import lent
from ood_toolkit.store.listings import Listing, Listings
from ood_toolkit.store.removal import removable, remove

pytestmark = pytest.mark.quick


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Make a store with imports of two labels, one of them pointed at by two names, and a list of an encoded set."""
    folder = tmp_path / "store"
    imports = Imports(folder)
    imports.add("toys", "a", "test", {"logits": np.eye(3)}, "one.npz")
    imports.add("toys", "a", "train", {"logits": np.eye(4)}, "two.npz")
    imports.add("toys", "b", "test", {"logits": np.eye(5)}, "three.npz")
    imports.add("same", "b", "test", {"logits": np.eye(5)}, "three.npz")
    keys = np.arange(64, dtype=np.uint8).reshape(2, 32)
    Listings(folder).write(Listing("toys", "val", keys, ("x", "y")))
    monkeypatch.setenv("OODKIT_STORE", str(folder))
    monkeypatch.setenv("OODKIT_NO_PLUGINS", "1")
    return folder


def names(store):
    return {(entry.name, entry.model, entry.split) for entry in Imports(store).entries()}


def test_what_goes_is_shown_and_goes_and_gc_frees_the_arrays(oodkit, store):
    kept = Imports(store).find("same", "b", "test").key
    done = oodkit("store remove toys --yes")
    assert done.code == 0, done.err
    shown = done.out.splitlines()
    assert shown[0].startswith("toys (test) of model a: 3 images imported from one.npz, ")
    assert [line.partition(":")[0] for line in shown] == [
        "toys (test) of model a", "toys (train) of model a", "toys (test) of model b", "toys (val)",
    ]  # fmt: skip
    assert "the list of its 2 encoded images" in shown[3]
    assert done.err == "4 are gone; oodkit store gc frees what nothing refers to any more\n"
    assert names(store) == {("same", "b", "test")}
    assert Listings(store).names() == []
    assert len(list((store / "arrays").iterdir())) == 3
    assert oodkit("store gc --yes").code == 0
    assert [folder.name for folder in (store / "arrays").iterdir()] == [kept]
    assert oodkit("store verify").code == 0


def test_only_arrays_of_a_label_go_with_it(oodkit, store):
    assert oodkit("store remove toys same --model b --yes").code == 0
    assert names(store) == {("toys", "a", "test"), ("toys", "a", "train")}
    assert Listings(store).names() == [("toys", "val")]


@pytest.mark.parametrize("more", ["", "--dry-run"])
def test_nothing_goes_unasked(oodkit, store, more):
    before = {file: file.read_bytes() for file in store.rglob("*") if file.is_file()}
    done = oodkit(f"store remove toys {more}")
    assert "toys (val)" in done.out
    if more:
        assert (done.code, done.err) == (0, "4 would go\n")
    else:
        assert done.code == 2
        assert "no terminal to ask at, so nothing was deleted; pass --yes" in done.err
    assert {file: file.read_bytes() for file in store.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("held", [(), (".git/HEAD", "names/m/toys.txt"), ("arrays/mine/logits.npy",)])
def test_nothing_is_removed_in_a_folder_that_is_no_store(oodkit, tmp_path, held):
    folder = tmp_path / "mine"
    for name in held:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    oodkit("store", "remove", "toys", "--yes", "--store", folder).is_refused("is no store of oodkit, so nothing in it")
    assert {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()} == set(held)


def test_names_that_are_not_there_stop_all_of_it(oodkit, store):
    done = oodkit("store remove same toy --yes")
    done.is_refused(f"nothing in the store {store} is named 'toy'; did you mean 'toys'?")
    oodkit("store remove toys --model c --yes").is_refused("named 'toys' under the label 'c'; known: none")
    assert len(names(store)) == 4


def test_a_folder_that_is_no_store_is_refused(oodkit, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    done = oodkit("store", "remove", "toys", "--yes", "--store", tmp_path / "mine")
    done.is_refused(str(tmp_path / "mine"), "store")
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_what_a_running_import_writes_stays(oodkit, store):
    key = Imports(store).find("toys", "b", "test").key
    with lent(store, f"arrays/{key}"):
        done = oodkit("store remove toys --yes")
    assert done.code == 0
    assert "kept toys (test) of model b: in use by process" in done.err
    assert names(store) == {("toys", "b", "test"), ("same", "b", "test")}


def test_what_was_imported_anew_after_it_was_shown_stays(store):
    shown = removable(store, ["toys"])
    new = Imports(store).add("toys", "a", "test", {"logits": np.eye(7)}, "new.npz", replace=True)
    gone = list(remove(store, shown, ["toys"]))
    assert len(gone) == 3
    assert Imports(store).find("toys", "a", "test") == new


def test_damaged_entries_can_be_removed_by_their_name(oodkit, store):
    imports = Imports(store)
    imports.place(imports.find("same", "b", "test")).write_text(json.dumps({"key": "x"}))
    Listings(store).path("toys", "val").write_bytes(b"damaged")
    done = oodkit("store remove same toys --yes")
    assert done.code == 0, done.err
    assert (done.out.count("damaged entry ("), done.out.count(": damaged (")) == (1, 1)
    assert names(store) == set()
    assert Listings(store).names() == []
