import os

import numpy as np
import pytest
from PIL import Image

from ood_toolkit.data.readers.folders import ClassFolders, class_folders, images_below, present, readable
from ood_toolkit.errors import DataError

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
