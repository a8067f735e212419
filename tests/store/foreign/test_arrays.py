import io
import os
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ood_toolkit.errors import DataError, ModelError
from ood_toolkit.store.foreign.arrays import listed, read_npy, read_npz, texts

DTYPES = st.sampled_from(["<f2", "<f4", ">f4", "<f8", "<i8", ">i2", "u1", "?", "<U5", ">U2", "S3"])


def packed(**given):
    held = io.BytesIO()
    np.savez(held, **given)
    return held.getvalue()


def zipped(members, packing=zipfile.ZIP_DEFLATED):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return held.getvalue()


def npy(array):
    held = io.BytesIO()
    np.save(held, array)
    return held.getvalue()


@pytest.fixture
def refused(tmp_path):
    def check(content, message, name="x", file="a.npz"):
        (tmp_path / file).write_bytes(content)
        with pytest.raises(DataError, match=message) as caught:
            read_npz(tmp_path / file)[name]
        assert "\n" not in str(caught.value)
        assert file in str(caught.value)

    return check


@given(st.data(), DTYPES, st.booleans(), st.booleans())
def test_arrays_come_back_as_numpy_reads_them(tmp_path_factory, data, dtype, fortran, compressed):
    shape = data.draw(arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    elements = st.text("ab개", max_size=2) if "U" in dtype else st.just(b"ab") if "S" in dtype else None
    array = data.draw(arrays.arrays(dtype, shape, elements=elements))
    array = np.asfortranarray(array) if fortran else array
    file = tmp_path_factory.mktemp("npz") / "a.npz"
    (np.savez_compressed if compressed else np.savez)(file, x=array)
    found = read_npz(file)["x"]
    assert found.dtype == array.dtype.newbyteorder("=")
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, array)


def test_members_are_read_when_they_are_asked_for(tmp_path, monkeypatch):
    (tmp_path / "a.npz").write_bytes(zipped({"x.npy": npy(np.arange(3)), "y.npy": b"no array", "z.txt": b"a note"}))
    found = read_npz(tmp_path / "a.npz")
    assert list(found) == ["x", "y"]
    assert found["x"].tolist() == [0, 1, 2]
    with pytest.raises(KeyError):
        found["z"]
    with pytest.raises(DataError, match=r"a\.npz: y: expected a plain array, got"):
        found["y"]


def test_what_is_no_archive_is_refused(refused, tmp_path):
    refused(b"", "got a file that is no .npz archive")
    refused(b"PK\x03\x04" + b"x" * 50, "got a file that is no .npz archive")
    refused(npy(np.arange(3)), "got a single array")
    with pytest.raises(DataError, match=r"none\.npz: no such file"):
        read_npz(tmp_path / "none.npz")
    with pytest.raises(DataError, match="it is a folder, not a file"):
        read_npz(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.npz")
    with pytest.raises(DataError, match="it is a pipe or device, not a file"):
        read_npz(tmp_path / "a.npz")
    os.symlink("/dev/zero", tmp_path / "b.npy")
    with pytest.raises(DataError, match="it is a pipe or device, not a file"):
        read_npy(tmp_path / "b.npy")


def encrypted():
    raw = bytearray(packed(x=np.arange(3)))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(mark) + at] |= 1
    return bytes(raw)


def of_kind(number):
    raw = bytearray(zipped({"x.npy": npy(np.arange(300))}))
    for mark, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        struct.pack_into("<H", raw, raw.index(mark) + at, number)
    return bytes(raw)


def patched():
    raw = bytearray(packed(x=np.arange(3)))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(mark) + at] |= 0x20
    return bytes(raw)


def header(text, body=b""):
    text = text.ljust(117).encode() + b"\n"
    return zipped({"x.npy": b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body})


def changed(content, old, new):
    """Change bytes of an archive and leave its sums as they were."""
    assert old in content
    return content.replace(old, new, 1)


WHOLE = packed(x=np.arange(300))


@pytest.mark.parametrize(
    "content",
    [
        zipped({"x.npy": b""}),
        zipped({"x.npy": npy(np.arange(9))[:3]}),
        zipped({"x.npy": b"no array at all"}),
        zipped({"x.npy": npy(np.arange(9))[:40]}),
        zipped({"x.npy": npy(np.arange(9)).replace(b"'descr'", b"'desc' ")}),
        zipped({"x.npy": npy(np.arange(9)).replace(b"(9,)", b"(a,)")}),
        changed(WHOLE, bytes(range(1)) + b"\x07\0\0\0\0\0\0\0", b"\0\x09\0\0\0\0\0\0\0"),
        changed(WHOLE, b"PK\x03\x04", b"PK\x03\x09"),
        zipped({"x.npy": npy(np.arange(300))})[:60] + b"\xff" * 8 + zipped({"x.npy": npy(np.arange(300))})[68:],
    ],
    ids=["empty", "short", "text", "cut", "keys", "shape", "sum", "header", "packing"],
)
def test_what_numpy_and_zip_say_of_damage_is_said_in_our_words(refused, content):
    refused(content, "x: expected a plain array, got a damaged one: it was cut short or changed; get it again")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (encrypted(), "x: .* an encrypted member"),
        (patched(), "x: expected a plain array, got"),
        (of_kind(99), "x: expected a plain array, got .*compression"),
        (packed(x=np.array([{}], dtype=object)), r"arrays of Python objects are not read"),
        (zipped({"x.npy": npy(np.arange(9))[:-5]}), "x: .*bytes for int64 of shape"),
        (zipped({"x.npy": npy(np.arange(9)) + b"more"}), "x: .*bytes for int64 of shape"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}"), "x: .*the shape"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999,)}"), "bytes for float32 of shape"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 0)}"), "without a number"),
        (header("{'descr': 'x', 'fortran_order': False, 'shape': (1,)}"), "x: expected a plain array, got"),
        (header("(" * 90), "x: expected a plain array, got"),
        (header("{'descr': '<f4', 'fortran_order'"), "x: expected a plain array, got"),
        (header("{'descr': '?', 'fortran_order': False, 'shape': (2,)}", b"\x01\x07"), "truth values other than"),
        (header("{'descr': '<U1', 'fortran_order': False, 'shape': (1,)}", b"\xff" * 4), "characters that there are"),
    ],
)
def test_damaged_members_are_named(refused, content, message):
    refused(content, message)


def test_what_unpacks_far_beyond_its_size_is_refused_and_the_limit_can_be_lifted(tmp_path, monkeypatch):
    big = np.zeros(80 << 20, np.float32)  # 320 MiB that pack to 320 KB
    np.savez_compressed(tmp_path / "bomb.npz", x=big, y=np.arange(3))
    del big
    found = read_npz(tmp_path / "bomb.npz", ModelError)
    assert found["y"].tolist() == [0, 1, 2]
    with pytest.raises(ModelError, match=r"x: .* over the limit of 268,435,456; .*OODKIT_READ_LIMIT=321"):
        found["x"]
    monkeypatch.setenv("OODKIT_READ_LIMIT", "321")
    assert read_npz(tmp_path / "bomb.npz")["x"].shape == (80 << 20,)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(300_000, dtype="<f8"),
        np.asfortranarray(np.random.default_rng(0).normal(size=(500, 300)).astype("<f4")),
        np.random.default_rng(1).integers(0, 255, (40, 5000), np.uint8),
        np.array(["a longer name"] * 9000),
    ],
    ids=["ordered", "fortran", "bytes", "texts"],
)
def test_what_is_large_is_read_in_pieces_and_refused_only_where_it_packs_far(tmp_path, monkeypatch, array):
    """Plain members, and real numbers, which hardly pack, are read whatever their size."""
    monkeypatch.setattr("ood_toolkit.store.foreign.arrays.SMALL", 1 << 10)
    monkeypatch.setattr("ood_toolkit.store.foreign.arrays.PIECE", 1 << 9)
    np.savez(tmp_path / "a.npz", x=array)
    np.testing.assert_array_equal(read_npz(tmp_path / "a.npz")["x"], array)
    np.savez_compressed(tmp_path / "b.npz", x=array)
    packs = array.nbytes / (tmp_path / "b.npz").stat().st_size
    if packs < 90:
        np.testing.assert_array_equal(read_npz(tmp_path / "b.npz")["x"], array)
    np.savez_compressed(tmp_path / "c.npz", x=np.zeros_like(array))
    with pytest.raises(DataError, match=r"x: .* over the limit of [\d,]+; save it with np.savez, .*OODKIT_READ_LIMIT="):
        read_npz(tmp_path / "c.npz")["x"]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array("cat"), "expected a row of names, one each, got one text 'cat'"),
        (np.array([["cat", "dog"]]), r"got shape \(1, 2\)"),
        (np.array([b"cat", b"\xff\xfe"]), "row 1: expected text or bytes in UTF-8"),
        (np.zeros(2, complex), "expected names, got complex128"),
        (np.zeros(2, [("a", "i4")]), "expected names, got"),
    ],
)
def test_what_is_no_row_of_names_is_refused(array, message):
    with pytest.raises(DataError, match=message):
        texts(array, "classes")


def test_names_may_be_bytes_or_numbers():
    assert texts(np.array(["고양이".encode(), b"dog"]), "classes").tolist() == ["고양이", "dog"]
    assert texts(np.array([3, 1]), "classes").tolist() == ["3", "1"]
    assert texts(np.array([], "S1"), "classes").tolist() == []


def test_what_a_file_holds_is_listed_short_and_without_control_signs():
    assert listed({}) == "nothing"
    assert listed(dict.fromkeys("abc")) == "a, b, c"
    assert listed(dict.fromkeys(map(str, range(20)))) == "0, 1, 2, 3, 4, 5, 6, 7, ..."
    assert "\x1b" not in listed({"\x1b[2J": 1})
