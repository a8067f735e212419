import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from ood_toolkit.errors import ModelError
from ood_toolkit.models.preprocessing import Preprocessing

pytestmark = pytest.mark.quick

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
SIZES = [(64, 64), (100, 67), (67, 100), (65, 64), (500, 375), (31, 17), (40, 333), (64, 71)]


def picture(size, seed=0):
    draw = np.random.default_rng(seed)
    return Image.fromarray(draw.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("mode", ["shortest", "squash"])
def test_it_is_that_of_open_clip_to_the_bit(size, interpolation, mode):
    mine = Preprocessing.square(64, mode, interpolation, MEAN, STD)
    theirs = image_transform_v2(
        PreprocessCfg(size=(64, 64), mean=MEAN, std=STD, interpolation=interpolation, resize_mode=mode), is_train=False
    )
    assert torch.equal(mine(picture(size)), theirs(picture(size)))


@pytest.mark.parametrize("size", SIZES)
def test_resize_to_more_than_the_crop_is_that_of_torchvision_to_the_bit(size):
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms._presets import ImageClassification

    mine = Preprocessing((56, 56), 64, "bilinear", MEAN, STD)
    theirs = ImageClassification(
        crop_size=56, resize_size=64, mean=MEAN, std=STD, interpolation=InterpolationMode.BILINEAR
    )
    assert torch.equal(mine(picture(size)), theirs(picture(size)))


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK", "I;16"])
def test_pictures_of_any_mode_become_three_channels(mode):
    image = Image.new("I;16", (40, 50), 9) if mode == "I;16" else picture((40, 50)).convert(mode)
    made = Preprocessing.square(32, "shortest", "bicubic", MEAN, STD)(image)
    assert (made.shape, made.dtype) == ((3, 32, 32), torch.float32)


def test_a_palette_is_interpolated_as_its_colours():
    image = picture((90, 70)).quantize(16)
    p = Preprocessing.square(32, "shortest", "bicubic", MEAN, STD)
    assert torch.equal(p(image), p(image.convert("RGB")))


def test_options_change_it_and_it_says_so():
    p = Preprocessing.square(64, "shortest", "bicubic", MEAN, STD).changed("73", "bilinear")
    assert (p.resize, p.crop, p.interpolation, p.image_size) == (73, (64, 64), "bilinear", 73)
    assert p.about() == {
        "resize": 73,
        "resize_mode": "shortest",
        "crop": [64, 64],
        "interpolation": "bilinear",
        "mode": "RGB",
        "mean": list(MEAN),
        "std": list(STD),
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resize": "x"}, "resize: expected a number of pixels such as 256, got 'x'"),
        ({"resize": "12"}, "resize: expected at least 64, what is cropped, got 12"),
        ({"interpolation": "nearest"}, "interpolation: expected bilinear or bicubic, got 'nearest'"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ModelError, match=message):
        Preprocessing.square(64, "shortest", "bicubic", MEAN, STD).changed(**options)


def test_squashing_leaves_no_choice_of_resize():
    with pytest.raises(ModelError, match="resizes both sides"):
        Preprocessing.square(64, "squash", "bicubic", MEAN, STD).changed("256")
    with pytest.raises(ModelError, match="cannot do resize_mode 'longest'"):
        Preprocessing.square(64, "longest", "bicubic", MEAN, STD)
