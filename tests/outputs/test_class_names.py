import subprocess
import sys
import unicodedata

import pytest

from ood_toolkit.errors import DataError
from ood_toolkit.outputs.class_names import ClassNames, comparable, first_few, text_of

KNOWN = ClassNames(["apple pie", "Hot_Dog", "crème brûlée", "C++", "C", "1.5 l", "+5V", "-5V", "T-shirt/top"])


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("apple pie", 0),
        ("apple_pie", 0),
        ("  Apple-Pie ", 0),
        ("\ufeffapple pie", 0),
        ("hot dog", 1),
        (unicodedata.normalize("NFD", "crème brûlée"), 2),
        (unicodedata.normalize("NFD", "CRÈME_BRÛLÉE"), 2),
        ("c++", 3),
        ("c", 4),
        ("1.5_L", 5),
        ("15 l", -1),
        ("+5v", 6),
        ("-5v", 7),
        ("5v", -1),
        ("t shirt top", 8),
        ("C#", -1),
        ("applepie", -1),
        ("", -1),
    ],
)
def test_one_rule_says_which_class_a_name_means(name, place):
    assert KNOWN.place(name) == place


def test_a_name_that_fits_two_classes_is_an_error_unless_it_is_one_of_them():
    names = ClassNames(["Crane", "crane", "crane", "owl"])
    assert [names.place(name) for name in ("Crane", "crane", "OWL")] == [0, 1, 3]
    with pytest.raises(DataError, match=r"^set: the class name 'CRANE' fits 'Crane' and 'crane'; write it as one of"):
        names.place("CRANE", "set")


def test_case_folds_before_it_is_composed_again():
    # The dotted capital I folds to two characters, and the sharp s to two letters.
    assert comparable("STRASSE") == comparable("straße")
    assert comparable("İstanbul") == comparable(unicodedata.normalize("NFD", "İstanbul"))


@pytest.mark.parametrize(
    ("held", "text"), [(b"caf\xc3\xa9", "café"), ("\ufeffcat", "cat"), (b"\xef\xbb\xbfcat", "cat"), (7, "7")]
)
def test_names_are_read_from_bytes_and_without_a_mark(held, text):
    assert text_of(held) == text


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(DataError, match="expected text in UTF-8"):
        text_of(b"\xff")


def test_the_first_names_are_shown():
    assert first_few(["a", "b", "c"]) == "'a', 'b', 'c'"
    assert first_few(["a", "b", "c", "d"]) == "'a', 'b', 'c', ..."


def test_names_are_compared_without_torch():
    code = "import sys, ood_toolkit.outputs.class_names; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
