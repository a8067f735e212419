import pytest
from PIL import Image

from ood_toolkit.data.readers.suffixes import SUFFIXES, counted, is_picture, suffix_of

NO_PICTURES = {
    "BUFR": "a stub that names a handler",
    "EPS": "a program",
    "FITS": "measurements",
    "GBR": "a brush",
    "GRIB": "a stub that names a handler",
    "HDF5": "a stub that names a handler",
    "IPTC": "measurements",
    "MPEG": "a film, of which only the size is read",
    "WMF": "read on Windows alone",
}


def test_all_suffixes_that_pillow_reads_are_pictures():
    Image.init()
    known = {suffix: kind for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    assert {f".{suffix}" for suffix in SUFFIXES} == {s for s, kind in known.items() if kind not in NO_PICTURES}


@pytest.mark.parametrize("name", ["a.JPG", "b/c.jfif", "x.tar.png", "d.e/f.AVIF"])
def test_a_picture_is_known_by_what_follows_the_last_dot(name):
    assert is_picture(name)


@pytest.mark.parametrize("name", ["png", "a.txt", "a.png/b", "a.", "a.jpg.txt"])
def test_other_files_are_none(name):
    assert not is_picture(name)


def test_files_are_counted_by_suffix():
    assert counted(["a.txt", "b.TXT", "c.heic", "d"]) == ".txt 2, .heic 1, without suffix 1"
    assert counted([f"x.{i}" for i in range(9)]).endswith(".4 1, ...")
    assert suffix_of("a.b/c") == ""
