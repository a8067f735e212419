import os

import numpy as np
import pytest
from PIL import Image

from ood_toolkit.data.readers.folders import ClassFolders, class_folders, images_below, present, readable, readable_all
from ood_toolkit.errors import DataError

pytestmark = pytest.mark.quick

FRUIT = ClassFolders(("apple_pie", "pear", "water_melon"), ("apple pie", "pear", "water melon"))


def draw(path, shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (shade, shade, shade)).save(path)


def test_images_are_listed_sorted_without_hidden_and_other_files(tmp_path):
    for name in ("b/2.png", "b/1.JPG", "a.webp", ".hidden.png", ".git/x.png"):
        draw(tmp_path / name) if not name.endswith("JPG") else (tmp_path / name).write_bytes(b"")
    (tmp_path / "notes.txt").write_text("x")
    assert images_below(tmp_path) == ["a.webp", "b/1.JPG", "b/2.png"]


def test_a_link_that_leads_back_up_ends(tmp_path):
    draw(tmp_path / "a" / "1.png")
    os.symlink(tmp_path, tmp_path / "a" / "loop", target_is_directory=True)
    assert images_below(tmp_path) == ["a/1.png"]


def test_labels_follow_the_classes_of_the_set_even_where_some_folders_are_absent(tmp_path):
    draw(tmp_path / "water_melon" / "1.png", 7)
    draw(tmp_path / "Apple Pie" / "deep" / "2.png", 9)
    found = class_folders(tmp_path, FRUIT, before="test/")
    assert found.ids == ("test/Apple Pie/deep/2.png", "test/water_melon/1.png")
    assert found.labels.tolist() == [0, 2]
    assert found.labels.dtype == np.int64
    assert found.classes == FRUIT.names
    assert [image.getpixel((0, 0))[0] for image in found.images] == [9, 7]


def test_listing_decodes_nothing(tmp_path):
    (tmp_path / "pear").mkdir()
    (tmp_path / "pear" / "broken.jpg").write_bytes(b"no picture")
    found = class_folders(tmp_path, FRUIT)
    assert len(found) == 1
    with pytest.raises(DataError, match="not a readable picture"):
        _ = found.images[0]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((), "expected images, found none"),
        (("paer/1.png",), "'paer' is no class of this set; did you mean 'pear'"),
        (("pear/1.png", "2.png"), "expected every image in a class folder, got 2.png beside them"),
    ],
)
def test_a_folder_that_does_not_fit_is_an_error(tmp_path, files, message):
    for name in files:
        draw(tmp_path / name)
    with pytest.raises(DataError, match=message):
        class_folders(tmp_path, FRUIT)


def test_images_in_no_folder_have_no_labels(tmp_path):
    draw(tmp_path / "1.png")
    found = class_folders(tmp_path, FRUIT)
    assert found.labels is None
    assert found.notes == ("no class folders, so no labels",)


def test_folders_are_the_classes_where_none_are_known(tmp_path):
    for name in ("002.Laysan_Albatross", "001.Black_footed_Albatross"):
        draw(tmp_path / name / "1.png")
    found = class_folders(tmp_path, None, 200)
    assert found.classes == ("Black footed Albatross", "Laysan Albatross")
    assert found.labels.tolist() == [0, 1]
    assert found.notes == ("2 of the 200 classes are here, and labels count these alone",)


def test_a_name_that_two_classes_bear_names_neither():
    cranes = ClassFolders(("n1", "n2", "n3"), ("crane", "crane", "owl"))
    assert cranes.label("owl", "") == 2
    with pytest.raises(DataError, match="'crane' is no class"):
        cranes.label("crane", "")


def test_present_tells_which_paths_are_there(tmp_path):
    draw(tmp_path / "a" / "1.png")
    assert list(present(tmp_path, ["a/1.png", "a/2.png", "b/1.png"])) == [True, False, False]


def test_the_rule_of_prompt_names():
    assert [readable(n) for n in ("apple_pie", "015.bonsai", "church/indoor")] == [
        "apple pie",
        "bonsai",
        "church indoor",
    ]


def test_two_folders_of_one_class_name_are_refused(tmp_path):
    for name in ("apple pie", "apple_pie"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (2, 2)).save(tmp_path / name / "a.png")
    with pytest.raises(DataError, match="class folders 'apple pie' and 'apple_pie' make one class name; rename one"):
        class_folders(tmp_path, None)


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (("001.Black_footed", "002.Laysan"), ("Black footed", "Laysan")),
        (("1.5 V", "3.7 V", "9 V"), ("1.5 V", "3.7 V", "9 V")),
        (("1.5V", "3.7V"), ("1.5V", "3.7V")),
        (("7.up", "cola"), ("7.up", "cola")),
        (("2.0_litre", "1.6_litre"), ("2.0 litre", "1.6 litre")),
        (("1.a", "1.b"), ("1.a", "1.b")),
        (("3.5_inch_disk",), ("3.5 inch disk",)),
    ],
)
def test_a_number_in_front_goes_where_it_counts_the_classes(folders, names):
    assert readable_all(folders) == names


@pytest.mark.parametrize(("one", "two"), [("+5V", "-5V"), ("C", "C++"), ("1.5 l", "15 l"), ("a", "ａ́")])
def test_folders_that_differ_in_signs_alone_are_two_classes(tmp_path, one, two):
    for name in (one, two):
        draw(tmp_path / name / "1.png")
    found = class_folders(tmp_path, None)
    assert sorted(found.labels.tolist()) == [0, 1]
    assert {found.classes[label]: id.split("/")[0] for label, id in zip(found.labels, found.ids, strict=True)} == {
        one: one,
        two: two,
    }


def test_a_folder_that_two_classes_fit_is_an_error():
    cases = ClassFolders(("Crane", "crane"), ("Crane", "crane"))
    assert [cases.label(name, "") for name in ("Crane", "crane")] == [0, 1]
    with pytest.raises(DataError, match="set: 'CRANE' fits the classes 'Crane' and 'crane'"):
        cases.label("CRANE", "set")


def test_empty_class_folders_stay_classes_and_are_named(tmp_path):
    for name in ("cat", "dog", "ship"):
        (tmp_path / name).mkdir()
    draw(tmp_path / "dog" / "1.png")
    (tmp_path / "ship" / "1.heic").write_bytes(b"")
    found = class_folders(tmp_path, None)
    assert (found.classes, found.labels.tolist()) == (("cat", "dog", "ship"), [1])
    assert found.notes == (
        "1 other file is left out, by their names no pictures: .heic 1",
        "2 class folders, 'cat', 'ship' without images: they count among the classes",
    )


@pytest.mark.parametrize(
    ("files", "empty", "others"),
    [
        (("a/1.png",), ("b",), ""),
        (("b/1.png", "c/1.png", "a/readme.txt"), ("a",), ".txt 1"),
        (("b/1.png", "a/.hidden.png"), ("a",), ""),
        (("c/1.png", "a/1.HEIC", "b/deep/x.mp4", "b/2.mp4"), ("a", "b"), ".mp4 2, .heic 1"),
    ],
)
def test_no_class_folder_vanishes(tmp_path, files, empty, others):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        draw(tmp_path / name) if name.endswith(".png") else (tmp_path / name).write_bytes(b"")
    for name in empty:
        (tmp_path / name).mkdir(exist_ok=True)
    found = class_folders(tmp_path, None)
    assert found.classes == tuple(sorted({name.split("/")[0] for name in files} | set(empty)))
    noted = " ".join(found.notes)
    assert all(f"'{name}'" in noted for name in empty)
    assert "without images" in noted
    assert others in noted


def test_pictures_of_all_kinds_that_pillow_reads_are_taken(tmp_path):
    image = Image.new("RGB", (8, 8), (9, 9, 9))
    for suffix, kind in (("jfif", "JPEG"), ("avif", "AVIF"), ("jp2", "JPEG2000"), ("tga", "TGA"), ("ico", "ICO")):
        (tmp_path / suffix).mkdir()
        image.save(tmp_path / suffix / f"1.{suffix}", kind)
    found = class_folders(tmp_path, None)
    assert found.classes == ("avif", "ico", "jfif", "jp2", "tga")
    assert len([image.size for image in found.images]) == 5


def test_a_folder_of_other_files_says_what_is_there(tmp_path):
    (tmp_path / "1.heic").write_bytes(b"")
    with pytest.raises(DataError, match=r"expected images, found none; there are other files \(.heic 1\)"):
        class_folders(tmp_path, None)
