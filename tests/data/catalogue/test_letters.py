import numpy as np
import pytest

from ood_toolkit.data.catalogue.digits import DIGITS
from ood_toolkit.data.catalogue.letters import LETTERS, draw
from ood_toolkit.errors import DataError

EXCLUDED = set("OoQDIilSsZzBbGgq")


@pytest.fixture(scope="module")
def pictures():
    return LETTERS.open("test")


@pytest.fixture(scope="module")
def pixels(pictures):
    return np.stack([np.asarray(image) for image in pictures.images])


def test_it_holds_every_letter_but_those_that_look_like_digits():
    every = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    assert set(LETTERS.classes) == set(every) - EXCLUDED
    assert len(LETTERS.classes) == 52 - 16


def test_ids_labels_and_counts_agree(pictures):
    assert len(pictures) == LETTERS.counts["test"] == 720
    assert len(set(pictures.ids)) == 720
    drawn = [name.split("/")[1] for name in pictures.ids]
    assert [LETTERS.classes[label] for label in pictures.labels] == drawn
    assert not set(drawn) & EXCLUDED


def test_drawing_is_deterministic(pictures):
    again = LETTERS.open("test")
    assert all(a.tobytes() == b.tobytes() for a, b in zip(pictures.images, again.images, strict=True))
    assert draw("A", 0).tobytes() == pictures.images[pictures.ids.index("letters/A/00")].tobytes()


def test_every_rendering_differs(pixels):
    assert len(np.unique(pixels.reshape(720, -1), axis=0)) == 720


def test_letters_cannot_be_told_from_digits_by_format(pixels):
    digits = np.stack([np.asarray(image) for image in DIGITS.open("test").images])
    assert pixels.shape[1:] == digits.shape[1:]
    assert pixels.dtype == digits.dtype
    assert set(np.unique(pixels)) <= set(np.unique(digits))
    assert abs(pixels.mean() - digits.mean()) < 0.1 * 255
    assert abs(pixels.max(axis=(1, 2)).mean() - digits.max(axis=(1, 2)).mean()) < 0.02 * 255
    filled = [(array.max(axis=2) > 127).sum(axis=1).mean() for array in (pixels, digits)]  # rows with ink
    assert abs(filled[0] - filled[1]) < 1


def test_there_is_only_a_test_split():
    with pytest.raises(DataError, match="no split 'train': use test"):
        LETTERS.open("train")
