from pathlib import Path

import pytest

from ood_toolkit.store.files import default_store, replaced_file, replaced_folder


def test_where_the_store_lies(monkeypatch, tmp_path):
    monkeypatch.setenv("OODKIT_STORE", str(tmp_path / "named"))
    assert default_store() == tmp_path / "named"
    monkeypatch.setenv("OODKIT_STORE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert default_store() == tmp_path / "cache" / "oodkit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_store() == Path.home() / ".cache" / "oodkit"


def test_a_file_takes_its_place_when_it_is_whole(tmp_path):
    final = tmp_path / "deep" / "file"
    with replaced_file(final) as partial:
        partial.write_text("new")
        assert not final.exists()
    assert final.read_text() == "new"

    def interrupted():
        with replaced_file(final) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert final.read_text() == "new"
    assert list(final.parent.iterdir()) == [final]


def test_a_folder_takes_its_place_when_it_is_whole_and_one_that_is_there_stays(tmp_path):
    final = tmp_path / "deep" / "folder"

    def interrupted():
        with replaced_folder(final) as partial:
            (partial / "x").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(final.parent.iterdir()) == []
    for text in ("first", "second"):
        with replaced_folder(final) as partial:
            (partial / "x").write_text(text)
    assert (final / "x").read_text() == "first"
    assert list(final.parent.iterdir()) == [final]
