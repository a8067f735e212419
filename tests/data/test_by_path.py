import pytest
from PIL import Image

from ood_toolkit.data.by_path import free_dataset
from ood_toolkit.errors import DataError


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
