import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from ood_toolkit.store.hashes import Memory, Whole

pytestmark = pytest.mark.quick


@dataclass
class Part:
    file: Path
    part: str


@pytest.fixture
def memory(tmp_path):
    held = Memory(tmp_path / "store")
    yield held
    held.close()


@pytest.fixture
def old(tmp_path):
    """A file that was last changed long ago."""
    path = tmp_path / "old"
    path.write_bytes(b"content")
    os.utime(path, ns=(0, 10))
    return path


def test_a_hash_is_remembered_until_size_time_or_inode_change(memory, old):
    digest = hashlib.sha256(b"content").digest()
    assert memory.recall([Whole(old)]) == [None]
    assert memory.sha256(old) == digest
    assert memory.recall([Whole(old)]) == [digest]
    os.utime(old, ns=(0, 11))
    assert memory.recall([Whole(old)]) == [None]
    memory.sha256(old)
    old.write_bytes(b"longer content")
    os.utime(old, ns=(0, 11))
    assert memory.recall([Whole(old)]) == [None]
    assert memory.sha256(old) == hashlib.sha256(b"longer content").digest()
    twin = old.with_name("twin")
    twin.write_bytes(b"Longer content")
    os.utime(twin, ns=(0, 11))
    twin.replace(old)
    assert memory.recall([Whole(old)]) == [None]
    old.unlink()
    assert memory.recall([Whole(old)]) == [None]


def test_a_file_that_changed_just_now_is_read_again(memory, tmp_path):
    path = tmp_path / "new"
    path.write_bytes(b"a")
    memory.sha256(path)
    assert memory.recall([Whole(path)]) == [None]


def test_parts_of_one_file_have_hashes_of_their_own(memory, old):
    stamp = (old.stat().st_size, old.stat().st_mtime_ns, old.stat().st_ino)
    memory.remember([(Part(old, "@0+3"), stamp, b"a" * 32), (Part(old, "@3+4"), stamp, b"b" * 32)])
    asked = [Part(old, "@3+4"), Part(old, "@0+3"), Whole(old)]
    assert memory.recall(asked) == [b"b" * 32, b"a" * 32, None]


def test_it_lasts_and_may_be_damaged_or_deleted(memory, old, tmp_path):
    memory.sha256(old)
    memory.close()
    again = Memory(tmp_path / "store")
    assert again.recall([Whole(old)]) != [None]
    again.close()
    again.path.write_bytes(b"no database at all, but long enough to be one" * 50)
    mended = Memory(tmp_path / "store")
    assert mended.recall([Whole(old)]) == [None]
    assert mended.sha256(old) == hashlib.sha256(b"content").digest()
    mended.close()
