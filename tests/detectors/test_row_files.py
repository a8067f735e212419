"""Files that `oodkit predict` reads rows from, and adds rows to: what is wrong is told, and nothing is lost."""

import csv
import io
import json
import os
import warnings
import zipfile

import numpy as np
import pytest

from ood_toolkit.detectors.sources import Finder, sources_of
from ood_toolkit.detectors.writing import FIELDS, parquet_writer, resumed
from ood_toolkit.errors import OodkitError

pa = pytest.importorskip("pyarrow")
pytestmark = pytest.mark.quick

ROWS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
NOWHERE = Finder(lambda name: None, lambda name: None)


def walked(file, column=None):
    """Give the names and rows of a file."""
    (source,) = sources_of([str(file)], io.StringIO(), NOWHERE, column)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chunks = list(source.walk())
    return [name for names, _ in chunks for name in names], np.vstack([rows.numpy() for _, rows in chunks])


def npy(file, description):
    text = description.encode().ljust(117) + b"\n"
    file.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + ROWS.tobytes())
    return file


def described(dtype="<f4", shape=(6, 4), fortran=False):
    return repr({"descr": dtype, "fortran_order": fortran, "shape": shape})


@pytest.mark.parametrize("array", [ROWS, ROWS.astype(">f8"), np.asfortranarray(ROWS), ROWS > 0, ROWS.astype("i2")])
def test_rows_of_npy_files_come_back(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    names, rows = walked(tmp_path / "a.npy")
    np.testing.assert_allclose(rows, array)
    assert names[5] == f"{tmp_path / 'a.npy'}#5"


@pytest.mark.parametrize(
    ("description", "got"),
    [
        (described(shape=(99999999999, 99999999)), "96 bytes for float32 of shape"),
        (described(shape=(-6, -4)), "the shape"),
        (described(shape=(0, 4)), "96 bytes"),
        (described(dtype="|O"), "arrays of Python objects are not read"),
        (described(dtype="|b1", shape=(24, 4)), "truth values other than 0 and 1"),
        (described(dtype="<c8", shape=(3, 4)), "expected numbers .*complex64"),
        (described(dtype="|V4"), "expected numbers"),
        (described(dtype="<U4"), "expected"),
        (described(shape=()), "96 bytes"),
        (described(shape=(24,)), r"expected rows \(n, d\), got shape \(24,\)"),
        ("{'descr': __import__('os')", "expected an .npy file"),
        ("[" * 100, "expected an .npy file"),
    ],
)
def test_an_npy_file_that_is_damaged_is_one_line(tmp_path, description, got):
    with pytest.raises(OodkitError, match=got) as caught:
        walked(npy(tmp_path / "a.npy", description))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'a.npy'}: ")


def test_what_is_no_npy_file_is_one_line(tmp_path):
    np.savez(tmp_path / "a.npz", embeddings=ROWS)
    for content in (b"", (tmp_path / "a.npz").read_bytes(), b"\x93NUMPY\x03\x00\xff\xff\xff\xff", b"x" * 500):
        (tmp_path / "b.npy").write_bytes(content)
        with pytest.raises(OodkitError, match="file of a plain array"):
            walked(tmp_path / "b.npy")


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        (np.array("one"), None),
        (np.array(["사진".encode()] * 6), ["사진"] * 6),
        (np.arange(6), list("012345")),
        (np.array(["a"]), None),
        (np.array([b"\xff\xfe"] * 6), "row 0: expected text or bytes in UTF-8"),
        (np.array([["a", "b"]] * 6), r"expected a row of names, one each, got shape \(6, 2\)"),
        (np.zeros(6, "M8[s]"), "expected names, got datetime64"),
    ],
)
def test_names_of_rows_are_texts_one_for_each(tmp_path, ids, names):
    np.savez(tmp_path / "a.npz", embeddings=ROWS, ids=ids)
    if isinstance(names, str):
        with pytest.raises(OodkitError, match=f"ids: {names}"):
            walked(tmp_path / "a.npz")
        return
    assert walked(tmp_path / "a.npz")[0] == (names or [f"{tmp_path / 'a.npz'}#{row}" for row in range(6)])


def table(file, **columns):
    from pyarrow import parquet

    parquet.write_table(pa.table(columns), file)
    return file


VECTORS = pa.array(ROWS.tolist(), pa.list_(pa.float32()))


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        (pa.array([*"abcde", None]), [*"abcde", "#5"]),
        (pa.array([f"é{row}".encode() for row in range(6)]), [f"é{row}" for row in range(6)]),
        (pa.array([{"a": row} for row in range(6)]), [f"#{row}" for row in range(6)]),
        (pa.array(range(6)), list("012345")),
    ],
)
def test_names_of_parquet_rows_are_texts(tmp_path, ids, names):
    file = table(tmp_path / "a.parquet", embedding=VECTORS, id=ids)
    said, rows = walked(file)
    np.testing.assert_array_equal(rows, ROWS)
    assert said == [f"{file}{name}" if name[:1] == "#" else name for name in names]


@pytest.mark.parametrize(
    ("columns", "got"),
    [
        ({"embedding": VECTORS, "id": pa.array([b"\xff"] * 6)}, "id: expected text or bytes in UTF-8"),
        ({"embedding": pa.array([[1.0]] * 5 + [None])}, "1 rows are null"),
        ({"embedding": pa.array([[1.0]] * 5 + [[1.0, 2.0]])}, "ragged rows"),
        ({"embedding": pa.array([["a"]] * 6)}, "expected numbers"),
        ({"\x1b[2J": pa.array([1]), "=1": pa.array([1])}, r"got \\x1b\[2J, =1; name one with --column"),
        ({"embedding": VECTORS[:0]}, "expected at least one row"),
    ],
)
def test_parquet_columns_that_are_no_vectors_are_one_line(tmp_path, columns, got):
    with pytest.raises(OodkitError, match=got):
        walked(table(tmp_path / "a.parquet", **columns))


def test_parquet_pages_that_are_damaged_are_one_line(tmp_path):
    """The description at the end is whole, so that the fault shows when rows are read."""
    sound = table(tmp_path / "a.parquet", embedding=VECTORS, id=pa.array(list("abcdef"))).read_bytes()
    end = len(sound) - 8 - int.from_bytes(sound[-8:-4], "little")
    told = set()
    for place in range(4, end, 3):
        content = bytearray(sound)
        content[place] ^= 0xFF
        (tmp_path / "b.parquet").write_bytes(content)
        try:
            walked(tmp_path / "b.parquet")
        except OodkitError as error:
            told.add(str(error))
    assert any(line.startswith(f"{tmp_path / 'b.parquet'}: expected a Parquet file") for line in told)
    assert not any("\n" in line for line in told)


def test_pipes_and_devices_are_said_to_be_what_they_are(tmp_path):
    os.mkfifo(tmp_path / "a.npy")
    os.symlink("/dev/zero", tmp_path / "b.png")
    for name in ("a.npy", "b.png"):
        with pytest.raises(OodkitError, match="is a pipe or device"):
            sources_of([str(tmp_path / name)], io.StringIO(), NOWHERE)


def header():
    return ",".join(FIELDS) + "\n"


@pytest.mark.parametrize("style", ["json", "csv"])
@pytest.mark.parametrize(
    "content",
    [
        b"my notes, without a line end", b"my notes\n", b"\x00" * 50, b"[" * 5000 + b"\n", b'"' * 999 + b"\n",
        b'{"id": 1}\n', b'{"id": "a", "sha256": "b", "detector": "\x1b[2J"}\n', header().encode() + b"1,2\n", b"\n",
    ],
)  # fmt: skip
def test_a_file_of_others_is_refused_and_stays_as_it_is(tmp_path, style, content):
    file = tmp_path / "notes"
    file.write_bytes(content)
    with pytest.raises(OodkitError, match="name another file") as caught:
        resumed(file, style, "d")
    assert str(caught.value).isprintable()
    assert file.read_bytes() == content


def test_a_row_that_does_not_end_takes_neither_memory_nor_time(tmp_path, monkeypatch):
    monkeypatch.setattr("ood_toolkit.detectors.writing.LONGEST", 1 << 16)
    for style, content in (("csv", header() + '"' + "a,\n" * 60_000), ("json", '{"id": "' + "a" * 180_000)):
        (tmp_path / style).write_text(content)
        with pytest.raises(OodkitError, match="is no row of oodkit predict"):
            resumed(tmp_path / style, style, "d")


def test_a_csv_field_longer_than_the_library_takes_is_one_line(tmp_path):
    (tmp_path / "a.csv").write_text(header() + "x" * 200_000 + "," * (len(FIELDS) - 1) + "\n")
    with pytest.raises(OodkitError, match="line 2 is no row"):
        resumed(tmp_path / "a.csv", "csv", "d")


@pytest.mark.parametrize("style", ["json", "csv"])
def test_a_torn_row_of_ours_is_cut_off_wherever_it_is_torn(tmp_path, style):
    row = dict.fromkeys(FIELDS, "x") | {"detector": "d", "id": 'a "b"\nc'}
    if style == "json":
        text = json.dumps(row) + "\n"
    else:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([FIELDS, row.values()])
        text = out.getvalue()
    for end in range(1, 2 * len(text)):
        (tmp_path / "a").write_text((text + (text if style == "json" else text[len(header()) :]))[:end])
        stream, known, new = resumed(tmp_path / "a", style, "d")
        stream.close()
        rest = (tmp_path / "a").read_text()
        assert (text * 2).startswith(rest) or rest.startswith(text)
        assert (new, len(known)) == (not rest, rest.count("\nc" if style == "csv" else "\n"))


def test_parts_of_others_are_refused(tmp_path):
    for columns in ({"id": pa.array(["a"])}, {name: pa.array([1]) for name in ("id", "sha256", "detector")}):
        table(tmp_path / "part-00000.parquet", **columns)
        with pytest.raises(OodkitError, match="expected a part of oodkit predict"):
            parquet_writer(tmp_path, "d", append=True)
    os.unlink(tmp_path / "part-00000.parquet")
    with zipfile.ZipFile(tmp_path / "part-00000.parquet", "w") as archive:
        archive.writestr("a", "b")
    with pytest.raises(OodkitError, match="expected a Parquet file"):
        parquet_writer(tmp_path, "d", append=True)
