import pytest
from PIL import Image

from ood_toolkit.data.by_path import free_dataset, real_place
from ood_toolkit.errors import DataError

pytestmark = pytest.mark.quick


def draw(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path)


@pytest.mark.parametrize("text", ["cifar10", "knn:k=50", "photos", "other:x"])
def test_other_names_are_none_of_ours(text):
    assert free_dataset(text) is None


def test_a_place_is_needed():
    with pytest.raises(DataError, match="expected a place after folder:"):
        free_dataset("folder:")


def test_any_folder_of_images(tmp_path):
    draw(tmp_path / "1.png")
    draw(tmp_path / "deep" / "2.png")
    made = free_dataset(f"folder:{tmp_path}")
    assert (made.name, made.classes, dict(made.counts)) == (f"folder:{tmp_path}", (), {"test": 2})
    found = made.open("test", tmp_path)
    assert (found.ids, found.labels) == (("1.png", "deep/2.png"), None)


def test_class_folders_and_splits(tmp_path):
    for name in ("train/red_fox/1.png", "train/owl/1.png", "test/red_fox/1.png", "test/owl/1.png", "test/owl/2.png"):
        draw(tmp_path / name)
    made = free_dataset(f"folder:{tmp_path}")
    assert (made.classes, dict(made.counts)) == (("owl", "red fox"), {"train": 2, "test": 3})
    found = made.open("test", tmp_path)
    assert found.ids == ("test/owl/1.png", "test/owl/2.png", "test/red_fox/1.png")
    assert found.labels.tolist() == [0, 0, 1]
    with pytest.raises(DataError, match="has no split 'val': use train or test"):
        made.open("val", tmp_path)


def test_splits_with_other_classes_are_refused(tmp_path):
    draw(tmp_path / "train" / "owl" / "1.png")
    draw(tmp_path / "test" / "fox" / "1.png")
    with pytest.raises(DataError, match="the same class folders in train as in test"):
        free_dataset(f"folder:{tmp_path}")


def test_an_empty_or_missing_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match="expected images, found none"):
        free_dataset(f"folder:{tmp_path}")
    with pytest.raises(DataError, match="no such folder"):
        free_dataset(f"folder:{tmp_path / 'none'}")


def named(folder, *names):
    for name in names:
        draw(folder / name)
    return free_dataset(f"folder:{folder}")


@pytest.mark.parametrize(
    "names",
    [
        ("bus/1.png", "car/1.png", "train/1.png"),
        ("test/1.png", "quiz/1.png"),
        ("train/1.png", "val/1.png", "test/1.png", "exam/1.png"),
        ("dev/1.png", "ops/1.png"),
    ],
)
def test_classes_may_be_called_like_splits(tmp_path, names):
    made = named(tmp_path, *names)
    assert made.classes == tuple(sorted(name.split("/")[0] for name in names))
    assert dict(made.counts) == {"test": len(names)}
    assert made.open("test", tmp_path).ids == tuple(sorted(names))


def test_an_empty_folder_called_like_a_split_is_a_class_beside_others(tmp_path):
    (tmp_path / "train").mkdir()
    made = named(tmp_path, "bus/1.png", "car/1.png")
    assert made.classes == ("bus", "car", "train")
    (note,) = made.open("test", tmp_path).notes
    assert "'train' without images" in note


@pytest.mark.parametrize("folder", ["val", "valid", "validation", "dev"])
def test_the_validation_split_has_four_names(tmp_path, folder):
    made = named(tmp_path, f"{folder}/owl/1.png", "test/owl/2.png", "train/owl/3.png")
    assert dict(made.counts) == {"train": 1, "val": 1, "test": 1}
    assert made.open("val", tmp_path).ids == (f"{folder}/owl/1.png",)


def test_two_folders_of_one_split_are_refused(tmp_path):
    with pytest.raises(DataError, match="one folder of the split val, got valid and dev"):
        named(tmp_path, "valid/owl/1.png", "dev/owl/2.png", "test/owl/3.png")


def test_what_lies_in_no_split_is_counted(tmp_path):
    (tmp_path / "val").mkdir()
    (tmp_path / "notes.txt").parent.mkdir(exist_ok=True)
    (tmp_path / "notes.txt").write_text("x")
    made = named(tmp_path, "train/owl/1.png", "test/owl/2.png", "extra/3.png", "4.png")
    assert dict(made.counts) == {"train": 1, "test": 1}
    assert made.open("test", tmp_path).notes == (
        "the folder val holds no images",
        "2 images are left out, in no split (train, test): such as 4.png",
        "1 other file is left out, by their names no pictures: .txt 1",
    )
    assert made.open("train", tmp_path).notes == ()


@pytest.mark.parametrize(
    ("names", "word"),
    [
        (("cat/1.png", "dog/1.png", "sheet.png"), "got sheet.png beside them; move it"),
        (("cat/1.png", "dog/1.png", "cat/more/x.png"), "got cat/more/x.png deeper; move it"),
        (("cat/1.png", "a.png", "b.png", "cat/more/x.png"), "got a.png beside them and cat/more/x.png deeper; move"),
        (("Train/a/1.png", "Test/a/2.png"), "got the folders Test, Train; .*: rename Test"),
        (("training/a/1.png", "testing/a/2.png"), "rename testing"),
        (("1.png", "2.png"), "they lie in no class folders"),
        (("cat/1.png", "dog/a/b/2.png", "dog/3.png"), "got dog/a/b/2.png deeper; move it"),
        (("cat/1.png", "cat/a/x.png", "dog/2.png", "z.JPG"), "got z.JPG beside them and cat/a/x.png deeper; move"),
    ],
)
def test_what_keeps_folders_from_being_classes_is_named(tmp_path, names, word):
    found = named(tmp_path, *names).open("test", tmp_path)
    assert (len(found), found.labels) == (len(names), None)
    import re

    assert re.search(word, found.unlabelled)


def test_a_split_under_another_name_is_named(tmp_path):
    made = named(tmp_path, "train/owl/1.png", "Test/owl/2.png")
    with pytest.raises(DataError, match="has no split 'test': use train; rename Test if it is one"):
        made.open("test", tmp_path)


def test_the_first_class_that_a_split_lacks_is_named(tmp_path):
    with pytest.raises(DataError, match="the same class folders in train as in test: 'fox' is in one alone"):
        named(tmp_path, "train/owl/1.png", "test/owl/2.png", "test/fox/3.png")
    with pytest.raises(DataError, match=r"in train as in test: they lie in no class folders"):
        named(tmp_path / "flat", "train/owl/1.png", "test/2.png")


@pytest.mark.parametrize(
    ("one", "two"),
    [("folder:a", "folder:./a"), ("folder:a", "folder:a/"), ("imglist:l.txt@a", "imglist:./l.txt@b/../a"),
     ("webdataset:x", "webdataset:y/../x")],
)  # fmt: skip
def test_one_place_has_one_name_inside(one, two):
    assert real_place(one) == real_place(two)


@pytest.mark.parametrize(("one", "two"), [("folder:a", "npz:a"), ("folder:a", "folder:b"), ("hf:a", "hf:./b")])
def test_other_places_have_others(one, two):
    assert real_place(one) != real_place(two)
    assert real_place("cifar10") is None
