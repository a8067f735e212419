import io

import numpy as np
import pytest
from PIL import Image

from ood_toolkit.api.picture import FilePicture, pixels
from ood_toolkit.encode.thumbnails import SIDE, thumbnail

pytestmark = pytest.mark.quick


def read(content):
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def test_a_tiny_picture_stays_pixel_by_pixel():
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    found = read(thumbnail(pixels([Image.fromarray(grey)])[0]))
    assert (found.format, found.mode, np.asarray(found).tolist()) == ("PNG", "L", grey.tolist())


@pytest.mark.parametrize(("size", "shown"), [((400, 200), (96, 48)), ((50, 3000), (2, 96)), ((3000, 4), (96, 1))])
def test_a_large_one_is_made_small_in_its_own_shape(size, shown, tmp_path):
    Image.new("RGB", size, (200, 30, 30)).save(tmp_path / "a.png")
    found = read(thumbnail(FilePicture(str(tmp_path / "a.png"))))
    assert found.size == shown
    assert max(found.size) == SIDE
    assert np.abs(np.asarray(found.convert("RGB")).astype(int) - [200, 30, 30]).max() < 6


def test_what_a_file_says_of_itself_is_left_behind(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "where it was taken"
    exif[274] = 6  # lies on its side
    Image.new("RGB", (300, 200)).save(tmp_path / "a.jpg", exif=exif, comment=b"a secret")
    content = thumbnail(FilePicture(str(tmp_path / "a.jpg")))
    assert b"where it was taken" not in content
    assert b"secret" not in content
    assert read(content).size == (64, 96)


def test_one_that_cannot_be_read_has_none(tmp_path):
    (tmp_path / "a.png").write_bytes(b"torn")
    assert thumbnail(FilePicture(str(tmp_path / "a.png"))) is None
    assert thumbnail(FilePicture(str(tmp_path / "gone.png"))) is None
