import io
import os
import resource
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from ood_toolkit.api.picture import FilePicture, PartPicture, decode
from ood_toolkit.data.readers.below import look_below
from ood_toolkit.encode.loading import load_one
from ood_toolkit.models.preprocessing import MOST_PIXELS, Preprocessing

HALF = (0.5, 0.5, 0.5)


def encoded(image, form="png", **options):
    held = io.BytesIO()
    image.save(held, form, **options)
    return held.getvalue()


def slowly(image, white=65535):
    """The conversion by floating point, as it was first written."""
    return np.clip(np.rint(np.asarray(image).astype(np.float64) * (255 / white)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (300, 200), (1, 4000), (4000, 1)])
@pytest.mark.parametrize("form", ["png", "tiff", "ppm"])
def test_sixteen_bits_are_converted_to_the_same_bytes_as_by_floating_point(size, form):
    array = np.random.default_rng(0).integers(0, 65536, size[::-1], dtype=np.uint16)
    array.reshape(-1)[:1] = 65535
    content = encoded(Image.fromarray(array), form)
    np.testing.assert_array_equal(np.asarray(decode(content))[..., 1], slowly(array))


def test_all_sixteen_bit_values_in_more_than_one_band(monkeypatch):
    monkeypatch.setattr("ood_toolkit.api.large_images.BAND", 1000)
    array = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    np.testing.assert_array_equal(np.asarray(decode(encoded(Image.fromarray(array))))[..., 0], slowly(array))


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_a_large_picture_of_sixteen_bits_takes_little_more_than_its_pixels():
    side, rows = 6000, zlib.compressobj(1)
    packed = b"".join(rows.compress(b"\0" + b"\x30\x39" * side) for _ in range(side)) + rows.flush()
    head = struct.pack(">IIBBBBB", side, side, 16, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    program = (
        "import sys; from ood_toolkit.api.picture import decode;"
        "image = decode(sys.stdin.buffer.read()); assert image.getpixel((3, 3)) == (48, 48, 48);"
        "print(*[line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')])"
    )
    done = subprocess.run([sys.executable, "-c", program], input=content, stdout=subprocess.PIPE, check=True)
    assert int(done.stdout) * 1024 < 9 * side * side + (100 << 20)  # by floating point: 26 bytes a pixel


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(900, 3), (3, 900), (1200, 7), (7, 1200)])
def test_only_the_crop_of_a_thin_picture_is_resized(size, interpolation, monkeypatch):
    draw = np.random.default_rng(1)
    image = Image.fromarray(draw.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    ready = Preprocessing.square(32, "shortest", interpolation, HALF, HALF)
    whole = ready(image)
    monkeypatch.setattr("ood_toolkit.models.preprocessing.MOST_PIXELS", 1000)
    part = ready(image)
    assert part.shape == whole.shape
    assert (part - whole).abs().max() <= 2 / 255 + 1e-6  # one grey level
    assert (part - whole).abs().mean() < 0.3 / 255


@pytest.mark.parametrize("size", [(20_000, 1), (1, 20_000), (400_000, 2)])
def test_a_line_of_one_colour_is_as_a_square_of_it(size):
    ready = Preprocessing.square(224, "shortest", "bicubic", HALF, HALF)
    assert 224 * 224 * max(size) / min(size) > MOST_PIXELS
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = ready(Image.new("RGB", size, (200, 30, 30)))
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 200 << 20
    assert line.equal(ready(Image.new("RGB", (50, 50), (200, 30, 30))))


def test_pictures_that_are_no_thin_ones_are_resized_as_before():
    """As torchvision's transforms do it: resize the shorter side, crop the centre."""
    draw = np.random.default_rng(2)
    ready = Preprocessing.square(32, "shortest", "bicubic", HALF, HALF)
    for width, height in ((40, 40), (333, 50), (50, 333), (32, 32), (33, 47)):
        image = Image.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8))
        short = min(width, height)
        big = image.resize((int(32 * width / short), int(32 * height / short)), Image.Resampling.BICUBIC)
        left, top = round((big.width - 32) / 2), round((big.height - 32) / 2)
        wanted = (np.asarray(big.crop((left, top, left + 32, top + 32)), np.float32) / 255 - 0.5) / 0.5
        np.testing.assert_allclose(ready(image).permute(1, 2, 0).numpy(), wanted, atol=1e-6)


def test_real_pictures_give_the_tensors_of_the_plain_way(data):
    """To the bit, over a sample of every folder of real pictures; `benchmarks/pictures.py` does it for all of them.

    The plain way is Pillow's conversion to RGB, and open_clip's own transform.
    """
    side, mean, std = 224, (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    ours = Preprocessing.square(side, "shortest", "bicubic", mean, std)
    plain = image_transform_v2(PreprocessCfg(size=(side, side), mean=mean, std=std), is_train=False)
    folders = sorted(path for path in (data / "images").iterdir() if path.is_dir())
    assert len(folders) >= 5
    for folder in folders:
        files = sorted(path for path in folder.rglob("*") if path.suffix in (".jpg", ".jpeg", ".png"))[::97]
        assert files, folder
        for file in files:
            picture = FilePicture(str(file))
            decoded = picture.decode(picture.read(), side)
            with Image.open(file) as image:
                converted = image.convert("RGB")
            assert decoded.tobytes() == converted.tobytes(), file
            assert ours(decoded).numpy().tobytes() == plain(converted).numpy().tobytes(), file


class Failing:
    """A model whose preprocessing runs out of memory."""

    image_size = 8

    def preprocess(self, image):
        raise MemoryError


def test_a_picture_that_runs_out_of_memory_is_left_out_by_name(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(Image.new("RGB", (4, 4))))
    loaded = load_one(Failing(), FilePicture(str(tmp_path / "a.png")), 3, None, lambda key: True)
    assert (loaded.place, loaded.unreadable) == (3, "takes more memory than there is")


@pytest.mark.parametrize("step", ["read", "decode", "preprocess"])
@pytest.mark.parametrize("place", [0, 7])
def test_wherever_memory_runs_out_the_picture_is_left_out_and_no_error_ends_the_run(tmp_path, monkeypatch, step, place):
    class Fine(Failing):
        def preprocess(self, image):
            return image

    def out_of_memory(*given, **named):
        raise MemoryError

    (tmp_path / "a.png").write_bytes(encoded(Image.new("RGB", (4, 4))))
    if step != "preprocess":
        monkeypatch.setattr(FilePicture, step, out_of_memory)
    model = Failing() if step == "preprocess" else Fine()
    loaded = load_one(model, FilePicture(str(tmp_path / "a.png")), place, None, lambda key: True)
    assert (loaded.place, loaded.unreadable) == (place, "takes more memory than there is")


def test_pipes_and_devices_are_passed_over_and_never_waited_for(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(Image.new("RGB", (4, 4))))
    os.mkfifo(tmp_path / "pipe.png")
    os.symlink("/dev/zero", tmp_path / "zero.png")
    os.symlink("/dev/tty", tmp_path / "tty.jpg")
    os.symlink(tmp_path / "nothing", tmp_path / "lost.png")
    assert look_below(tmp_path).paths == ("a.png", "lost.png")
    for name in ("pipe.png", "zero.png"):
        with pytest.raises(OSError, match="it is a pipe or device, not a file"):
            FilePicture(str(tmp_path / name)).read()
        with pytest.raises(OSError, match="it is a pipe or device, not a file"):
            PartPicture(str(tmp_path / name), 0, 10).read()
    with pytest.raises(OSError, match="it is a folder"):
        FilePicture(str(tmp_path)).read()


@pytest.mark.parametrize("size", [-5, 10**13, 101])
def test_a_part_that_its_file_does_not_have_is_refused_without_room_for_it(tmp_path, size):
    (tmp_path / "a.tar").write_bytes(b"x" * 100)
    with pytest.raises(OSError, match="expected"):
        PartPicture(str(tmp_path / "a.tar"), 0, size).read()
