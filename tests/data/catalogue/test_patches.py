import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from ood_toolkit.data.catalogue.patches import PATCHES
from ood_toolkit.errors import DataError


@pytest.fixture(scope="module")
def pictures():
    return PATCHES.open("test")


def test_ids_and_counts_agree(pictures):
    assert len(pictures) == PATCHES.counts["test"] == 800
    assert len(set(pictures.ids)) == 800
    assert pictures.labels is None
    assert PATCHES.classes == ()
    for photograph in ("china", "flower"):
        assert sum(name.split("/")[1] == photograph for name in pictures.ids) == 400


@pytest.mark.parametrize("photograph", ["china", "flower"])
def test_each_patch_is_the_cell_that_its_id_names(pictures, photograph):
    grey = np.asarray(Image.fromarray(load_sample_image(f"{photograph}.jpg")).convert("L"))
    for name, image in zip(pictures.ids, pictures.images, strict=True):
        _, source, cell = name.split("/")
        if source == photograph:
            y, x = (8 * int(number) for number in cell.split("-"))
            assert image.mode == "L"
            assert np.array_equal(np.asarray(image), grey[y : y + 8, x : x + 8])


def test_cutting_is_deterministic(pictures):
    again = PATCHES.open("test")
    assert again.ids == pictures.ids
    assert all(a.tobytes() == b.tobytes() for a, b in zip(pictures.images, again.images, strict=True))


def test_the_whole_photograph_is_sampled(pictures):
    rows = {int(name.split("/")[2].split("-")[0]) for name in pictures.ids}
    assert min(rows) < 3
    assert max(rows) > 49


def test_there_is_only_a_test_split():
    with pytest.raises(DataError, match="no split 'val': use test"):
        PATCHES.open("val")
