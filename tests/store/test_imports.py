import json

import numpy as np
import pytest

from ood_toolkit.errors import StoreError
from ood_toolkit.store.imports import Imports


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


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}", '{"key": "x", "source": "f", "rows": "many"}'])
def test_a_damaged_entry_is_named_and_mended_as_the_message_says(imports, text):
    entry = imports.add("a", "m", "test", arrays(), "f")
    alias = imports.folder / "names" / "m" / "a.test.json"
    assert json.loads(alias.read_text())["key"] == entry.key
    alias.write_text(text)
    for ask in (lambda: imports.find("a", "m", "test"), imports.entries, lambda: imports.models_of(["a"])):
        with pytest.raises(StoreError, match=r"a\.test\.json: damaged entry .*import a again with --replace"):
            ask()
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
    if damage != "changed":
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
    assert [path.name for path in imports.folder.rglob("*")] == ["arrays"]
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
