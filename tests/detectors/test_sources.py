"""Where `oodkit predict` finds its pictures, and what it knows of rows that are written."""

import hashlib
import os
import tracemalloc

import pytest
from PIL import Image

from ood_toolkit.detectors.sources import Finder, sources_of
from ood_toolkit.detectors.writing import FIELDS, Known, parquet_writer
from ood_toolkit.errors import DataError

NOTHING = Finder(lambda name: None, lambda name: None)


def found(word, lines=()):
    (source,) = sources_of([str(word)], lines, NOTHING)
    return [name for name, _ in source.walk()]


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "f"
    (place / "b" / "c").mkdir(parents=True)
    for name in ("2.png", "b/1.png", "b/c/0.jpg"):
        Image.new("L", (4, 4)).save(place / name)
    return place


def test_a_folder_is_walked_in_order_and_each_picture_is_met_once(folder):
    wanted = [f"{folder}/{name}" for name in ("2.png", "b/1.png", "b/c/0.jpg")]
    os.symlink(folder, folder / "b" / "back", target_is_directory=True)
    (folder / ".hidden.png").write_bytes(b"x")
    (folder / "b" / "._1.png").write_bytes(b"x")
    (folder / "notes.txt").write_text("x")
    os.mkfifo(folder / "pipe.png")
    assert found(folder) == wanted


def test_a_folder_that_cannot_be_listed_is_said_and_not_passed_over(folder, monkeypatch):
    real = os.scandir

    def scandir(place):
        if str(place).endswith("c"):
            raise PermissionError(13, "Permission denied", str(place))
        return real(place)

    monkeypatch.setattr("os.scandir", scandir)
    with pytest.raises(DataError, match="expected a folder that can be listed"):
        found(folder)


def test_lists_end_their_lines_as_systems_do():
    assert found("-", ["a.png\n", "\n", "b c.png\r\n", "d.png"]) == ["a.png", "b c.png", "d.png"]


def row(name, sha256="0", detector="d", **more):
    return {**dict.fromkeys(FIELDS), "id": name, "sha256": sha256, "detector": detector, "accepted": True} | more


def test_parquet_holds_names_that_are_no_text_and_knows_them_again(tmp_path):
    from pyarrow import parquet

    odd = os.fsdecode(b"a\xff.png")
    writer, known = parquet_writer(tmp_path / "p", "d", append=True)
    assert not known.has(odd, "0")
    with writer:
        writer.write([row(odd, why=f"cannot be read: {odd}"), row("é\n.png")])
    assert parquet.read_table(tmp_path / "p").column("id").to_pylist() == ["a\\udcff.png", "é\n.png"]
    _, known = parquet_writer(tmp_path / "p", "d", append=True)
    assert known.has(odd, "0")
    assert known.has("é\n.png", "0")
    assert not known.has(odd, "1")


def test_a_part_is_never_written_over_another(tmp_path):
    from pyarrow import parquet

    for name in "abc":
        writer, _ = parquet_writer(tmp_path / "p", "d", append=True)
        with writer:
            writer.write([row(name)])
    (tmp_path / "p" / "part-00000.parquet").unlink()
    writer, _ = parquet_writer(tmp_path / "p", "d", append=True)
    with writer:
        writer.write([row("d")])
    assert parquet.read_table(tmp_path / "p").column("id").to_pylist() == ["b", "c", "d"]


def test_a_written_row_takes_sixteen_bytes():
    names = [f"{n}.png" for n in range(20_000)]
    hashes = [hashlib.sha256(name.encode()).hexdigest() for name in names]
    tracemalloc.start()
    known = Known(row(name, sha) for name, sha in zip(names, hashes, strict=True))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 20 * len(known)
    assert len(known) == 20_000
    assert all(known.has(name, sha) for name, sha in zip(names, hashes, strict=True))
    assert not any(known.has(names[n], hashes[n - 1]) for n in range(20_000))
    assert not Known().has("a", "0")
