"""A flat ImageNet val folder, against labels written down here."""

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from ood_toolkit.data.catalogue.imagenet import imagenet_names, imagenet_wnids
from ood_toolkit.data.catalogue.imagenet_sets import IMAGENET1K, IMAGENET10
from ood_toolkit.errors import DataError

WARPLANE, SPORTS_CAR, TENCH = "n04552348", "n04285008", "n01440764"
IDS = [WARPLANE, TENCH, SPORTS_CAR, "n00001740"]
"""Number 4 has children, as the upper synsets of the kit have."""
TRUTH = [3, 1, 2, 1]


def images(folder, *numbers):
    folder.mkdir(parents=True)
    for number in numbers:
        Image.new("RGB", (4, 4)).save(folder / f"ILSVRC2012_val_{number:08d}.JPEG")


def kit(folder, truth=TRUTH):
    folder.mkdir(parents=True, exist_ok=True)
    rows = [(place, wnid, "words", "gloss", int(place == 4)) for place, wnid in enumerate(IDS, 1)]
    names = ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children")
    savemat(folder / "meta.mat", {"synsets": np.array(rows, dtype=[(name, object) for name in names])})
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text("\n".join(map(str, truth)) + "\n")


@pytest.mark.parametrize(
    ("place", "beside"),
    [
        ("val", "ILSVRC2012_devkit_t12/data"),
        ("imagenet/val", "imagenet/ILSVRC2012_devkit_t12/data"),
        ("imagenet-1k/val", "imagenet-1k/val"),
        ("val", "."),
    ],
)
def test_labels_are_those_of_the_development_kit(tmp_path, place, beside):
    images(tmp_path / place, 1, 2, 4)
    kit(tmp_path / beside)
    found = IMAGENET1K.open("test", tmp_path)
    assert [imagenet_wnids()[label] for label in found.labels] == [SPORTS_CAR, WARPLANE, WARPLANE]
    assert found.classes == imagenet_names()
    assert found.ids[0] == "ILSVRC2012_val_00000001.JPEG"


def test_a_part_of_imagenet_takes_the_images_of_its_classes(tmp_path):
    images(tmp_path / "val", 1, 2, 3, 4)
    kit(tmp_path / "ILSVRC2012_devkit_t12" / "data")
    found = IMAGENET10.open("test", tmp_path)
    assert found.ids == tuple(f"ILSVRC2012_val_{number:08d}.JPEG" for number in (1, 2, 4))
    assert [found.classes[label] for label in found.labels] == ["sports car", "warplane", "warplane"]


@pytest.mark.parametrize("half", ["meta.mat", "ILSVRC2012_validation_ground_truth.txt", None])
@pytest.mark.parametrize("place", ["val", "imagenet/val", "imagenet-1k/val"])
def test_half_a_kit_or_none_gives_no_labels_and_says_what_to_do(tmp_path, half, place):
    images(tmp_path / place, 2, 3, 9)
    if half is not None:
        kit(tmp_path / "kit")
        (tmp_path / "kit" / half).rename((tmp_path / place).parent / half)
    found = IMAGENET1K.open("test", tmp_path)
    assert (len(found), found.labels) == (3, None)
    assert "so no labels; unpack ILSVRC2012_devkit_t12.tar.gz beside the images" in found.notes[0]


def test_without_the_kit_there_are_no_labels_and_that_is_said(tmp_path):
    images(tmp_path / "val", 1, 7)
    (tmp_path / "val" / "more.png").write_bytes(b"")
    found = IMAGENET1K.open("test", tmp_path)
    assert (len(found), found.labels) == (2, None)
    assert "so no labels; unpack ILSVRC2012_devkit_t12.tar.gz beside the images" in found.notes[0]
    assert "1 images of other names are left out, such as more.png" in found.notes
    with pytest.raises(DataError, match="imagenet-10: no test images"):
        IMAGENET10.open("test", tmp_path)


@pytest.mark.parametrize(
    ("truth", "word"),
    [([3, 1], "expected the label of each image, got 2, but image 4"), ([3, 1, 9, 1], "line 3: expected a number"),
     ([3, 4, 1, 1], "line 2: expected a number"), ([3, "x", 1, 1], "line 2: expected a number")],
)  # fmt: skip
def test_a_kit_that_does_not_fit_is_an_error(tmp_path, truth, word):
    images(tmp_path / "val", 1, 4)
    kit(tmp_path, truth)
    with pytest.raises(DataError, match=word):
        IMAGENET1K.open("test", tmp_path)


def test_class_folders_come_first(tmp_path):
    images(tmp_path / "val" / TENCH, 1)
    kit(tmp_path)
    assert IMAGENET1K.open("test", tmp_path).labels.tolist() == [0]


@pytest.mark.parametrize("how", ["cut", "flipped", "text", "other variable"])
def test_a_damaged_list_of_synsets_is_one_line_and_never_ends_the_process(tmp_path, how):
    images(tmp_path / "val", 1)
    kit(tmp_path / "val")
    file = tmp_path / "val" / "meta.mat"
    held = bytearray(file.read_bytes())
    if how == "cut":
        file.write_bytes(held[: len(held) // 2])
    elif how == "flipped":
        held[200:260] = b"\xff" * 60
        file.write_bytes(held)
    elif how == "text":
        file.write_text("1 n01440764\n")
    else:
        savemat(file, {"others": np.arange(3)})
    with pytest.raises(DataError, match=r"meta\.mat: expected the synsets of the development kit") as caught:
        IMAGENET1K.open("test", tmp_path)
    assert "\n" not in str(caught.value)
