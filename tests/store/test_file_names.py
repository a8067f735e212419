import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ood_toolkit.data.root import default_data_root
from ood_toolkit.report.results import Answers
from ood_toolkit.report.run_folder import read_run, write_run
from ood_toolkit.store.file_names import escaped, file_name, given_name, is_short, unescaped
from ood_toolkit.store.files import default_store
from ood_toolkit.store.foreign.places import place_of
from ood_toolkit.store.hashes import Memory, Whole, hash_of, stamp_of
from ood_toolkit.store.imports import Imports
from ood_toolkit.store.listings import Listing, Listings

NOT_UTF8 = os.fsdecode(b"folder:caf\xe9/\xff")
LONG = (
    "folder:연구실/비전팀/분포밖이미지평가데이터모음/최종본_이천이십육년_구월",
    "folder:" + "/".join(["a_rather_long_folder_name"] * 20),
    "folder:" + "é" * 90,
    unicodedata.normalize("NFD", "folder:한국어이름" * 9),
)


@given(st.text(), st.sampled_from(["", ".npz", ".test.listing"]))
def test_every_name_is_a_file_name_of_its_own(name, ending):
    made = file_name(name, ending)
    assert len(made.encode()) <= 255
    assert made.endswith(ending)
    assert "/" not in made
    assert file_name(name + "x", ending) != made
    assert unescaped(escaped(name)) == name
    if is_short(name, ending):
        assert given_name(made.removesuffix(ending)) == name


@pytest.mark.parametrize("name", [*LONG, NOT_UTF8, "a" * 251, "plain", "folder:split=test,b", "~" + "0" * 40])
def test_sets_of_any_name_are_listed_and_read_again(tmp_path, name):
    keys = np.arange(64, dtype=np.uint8).reshape(2, 32)
    ids = (os.fsdecode(b"caf\xe9.png"), "개\u2028/b c.png")
    listings = Listings(tmp_path)
    listings.write(Listing(name, "test", keys, ids, np.array([0, 1]), ("a", "b")))
    listings.write(Listing(name, "val", keys, ids))
    assert listings.names() == [(name, "test"), (name, "val")]
    assert listings.read(name, "test").ids == ids


@pytest.mark.parametrize("name", [*(one.replace("=", "-") for one in LONG), NOT_UTF8, "m/odel:x"])
def test_arrays_of_any_name_and_label_are_found_again(tmp_path, name):
    imports = Imports(tmp_path)
    made = imports.add(name, f"model {name}", "test", {"features": np.ones((2, 3), np.float32)}, "a.npz")
    assert imports.find(name, f"model {name}", "test") == made
    assert imports.entries() == [made]
    assert imports.read(made)["features"].tolist() == [[1.0] * 3] * 2


@pytest.mark.parametrize("name", [*LONG, NOT_UTF8])
def test_run_folders_hold_sets_of_any_name(tmp_path, name):
    said = Answers(np.array(["a", os.fsdecode(b"\xe9")]), {"msp": np.array([0.5, 1.0])})
    header = {"protocol": "native", "id": [{"name": name, "images": 2}], "ood": {name: 2}}
    write_run(tmp_path / "run", header, [], {(name, "test"): said, (name, f"ood:{name}"): said})
    run = read_run(tmp_path / "run")
    assert set(run.answers) == {(name, "test"), (name, f"ood:{name}")}
    assert run.answers[name, "test"].ids.tolist() == said.ids.tolist()
    assert run.header["id"][0]["name"] == name


def test_hashes_of_files_that_are_not_utf8_are_remembered(tmp_path):
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    file.write_bytes(b"x")
    os.utime(file, (1, 1))
    memory = Memory(tmp_path / "store")
    memory.remember([(Whole(file), stamp_of(file), hash_of(file))])
    assert memory.recall([Whole(file)]) == [hash_of(file)]
    memory.close()


@pytest.mark.parametrize("given", ["~", "~/s", "~/deep/er/s", "~/s with blanks,=é"])
def test_home_is_meant_in_variables(tmp_path, monkeypatch, given):
    monkeypatch.setenv("HOME", str(tmp_path))
    wanted = tmp_path / given.removeprefix("~").removeprefix("/")
    for variable, ask in (("OODKIT_STORE", default_store), ("OODKIT_DATA", default_data_root)):
        monkeypatch.setenv(variable, given)
        assert ask() == wanted


def test_home_and_accents_are_what_people_mean(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert place_of("~/a") == tmp_path / "a"
    assert place_of("~nobody-is-called-so/a") == Path("~nobody-is-called-so/a")
    assert place_of("a~b") == Path("a~b")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~x").mkdir()
    assert place_of("~x") == Path("~x")
    for form, other in (("NFC", "NFD"), ("NFD", "NFC")):
        there = tmp_path / unicodedata.normalize(form, f"사진 é {form}")
        there.mkdir()
        typed = tmp_path / unicodedata.normalize(other, f"사진 é {form}")
        assert place_of(typed) == there
        assert place_of(there) == there
    assert place_of(tmp_path / "없음") == tmp_path / "없음"
