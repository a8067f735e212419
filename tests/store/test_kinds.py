"""Outputs take the place of files of their own kind alone."""

import os

import pytest

from ood_toolkit.errors import StoreError
from ood_toolkit.store.kinds import Kind, beginning

NOTE = Kind("note", beginning(b"note:", b"NOTE:"))


def test_a_file_of_another_kind_is_refused_and_an_empty_one_holds_nothing(tmp_path):
    NOTE.check(tmp_path / "absent")
    NOTE.check(tmp_path)  # a folder is refused by others
    for content in (b"", b"note: a", b"NOTE: b"):
        (tmp_path / "a").write_bytes(content)
        NOTE.check(tmp_path / "a")
    for content in (b"n", b" note: a", b"\0" * 100):
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(StoreError, match=r"a: it holds something that is no note; name another file"):
            NOTE.check(tmp_path / "a")
    anywhere = Kind("note", beginning(b"note:", within=20))
    (tmp_path / "a").write_bytes(b"first a line\nnote: a")
    anywhere.check(tmp_path / "a")
    (tmp_path / "a").write_bytes(b" " * 20 + b"note: a")
    with pytest.raises(StoreError, match="is no note"):
        anywhere.check(tmp_path / "a")


def test_a_file_that_cannot_be_read_is_not_replaced(tmp_path):
    (tmp_path / "a").write_bytes(b"note: a")
    (tmp_path / "a").chmod(0)
    if os.access(tmp_path / "a", os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(StoreError, match=r"it is there and cannot be read: there is no permission"):
        NOTE.check(tmp_path / "a")
