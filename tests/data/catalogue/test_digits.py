import hashlib
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from ood_toolkit.data.catalogue.digits import DIGITS
from ood_toolkit.errors import DataError

pytestmark = pytest.mark.quick

SPLITS = ("train", "val", "test")
TEST_SPLIT = "13dbfbe9d16a4c6096c744f83e4395497b43495f084422b3817e96312288b45e"
"""SHA-256 of its ids and pixels: another split would move every published number."""


@pytest.fixture(scope="module")
def pictures():
    return {split: DIGITS.open(split) for split in SPLITS}


def test_the_splits_are_disjoint_and_hold_every_image(pictures):
    ids = [name for split in SPLITS for name in pictures[split].ids]
    assert sorted(ids) == [f"digits/{row:04d}" for row in range(1797)]
    assert {split: len(pictures[split]) for split in SPLITS} == dict(DIGITS.counts)


def test_the_splits_are_stratified(pictures):
    whole = np.bincount(load_digits().target) / 1797
    for split in SPLITS:
        counts = np.bincount(pictures[split].labels, minlength=10)
        assert np.abs(counts - whole * DIGITS.counts[split]).max() <= 1


@pytest.mark.parametrize("split", SPLITS)
def test_images_and_labels_are_those_of_the_ids(pictures, split):
    source = load_digits()
    rows = [int(name.removeprefix("digits/")) for name in pictures[split].ids]
    assert np.array_equal(pictures[split].labels, source.target[rows])
    for image, row in zip(pictures[split].images, rows, strict=True):
        assert (image.mode, image.size) == ("L", (8, 8))
        assert np.array_equal(np.rint(np.asarray(image) * (16 / 255)), source.images[row])


def test_the_test_split_is_the_one_that_results_were_published_on(pictures):
    names = "\n".join(pictures["test"].ids).encode()
    pixels = b"".join(image.tobytes() for image in pictures["test"].images)
    assert hashlib.sha256(names + pixels).hexdigest() == TEST_SPLIT


def test_class_names_are_those_of_the_labels(pictures):
    assert DIGITS.classes == ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    assert pictures["test"].labels.dtype == np.int64
    assert DIGITS.templates[0] == "a photo of a {}"


def test_an_unknown_split_is_named():
    with pytest.raises(DataError, match="no split 'tset': use one of train, val, test"):
        DIGITS.open("tset")


def test_listing_the_embedded_sets_loads_nothing_heavy():
    code = (
        "import sys; from ood_toolkit.data.catalogue import digits, letters, patches; "
        "print(*{'numpy', 'PIL', 'sklearn', 'torch'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "\n"
