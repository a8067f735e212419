import json
import os
import shutil

import numpy as np
import pytest

from ood_toolkit.errors import StoreError
from ood_toolkit.store import arrays as stored
from ood_toolkit.store.imports import Imports

pytestmark = pytest.mark.quick


@pytest.fixture
def imports(tmp_path):
    return Imports(tmp_path / "store")


def arrays(seed=0, n=6):
    rng = np.random.default_rng(seed)
    return {
        "features": rng.normal(size=(n, 3)).astype(np.float16),
        "labels": np.arange(n) % 2,
        "classes": np.array(["a", "b"]),
        "scale": np.array(50.0),
    }


def folders(imports):
    return sorted(path.name for path in (imports.folder / "arrays").iterdir())


def test_what_goes_in_comes_out_as_memory_maps(imports):
    entry = imports.add("set", "m", "test", arrays(), "f.npz")
    assert (entry.model, entry.name, entry.split, entry.source, entry.rows) == ("m", "set", "test", "f.npz", 6)
    assert imports.find("set", "m", "test") == entry
    read = imports.read(entry)
    for name, array in arrays().items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype
    assert isinstance(read["features"], np.memmap)
    assert isinstance(read["labels"], np.memmap)
    assert not read["features"].flags.writeable
    for name, model, split in (("set", "m", "val"), ("set", "n", "test"), ("other", "m", "test")):
        assert imports.find(name, model, split) is None


def test_equal_content_is_kept_once_under_all_its_names(imports):
    first = imports.add("a", "m", "test", arrays(), "f")
    again = imports.add("a", "m", "test", arrays(), "g")
    other = imports.add("b", "n", "val", arrays(), "f")
    assert first.key == again.key == other.key
    assert folders(imports) == [first.key]
    assert imports.find("a", "m", "test").source == "g"


@pytest.mark.parametrize(
    "change",
    [
        {"features": arrays()["features"].astype(np.float32)},
        {"features": arrays()["features"].reshape(3, 6)},
        {"labels": arrays()["labels"][::-1]},
        {"classes": np.array(["a", "c"])},
        {"scale": np.array(51.0)},
        {"ids": np.array(list("abcdef"))},
    ],
)
def test_other_content_has_another_key(imports, change):
    assert imports.add("a", "m", "test", arrays(), "f").key != imports.add("b", "m", "test", arrays() | change, "f").key


def test_a_name_is_pointed_elsewhere_only_on_request(imports):
    first = imports.add("a", "m", "test", arrays(), "f.npz")
    with pytest.raises(StoreError, match=r"a \(test\) of model 'm' is already .* from f.npz; pass --replace"):
        imports.add("a", "m", "test", arrays(1), "g.npz")
    assert imports.find("a", "m", "test") == first
    assert len(folders(imports)) == 1
    second = imports.add("a", "m", "test", arrays(1), "g.npz", replace=True)
    assert imports.find("a", "m", "test") == second != first


def test_entries_are_listed_and_models_found(imports):
    for name, model, split in (("a", "m", "test"), ("a", "n/1", "test"), ("b c.d", "m", "test"), ("e", "m", "val")):
        imports.add(name, model, split, arrays(), "f")
    assert [(e.model, e.name, e.split) for e in imports.entries()] == [
        ("m", "a", "test"), ("m", "b c.d", "test"), ("m", "e", "val"), ("n/1", "a", "test"),
    ]  # fmt: skip
    assert imports.models_of(["a"]) == ["m", "n/1"]
    assert imports.models_of(["a", "b c.d"]) == ["m"]
    assert imports.models_of(["e"]) == imports.models_of([]) == []


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a,b", "g=a"])
def test_names_that_no_command_could_ask_for_are_refused(imports, name):
    with pytest.raises(StoreError, match="set name: expected"):
        imports.add(name, "m", "test", arrays(), "f")
    with pytest.raises(StoreError, match="model name: expected"):
        imports.add("a", name, "test", arrays(), "f")
    assert not imports.folder.exists()


def test_names_that_look_like_paths_stay_inside(imports, tmp_path):
    for name in ("../../x", "/etc/x", "a/../b"):
        imports.add(name, name, "test", arrays(), "f")
        assert imports.find(name, name, "test").name == name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"]
    assert len(imports.entries()) == 3


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", "{}", "[" * 9999, '{"key": "../x", "source": "f", "rows": 1}', '{"key": 1}',
     '{"key": "x", "source": "f", "rows": "many"}', f'{{"key": "{"a" * 64}", "source": "f", "rows": "many"}}'],
)  # fmt: skip
def test_a_damaged_entry_is_named_and_mended_as_the_message_says(imports, text):
    entry = imports.add("a", "m", "test", arrays(), "f")
    alias = imports.folder / "names" / "m" / "a.test.json"
    assert json.loads(alias.read_text())["key"] == entry.key
    imports.add("b", "m", "test", arrays(), "g")
    alias.write_text(text)
    for ask in (lambda: imports.find("a", "m", "test"), lambda: imports.check(["b", "a"]),
                lambda: imports.check(["a"], "m")):  # fmt: skip
        with pytest.raises(StoreError, match=r"a\.test\.json: damaged entry .*import a again with --replace"):
            ask()
    imports.check(["b"])
    imports.check(["a"], "another model")
    assert [entry.name for entry in imports.entries()] == ["b"]  # others do without it
    assert [path for path, _ in imports.damaged()] == [alias]
    assert (imports.models_of(["a"]), imports.models_of(["b"])) == ([], ["m"])
    assert imports.add("a", "m", "test", arrays(), "f", replace=True) == entry
    assert imports.find("a", "m", "test") == entry


@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "object", "gone", "changed"])
def test_damaged_arrays_are_named_and_mended_by_another_import(imports, damage):
    entry = imports.add("a", "m", "test", arrays(), "f")
    file = imports.folder / "arrays" / entry.key / "features.npy"
    whole = file.read_bytes()
    if damage == "gone":
        for part in file.parent.iterdir():
            part.unlink()
        file.parent.rmdir()
    elif damage == "object":
        np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    elif damage == "changed":
        file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    else:
        file.write_bytes({"empty": b"", "cut": whole[:-4], "garbage": b"garbage" * 30}[damage])
    with pytest.raises(StoreError, match=r"a \(test\): its arrays are damaged or gone .* import them again"):
        imports.read(entry)
    imports.add("a", "m", "test", arrays(), "f")
    np.testing.assert_array_equal(imports.read(entry)["features"], arrays()["features"])


def test_a_failure_in_the_middle_leaves_nothing(imports, monkeypatch):
    save, calls = np.save, []

    def torn(file, array, **options):
        calls.append(file)
        save(file, array, **options)
        if len(calls) == 2:
            raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(np, "save", torn)
        with pytest.raises(OSError, match="disk full"):
            imports.add("a", "m", "test", arrays(), "f")
    assert {path.name for path in imports.folder.rglob("*")} == {"arrays", "leases", "lock", "oodkit-store.json"}
    assert imports.entries() == []
    imports.add("a", "m", "test", arrays(), "f")


def test_an_alias_that_cannot_be_written_leaves_the_old_one(imports, monkeypatch):
    first = imports.add("a", "m", "test", arrays(), "f")

    def fails(*paths):
        raise OSError("read-only")

    with monkeypatch.context() as patched:
        patched.setattr("os.replace", fails)
        with pytest.raises(OSError, match="read-only"):
            imports.add("a", "m", "test", arrays(1), "g", replace=True)
    assert imports.find("a", "m", "test") == first
    assert [path.name for path in (imports.folder / "names" / "m").iterdir()] == ["a.test.json"]


@pytest.fixture
def hashed(monkeypatch):
    """Count how often arrays are hashed."""
    counted, plain = [], stored.content_key
    monkeypatch.setattr(stored, "content_key", lambda arrays: counted.append(1) or plain(arrays))
    return counted


def old(entry, imports):
    """Let the arrays of an entry look as if they had lain there for long."""
    for file in (imports.folder / "arrays" / entry.key).iterdir():
        os.utime(file, ns=(10**18, 10**18))


@pytest.mark.parametrize("part", ["features", "labels", "classes", "scale"])
def test_one_flipped_bit_is_found_when_the_arrays_are_used(imports, part):
    entry = imports.add("a", "m", "test", arrays(), "f")
    old(entry, imports)
    imports.read(entry)
    file = imports.folder / "arrays" / entry.key / f"{part}.npy"
    content = bytearray(file.read_bytes())
    content[-1 if part != "classes" else -4] ^= 1
    file.write_bytes(content)
    with pytest.raises(StoreError, match=r"a \(test\): .*not those that were imported.*import them again"):
        imports.read(entry)


def test_arrays_are_hashed_once_for_each_stamp(imports, hashed):
    entry = imports.add("a", "m", "test", arrays(), "f")
    old(entry, imports)
    hashed.clear()
    for _ in range(3):
        np.testing.assert_array_equal(imports.read(entry)["features"], arrays()["features"])
    assert len(hashed) == 1
    os.utime(imports.folder / "arrays" / entry.key / "labels.npy", ns=(10**18, 10**18 + 1))
    for _ in range(3):
        imports.read(entry)
    assert len(hashed) == 2


@pytest.mark.parametrize("how", ["gone", "more", "of another"])
def test_a_set_of_arrays_is_more_than_its_files(imports, how):
    entry, other = imports.add("a", "m", "test", arrays(), "f"), imports.add("b", "m", "test", arrays(1), "f")
    folder = imports.folder / "arrays" / entry.key
    for one in (entry, other):
        old(one, imports)
        imports.read(one)
    if how == "gone":
        (folder / "labels.npy").unlink()
    else:
        source = imports.folder / "arrays" / other.key / "features.npy"
        shutil.copy(source, folder / ("text.npy" if how == "more" else "features.npy"))
    with pytest.raises(StoreError, match="not those that were imported"):
        imports.read(entry)
    np.testing.assert_array_equal(imports.read(other)["features"], arrays(1)["features"])


@pytest.mark.parametrize("name", ["._features.npy", ".DS_Store", "notes.txt", "Thumbs.db"])
def test_foreign_files_among_arrays_are_passed_over_and_stay(imports, name):
    entry = imports.add("a", "m", "test", arrays(), "f")
    folder = imports.folder / "arrays" / entry.key
    (folder / name).write_text("mine")
    np.testing.assert_array_equal(imports.read(entry)["features"], arrays()["features"])
    (folder / "features.npy").write_bytes(b"damaged")
    imports.add("a", "m", "test", arrays(), "f")
    np.testing.assert_array_equal(imports.read(entry)["features"], arrays()["features"])
    assert (folder / name).read_text() == "mine"


def test_a_store_that_cannot_remember_hashes_each_time(imports, hashed):
    entry = imports.add("a", "m", "test", arrays(), "f")
    old(entry, imports)
    (imports.folder / "hashes.sqlite").mkdir()
    hashed.clear()
    imports.read(entry)
    imports.read(entry)
    assert len(hashed) == 2


def test_a_name_that_is_pointed_elsewhere_is_followed(imports, monkeypatch):
    first = imports.add("a", "m", "test", arrays(), "f")
    read = imports.read

    def late(entry):
        if entry == first:  # another process replaces the arrays, and gc deletes the old ones
            imports.add("a", "m", "test", arrays(1), "g", replace=True)
            shutil.rmtree(imports.folder / "arrays" / first.key)
        return read(entry)

    monkeypatch.setattr(imports, "read", late)
    np.testing.assert_array_equal(imports.arrays_of("a", "m", "test")["features"], arrays(1)["features"])
    assert imports.arrays_of("b", "m", "test") is None


@pytest.mark.parametrize("name", ["mine", "bank.", "../x", "Features"])
def test_arrays_under_names_that_no_import_has_are_refused(imports, name):
    with pytest.raises(StoreError, match="expected a name of those that an import may have"):
        imports.add("a", "m", "test", arrays() | {name: np.zeros(3)}, "f")
    assert not imports.folder.exists()


def test_the_key_of_content_depends_on_no_layout(imports):
    rows = np.random.default_rng(0).normal(size=(300, 40))
    keys = {stored.content_key({"features": made}) for made in (rows, np.asfortranarray(rows), rows[:].copy())}
    assert len(keys) == 1
    stored_piece = stored.PIECE
    try:
        stored.PIECE = 1000
        assert stored.content_key({"features": np.asfortranarray(rows)}) in keys
    finally:
        stored.PIECE = stored_piece
