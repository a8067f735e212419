"""Names in lists that no file can have: too long, or with signs that systems refuse."""

from pathlib import Path

import pytest

from ood_toolkit.benchmark.reading import read_prompts
from ood_toolkit.data.by_path import free_dataset
from ood_toolkit.data.readers.captions import read_pairs
from ood_toolkit.data.readers.torchvision_sets import cub200, places365
from ood_toolkit.errors import DataError, ModelError
from ood_toolkit.models.weights import check_file

LONG = ("9" * 5000, "a/" * 3000 + "b.png", "é" * 200 + ".png")


def refused(match, read, *given):
    with pytest.raises((DataError, ModelError), match=match) as caught:
        read(*given)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1500 + 2 * len(str(given[0]))  # what is typed is said in full


@pytest.mark.parametrize("name", LONG)
def test_lists_and_tables(tmp_path, name):
    (tmp_path / "list.txt").write_text(f"{name} 0\n", encoding="utf-8")
    listed = free_dataset(f"imglist:{tmp_path / 'list.txt'}")
    refused("expected its images below", listed.open, "test", tmp_path)
    (tmp_path / "pairs.csv").write_text(f"filepath,title\n{name},x\n", encoding="utf-8")
    refused("line 2: no such picture", read_pairs, str(tmp_path / "pairs.csv"))


@pytest.mark.parametrize("name", LONG)
def test_lists_of_published_sets(tmp_path, name):
    base = tmp_path / "CUB_200_2011"
    base.mkdir()
    (base / "images.txt").write_text(f"1 {name}\n", encoding="utf-8")
    (base / "train_test_split.txt").write_text("1 0\n")
    (base / "classes.txt").write_text("1 001.Albatross\n")
    refused("is no class of this set", cub200, "test", tmp_path)
    (base / "images.txt").write_text(f"1 001.Albatross/{name}\n", encoding="utf-8")
    refused("none of its 1 listed images is there", cub200, "test", tmp_path)
    base = tmp_path / "places365"
    (base / "val_256").mkdir(parents=True)
    (base / "categories_places365.txt").write_text("/a/abbey 0\n")
    (base / "places365_val.txt").write_text(f"{name} 0\n", encoding="utf-8")
    refused("none of its 1 listed images is there", places365, "test", tmp_path)


@pytest.mark.parametrize("name", [*LONG, "a\0b"])
def test_what_is_typed(name):
    refused("expected a template with", read_prompts, [name])
    refused("no file|expected a file", check_file, Path(f"{name}.pt"))
    for form in ("folder", "imglist"):
        refused("no such", free_dataset, f"{form}:{name}")
    refused("no .tar files", free_dataset, f"webdataset:{name}")
