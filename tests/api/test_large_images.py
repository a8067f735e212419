"""Images that are converted and turned by way of a file, against doing so at once."""

import errno
import io
import tempfile

import numpy as np
import pytest
from PIL import Image

from ood_toolkit.api import large_images
from ood_toolkit.api.picture import as_decoded, decode
from ood_toolkit.errors import DataError

Y, X = np.mgrid[:40, :56]
COLOURS = np.stack([X * 4, Y * 6, (X + Y) * 2], axis=-1).astype(np.uint8)
MODES = {"CMYK": "JPEG", "RGBA": "PNG", "LA": "PNG", "YCbCr": "TIFF", "RGB": "JPEG", "L": "PNG", "P": "PNG",
         "1": "PNG", "I;16": "PNG", "I": "PPM"}  # fmt: skip


@pytest.fixture
def all_large(monkeypatch):
    monkeypatch.setattr(large_images, "LARGE", 10)
    monkeypatch.setattr(large_images, "BAND", 7 * COLOURS.shape[1])  # the last band has fewer rows


def content(mode, orientation):
    image = Image.fromarray(COLOURS)
    image = Image.fromarray(COLOURS[..., 0] * np.uint16(257)) if mode in ("I;16", "I") else image.convert(mode)
    exif = Image.Exif()
    exif[274] = orientation
    file = io.BytesIO()
    image.save(file, MODES[mode], exif=exif)
    return file.getvalue()


@pytest.mark.quick
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", MODES)
def test_its_bytes_are_those_of_doing_it_at_once(mode, orientation, request):
    given = content(mode, orientation)
    wanted = decode(given)
    request.getfixturevalue("all_large")
    made = decode(given)
    assert (made.mode, made.size) == (wanted.mode, wanted.size)
    assert made.tobytes() == wanted.tobytes()
    assert np.ptp(np.asarray(made)) > 100


@pytest.mark.parametrize("mode", ["CMYK", "RGBA", "LA", "L", "P", "1", "I;16"])
def test_two_of_its_size_are_never_in_memory(mode, all_large, monkeypatch):
    closed = []
    monkeypatch.setattr(Image.Image, "close", lambda image: closed.append(image.size))
    decode(content(mode, 6))
    assert closed == [(COLOURS.shape[1], COLOURS.shape[0])]


def test_an_image_that_somebody_else_has_is_not_closed(all_large):
    image = Image.fromarray(COLOURS).convert("CMYK")
    assert as_decoded(image).tobytes() == image.convert("RGB").tobytes()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named(number, all_large, monkeypatch, tmp_path):
    class Full:
        def __enter__(self):
            raise OSError(number, "full")

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    with pytest.raises(DataError, match=rf"56 x 40 pixels .*disk of {tmp_path} is full; free some"):
        decode(content("CMYK", 1))
