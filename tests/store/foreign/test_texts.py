import gzip
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ood_toolkit.errors import DataError, ModelError
from ood_toolkit.store.foreign.lines import as_lines, read_lines
from ood_toolkit.store.foreign.objects import DEEPEST, parsed, read_object


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\r\nb", ["a", "b"]),
        (b"a\rb\r", ["a", "b"]),
        (b"\xef\xbb\xbfa\n\nb", ["a", "", "b"]),
        (b"", []),
        ("자료\u2028x\x0by\x85z".encode(), ["자료\u2028x\x0by\x85z"]),
    ],
)
def test_lines_end_where_people_end_them(tmp_path, content, lines):
    for name, held in (("a.txt", content), ("a.txt.gz", gzip.compress(content))):
        (tmp_path / name).write_bytes(held)
        assert read_lines(tmp_path / name) == lines


@given(st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"])))
def test_any_text_comes_back(tmp_path_factory, text):
    file = tmp_path_factory.mktemp("lines") / "a"
    file.write_bytes(text.encode())
    assert "\n".join(read_lines(file)) == text.removeprefix("\ufeff").removesuffix("\n")
    assert as_lines(text) == as_lines(text.replace("\n", "\r\n"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a", b"a\nb\xe9", r"a: line 2: expected text in UTF-8, got byte 0xe9; save it as UTF-8"),
        ("a", b"\xff\xfea\0", "expected text in UTF-8, got UTF-16"),
        ("a", b"a\n\nb\0c", "line 3: expected text, got a NUL character"),
        ("a.gz", b"no gzip", "expected a readable text file, got"),
        ("a.gz", gzip.compress(b"a" * 999, mtime=0)[:-20], "expected a readable text file, got"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        read_lines(tmp_path / name, ModelError)
    assert "\n" not in str(caught.value)


def test_names_of_files_that_are_not_utf8_are_kept(tmp_path):
    (tmp_path / "a").write_bytes(b"caf\xe9.png 0\n")
    assert [os.fsencode(line) for line in read_lines(tmp_path / "a", any_bytes=True)] == [b"caf\xe9.png 0"]


def test_a_small_gzip_file_does_not_become_a_large_one(tmp_path, monkeypatch):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"x" * (20 << 20)))
    with pytest.raises(DataError, match=r"unpacks to more than .*limit of 16,777,216; OODKIT_READ_LIMIT="):
        read_lines(tmp_path / "a.gz")
    monkeypatch.setenv("OODKIT_READ_LIMIT", "20")
    assert len(read_lines(tmp_path / "a.gz")[0]) == 20 << 20


def nested(depth, begin="[", end="]"):
    return begin * depth + end * depth


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (nested(DEEPEST + 2), "nested at most 64 deep"),
        (nested(900), "nested"),
        (nested(100_000), "nested"),
        (nested(70, '{"a":', "") + "1" + "}" * 70, "nested at most 64 deep"),
        ("{", "expected JSON, got other text"),
        ("9" * 5000, "expected JSON, got other text"),
        (b"\xff\xfe", "expected JSON in UTF-8"),
    ],
)
def test_what_is_no_small_json_is_refused(content, message):
    with pytest.raises(DataError, match=message) as caught:
        parsed(content, "file")
    assert "\n" not in str(caught.value)


def test_json_as_people_nest_it_is_read(tmp_path):
    assert parsed(nested(DEEPEST), "file") == json.loads(nested(DEEPEST))
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf" + json.dumps({"a": ["개", None]}).encode())
    assert read_object(tmp_path / "a.json") == {"a": ["개", None]}
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(DataError, match="expected a JSON object, got a list"):
        read_object(tmp_path / "a.json")
    with pytest.raises(DataError, match="no such file"):
        read_object(tmp_path / "none.json")
