import os

import pytest

from ood_toolkit.data.readers.below import Below, look_below
from ood_toolkit.errors import DataError


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_one_walk_finds_pictures_other_files_and_folders(tmp_path):
    touch(tmp_path, "b/2.JFIF", "b/1.png", "a.avif", "b/notes.txt", "x.heic", "README")
    touch(tmp_path, ".hidden.png", ".git/x.png", "__MACOSX/y.png", "b/Thumbs.db", "b/._1.png")
    (tmp_path / "empty" / "deep").mkdir(parents=True)
    found = look_below(tmp_path)
    assert found.paths == ("a.avif", "b/1.png", "b/2.JFIF")
    assert found.others == ("README", "b/notes.txt", "x.heic")
    assert found.folders == ("b", "empty", "empty/deep")
    assert found.top == ("b", "empty")
    assert found.notes == ("3 other files are left out, by their names no pictures: without suffix 1, .txt 1, .heic 1",)
    assert look_below(tmp_path / "empty").notes == ()


def test_parts_keep_what_lies_in_them():
    whole = Below(("a.png", "b/1.png", "bb/2.png"), ("b/x.txt", "y.txt"), ("b", "b/c", "bb"))
    assert whole.inside("b") == Below(("1.png",), ("x.txt",), ("c",))
    assert whole.outside(["b"]) == Below(("a.png", "bb/2.png"), ("y.txt",), ("bb",))


def test_a_link_that_leads_back_up_is_no_folder(tmp_path):
    touch(tmp_path, "a/1.png")
    os.symlink(tmp_path, tmp_path / "a" / "loop", target_is_directory=True)
    assert look_below(tmp_path) == Below(("a/1.png",), (), ("a",))


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path, monkeypatch):
    touch(tmp_path, "a/1.png", "locked/2.png")
    listed = os.scandir

    def scandir(place):
        if str(place).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(place))
        return listed(place)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(
        DataError, match=r"locked: expected a folder that can be listed, got: there is no permission for it"
    ):
        look_below(tmp_path)
