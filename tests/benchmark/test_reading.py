import pytest

from ood_toolkit.benchmark.reading import listed_names, read_banks, read_groups, read_prompts, read_words
from ood_toolkit.errors import DataError, UsageError


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a,b", ("a", "b")),
        (" a , ,b ", ("a", "b")),
        ('"folder:a,b",c', ("folder:a,b", "c")),
        ("folder:'a,b' , c", ("folder:a,b", "c")),
        ('folder:"it\'s, here"', ("folder:it's, here",)),
        ("folder:it's,b", ("folder:it's", "b")),
        ('a"b,c', ('a"b', "c")),
        ("", ()),
    ],
)
def test_names_in_quotes_may_hold_commas(text, names):
    assert listed_names(text) == names


def test_what_is_there_on_the_disk_may_hold_commas_without_quotes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a,b", "a,b,c d", "e"):
        (tmp_path / name).mkdir()
    assert listed_names("folder:a,b") == ("folder:a,b",)
    assert listed_names("folder:a,b,c d,x") == ("folder:a,b,c d", "x")
    assert listed_names("x,folder:a,b,folder:e") == ("x", "folder:a,b", "folder:e")
    assert listed_names("folder:a,x") == ("folder:a", "x")


@pytest.mark.parametrize(
    ("given", "groups"),
    [
        (("near=a,b", "c"), {"near": ("a", "b"), "": ("c",)}),
        (("folder:places/split=test",), {"": ("folder:places/split=test",)}),
        (("g=folder:places/split=test",), {"g": ("folder:places/split=test",)}),
        (('"folder:x=1,2"',), {"": ("folder:x=1,2",)}),
        (('g="folder:x=1,2",b',), {"g": ("folder:x=1,2", "b")}),
        (("near=a", "near=a,b"), {"near": ("a", "b")}),
    ],
)
def test_groups_and_equals_signs_in_paths(given, groups):
    assert read_groups(given) == groups


@pytest.mark.parametrize("text", ["=a", "near=", "near= , "])
def test_a_group_without_name_or_sets_is_refused(text):
    with pytest.raises(UsageError, match="expected GROUP=A,B"):
        read_groups([text])


def test_home_is_meant_in_every_option_that_takes_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "lines.txt").write_text("\ufeffa photo of a {}\r\nthe {}\n", encoding="utf-8")
    assert read_prompts(["~/lines.txt"]) == ("a photo of a {}", "the {}")
    assert read_words("~/lines.txt") == str(tmp_path / "lines.txt")
    assert read_banks(["no=~/lines.txt"]) == {"no": str(tmp_path / "lines.txt")}
    (tmp_path / "latin.txt").write_bytes(b"a {}\ncaf\xe9 {}\n")
    with pytest.raises(DataError, match=r"latin\.txt: line 2: expected text in UTF-8"):
        read_prompts(["~/latin.txt"])
