import gzip

import pytest
from PIL import Image

from ood_toolkit.data.by_path import free_dataset
from ood_toolkit.data.readers.imglist import openood_list, read_imglist
from ood_toolkit.errors import DataError

pytestmark = pytest.mark.quick


@pytest.fixture
def listing(tmp_path):
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b c.png"):
        Image.new("L", (2, 2)).save(tmp_path / "images" / name)
    file = tmp_path / "test.txt"
    file.write_text("images/b c.png 1\n\nimages/a.png -1\n")
    return file


def test_paths_may_hold_spaces_and_lists_may_be_zipped(listing):
    rows = [("images/b c.png", 1), ("images/a.png", -1)]
    assert read_imglist(listing) == rows
    zipped = listing.with_suffix(".gz")
    zipped.write_bytes(gzip.compress(listing.read_bytes()))
    assert read_imglist(zipped) == rows


@pytest.mark.parametrize("line", ["a.png", "a.png x", "a.png -2", "1"])
def test_a_line_that_is_none_is_named(tmp_path, line):
    (tmp_path / "bad.txt").write_text(f"fine.png 0\n{line}\n")
    with pytest.raises(DataError, match="line 2: expected `path label`"):
        read_imglist(tmp_path / "bad.txt")


def test_an_image_listed_twice_is_refused(tmp_path):
    (tmp_path / "bad.txt").write_text("a.png 0\na.png 1\n")
    with pytest.raises(DataError, match=r"line 2: expected each image once, got a.png again"):
        read_imglist(tmp_path / "bad.txt")


def test_labels_without_names_are_left_out_and_said(listing):
    found = free_dataset(f"imglist:{listing}").open("test", listing.parent)
    assert found.ids == ("images/a.png", "images/b c.png")
    assert found.labels is None
    assert "they have no names" in found.notes[0]


def test_names_beside_the_list_give_labels(listing, tmp_path):
    (tmp_path / "classnames.txt").write_text("cat\ndog\n")
    made = free_dataset(f"imglist:{listing}@{tmp_path}")
    assert (made.classes, dict(made.counts)) == (("cat", "dog"), {"test": 2})
    assert made.open("test", tmp_path).labels.tolist() == [-1, 1]
    (tmp_path / "classnames.txt").write_text("cat\n")
    with pytest.raises(DataError, match="label 1, but 1 class names"):
        free_dataset(f"imglist:{listing}").open("test", tmp_path)


def test_missing_images_are_counted_and_a_list_of_nothing_is_an_error(listing, tmp_path):
    (tmp_path / "images" / "a.png").unlink()
    assert "1 of the 2 images of test.txt are here" in free_dataset(f"imglist:{listing}").open("test", tmp_path).notes
    with pytest.raises(DataError, match="expected its images below"):
        free_dataset(f"imglist:{listing}@{tmp_path / 'elsewhere'}").open("test", tmp_path)
    with pytest.raises(DataError, match="no such list"):
        free_dataset(f"imglist:{tmp_path / 'none.txt'}")


def test_openood_lists_find_their_folder(tmp_path):
    place = tmp_path / "benchmark_imglist" / "imagenet"
    place.mkdir(parents=True)
    (place / "test_ninco.txt").write_text("frog/1.png -1\n")
    picture = tmp_path / "images_largescale" / "ninco" / "frog" / "1.png"
    read = openood_list("imagenet/test_ninco.txt", "images_largescale", "images_largescale/ninco")
    assert read("test", tmp_path) is None
    picture.parent.mkdir(parents=True)
    Image.new("L", (2, 2)).save(picture)
    found = read("test", tmp_path)
    assert (found.ids, found.labels) == (("frog/1.png",), None)
    assert found.items[0].file == picture


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("\ufeffa.png 0\nb c.png -1\n", [("a.png", 0), ("b c.png", -1)]),
        ("a.png\t0\n\n  \nb.png  1\n", [("a.png", 0), ("b.png", 1)]),
        ("a.png 0\r\n\r\nb.png 1\r\n", [("a.png", 0), ("b.png", 1)]),
        ("a\u2028b.png 3\n", [("a\u2028b.png", 3)]),
    ],
)
def test_marks_empty_lines_and_ends_of_all_systems(tmp_path, text, rows):
    (tmp_path / "l.txt").write_bytes(text.encode())
    assert read_imglist(tmp_path / "l.txt") == rows


def test_lines_are_counted_with_the_empty_ones(tmp_path):
    (tmp_path / "l.txt").write_text("a.png 0\n\n\nb.png x\n")
    with pytest.raises(DataError, match="line 4: expected `path label`"):
        read_imglist(tmp_path / "l.txt")
    (tmp_path / "l.txt").write_text("\na.png 0\nb.png 1\n\na.png 1\n")
    with pytest.raises(DataError, match=r"line 5: expected each image once, got a.png again"):
        read_imglist(tmp_path / "l.txt")


def test_names_with_a_mark_and_an_empty_line_between_them(tmp_path):
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    (tmp_path / "l.txt").write_text("a.png 1\n")
    (tmp_path / "classnames.txt").write_bytes("\ufeffcat\n\ndog\n\n".encode())
    made = free_dataset(f"imglist:{tmp_path / 'l.txt'}")
    assert made.classes == ("cat", "dog")
    assert made.open("test", tmp_path).notes == ("1 empty line between the names of classnames.txt count no class",)


def test_labels_without_names_say_what_to_do(tmp_path):
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    (tmp_path / "l.txt").write_text("a.png 1\n")
    found = free_dataset(f"imglist:{tmp_path / 'l.txt'}").open("test", tmp_path)
    assert (found.labels, found.unlabelled) == (
        None,
        "they have no names; put one a line into classnames.txt beside the list",
    )
