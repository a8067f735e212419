"""Pictures to inputs: what a crop holds, that a seed decides it, and what takes the place of an unreadable one."""

import random

import numpy as np
import pytest
import torch
from PIL import Image

from ood_toolkit.api.picture import FilePicture, PixelPicture, pixels
from ood_toolkit.errors import DataError
from ood_toolkit.learning.pictures import PictureLoader, random_crop

pytestmark = pytest.mark.quick

SIZE = 8


class Model:
    """Takes a picture as it is: what comes out is what the loader made."""

    image_size = SIZE

    def preprocess(self, image):
        return torch.from_numpy(np.array(image.convert("L"), dtype=np.float32))[None]


def ramp(width=40, height=30):
    """Brighter to the right and, by less, downwards."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return Image.fromarray((5 * x + y).astype(np.uint8))


def loader(items, seed=0, **more):
    return PictureLoader(Model(), items, seed, **({"crop": True, "threads": 2} | more))


def extent(crop):
    """Give the width and height of the part of the ramp that a crop shows, from its slopes."""
    rows = np.asarray(crop, dtype=float)
    right = (rows[2:-2, -3] - rows[2:-2, 2]).mean() / (SIZE - 5) / 5 * SIZE
    down = (rows[-3, 2:-2] - rows[2, 2:-2]).mean() / (SIZE - 5) * SIZE
    return right, down


@pytest.mark.parametrize("scale", [(0.9, 1.0), (0.2, 0.3)])
def test_a_crop_keeps_its_share_of_the_area_and_its_proportions(scale):
    areas, ratios = [], []
    for seed in range(60):
        crop = random_crop(ramp(), SIZE, random.Random(seed), scale)
        assert crop.size == (SIZE, SIZE)
        width, height = extent(crop)
        areas.append(width * height / (40 * 30))
        ratios.append(width / height)
    assert scale[0] * 0.7 < np.min(areas) < np.max(areas) < scale[1] * 1.3
    assert np.std(areas) > 0.005
    if scale[1] < 0.5:  # a large crop is bounded by the picture's sides
        assert 0.6 < np.min(ratios) < 0.9 < 1.1 < np.max(ratios) < 1.6


def test_a_picture_of_one_pixel_can_be_cropped():
    crop = random_crop(Image.new("L", (1, 1), 7), SIZE, random.Random(0), (0.08, 0.1))
    assert np.asarray(crop).tolist() == [[7] * SIZE] * SIZE


def test_without_a_crop_pictures_are_taken_as_they_are():
    items = pixels([ramp(), ramp(20, 20)])
    found, rows = loader(items, crop=False).load([1], epoch=3)
    assert rows == [1]
    assert torch.equal(found[0], Model().preprocess(ramp(20, 20)))


def test_seed_epoch_and_row_decide_a_crop_and_nothing_else():
    items = pixels([ramp()] * 4)
    first, rows = loader(items).load([2, 0], 1)
    assert rows == [2, 0]
    alone, _ = loader(items, threads=1).load([0], 1)
    assert torch.equal(first[1], alone[0])
    assert not torch.equal(first[0], first[1])
    for other in (loader(items).load([2, 0], 2)[0], loader(items, seed=1).load([2, 0], 1)[0]):
        assert not torch.equal(first, other)


def test_every_other_crop_is_mirrored_where_asked():
    items = pixels([ramp()] * 100)
    plain, _ = loader(items).load(range(100), 1)
    flipped, _ = loader(items, flip=True).load(range(100), 1)
    mirrored = [not torch.equal(a, b) for a, b in zip(plain, flipped, strict=True)]
    assert 35 < sum(mirrored) < 65
    for a, b, changed in zip(plain, flipped, mirrored, strict=True):
        assert torch.equal(a.flip(-1) if changed else a, b)


def test_the_next_takes_the_place_of_an_unreadable_picture(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    items = [
        PixelPicture(Image.new("L", (SIZE, SIZE), 1)),
        FilePicture(str(tmp_path / "text.png")),
        FilePicture(str(tmp_path / "none.png")),
    ]
    made = loader(items, crop=False)
    found, rows = made.load([1, 0, 2], 1)
    assert rows == [0, 0, 0]  # after the last comes the first
    assert found.unique().tolist() == [1.0]
    assert set(made.unreadable) == {1, 2}
    assert "none.png" in made.unreadable[2]


def test_when_all_are_unreadable_it_says_so(tmp_path):
    made = loader([FilePicture(str(tmp_path / "none.png"))] * 3)
    with pytest.raises(DataError, match=r"pictures in a row cannot be read, such as row 1: .*none\.png"):
        made.load([1], 1)


def test_a_crop_of_a_square_keeps_what_clip_keeps():
    from ood_toolkit.learning.pictures import SCALE, drawn_box, middle_box

    rng, kept = random.Random(0), []
    for _ in range(1000):
        box = drawn_box(224, 224, rng, SCALE)
        if box is None:  # ten draws that do not fit
            assert middle_box(224, 224) == (0, 0, 224, 224)
            continue
        left, top, right, bottom = box
        assert 0 <= left < right <= 224
        assert 0 <= top < bottom <= 224
        kept.append(((right - left) * (bottom - top) / 224**2, (right - left) / (bottom - top)))
    areas, ratios = zip(*kept, strict=True)
    assert min(areas) > 0.895
    assert 0.9 < min(ratios) < 0.92 < 1.09 < max(ratios) < 1.12
    assert middle_box(100, 20) == (36, 0, 63, 20)  # proportions of 4 to 3, in the middle
