import io
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image, ImageCms, ImageFile, ImageOps

from ood_toolkit.api.picture import DRAFT, FilePicture, PartPicture, decode, pixels
from ood_toolkit.errors import DataError
from ood_toolkit.models.digits_clip import load_digits_clip
from ood_toolkit.models.preprocessing import Preprocessing

Y, X = np.mgrid[:40, :56]
COLOURS = np.stack([X * 4, Y * 6, (X + Y) * 2], axis=-1).astype(np.uint8)
GREY = COLOURS[..., 2]
GREY16 = (X * 1100 + Y * 97).astype(np.uint16)
OFF_BY = 3
"""What a JPEG of the best quality may change in a flat area."""
BROKEN_EXIF = {
    "junk": b"Exif\0\0 no exif at all",
    "cut off": b"Exif\0\0II*\0\x08\0\0\0\x09\0\x12\x01\x03\0",
    "value outside": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x0e\x01\x02\0\xff\0\0\0\xff\xff\0\0\0\0\0\0",
    "orientation as text": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0six\0\0\0\0\0",
    "orientation 9": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x09\0\0\0\0\0\0\0",
}


def file_of(image, kind, **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def array_of(content, least=None):
    image = decode(content, least)
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def as_pillow_converts(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def thrice(grey):
    return np.repeat(np.asarray(grey)[..., None], 3, axis=-1)


def blocks(*colours):
    """Flat areas of 16 x 16 pixels beside each other, which JPEG keeps."""
    return np.repeat(np.repeat(np.array([colours], dtype=np.uint8), 16, axis=0), 16, axis=1)


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width, height, bits, colour_type, rows):
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    lines = b"".join(b"\0" + row for row in rows)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(width, bits, content, photometric=1, sample_format=1):
    """One row of grey pixels, not compressed."""
    values = {256: width, 257: 1, 258: bits, 259: 1, 262: photometric, 273: 134, 277: 1, 278: 1, 279: len(content)}
    tags = [struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in {**values, 339: sample_format}.items()]
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + b"".join(tags) + bytes(4) + content


def orientation(number):
    exif = Image.Exif()
    exif[274] = number
    return exif


def stored(upright, number):
    """What a camera stores: EXIF 2.3, 4.6.4 A: which side of the scene row 0 and column 0 of the file are."""
    turned = upright if number < 5 else upright.swapaxes(0, 1)
    rows, columns = (1, -1)[number in (3, 4, 6, 7)], (1, -1)[number in (2, 3, 7, 8)]
    return np.ascontiguousarray(turned[::rows, ::columns])


# What is in the file


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "TGA"])
def test_colours_come_out_as_they_were_stored(kind):
    assert np.array_equal(array_of(file_of(COLOURS, kind)), COLOURS)


def test_lossless_webp_comes_out_as_it_was_stored():
    assert np.array_equal(array_of(file_of(COLOURS, "WEBP", lossless=True)), COLOURS)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF"])
def test_grey_is_repeated(kind):
    assert np.array_equal(array_of(file_of(GREY, kind)), thrice(GREY))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_black_and_white_are_0_and_255(kind):
    mask = (X + Y) % 3 == 0
    assert np.array_equal(array_of(file_of(Image.fromarray(mask), kind)), thrice(mask * 255))


def test_palettes_are_looked_up():
    palette = np.random.default_rng(0).integers(0, 256, (256, 3), dtype=np.uint8)
    image = Image.fromarray(GREY, "L")
    image.putpalette(palette.tobytes())
    assert np.array_equal(array_of(file_of(image, "PNG")), palette[GREY])
    assert np.array_equal(array_of(file_of(image, "TIFF")), palette[GREY])
    image.putalpha(7)
    assert image.mode == "PA"
    assert np.array_equal(array_of(file_of(image, "TIFF")), palette[GREY])


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_transparency_is_dropped_and_what_it_hid_shows(kind):
    image = Image.fromarray(np.dstack([COLOURS, X * 4]).astype(np.uint8))
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    assert np.array_equal(array_of(file_of(image, kind, **options)), COLOURS)


def test_transparency_of_grey_and_of_palettes_is_dropped():
    faint = Image.fromarray(np.dstack([GREY, GREY[::-1]]), "LA")
    assert np.array_equal(array_of(file_of(faint, "PNG")), thrice(GREY))
    listed = Image.fromarray(GREY, "L").convert("P")
    for transparency in (3, bytes(range(256))):
        assert np.array_equal(array_of(file_of(listed, "PNG", transparency=transparency)), thrice(GREY))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 2}, {"subsampling": 0}])
def test_the_colours_of_a_jpeg_are_those_of_the_picture(options):
    picture = blocks((255, 0, 0), (0, 128, 255), (20, 200, 90), (128, 128, 128))
    difference = np.abs(array_of(file_of(picture, "JPEG", quality=100, **options)) - picture)
    assert difference[:, X[0, :16] + 16 * np.arange(4)[:, None]][:, :, 4:12].max() <= OFF_BY  # away from the edges


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_ink_becomes_light(kind):
    """JPEG: as Adobe stores it, inverted."""
    ink = blocks((0, 0, 0, 0), (255, 0, 0, 0), (0, 200, 100, 50), (10, 20, 30, 255), (90, 90, 0, 128))
    expected = (255 - ink[..., :3].astype(float)) * (255 - ink[..., 3:]) / 255
    content = file_of(Image.fromarray(ink, "CMYK"), kind, **({"quality": 100} if kind == "JPEG" else {}))
    assert np.abs(array_of(content) - expected).max() <= OFF_BY


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_counts(kind):
    frames = [Image.fromarray(np.full((20, 30, 3), value, np.uint8)) for value in (40, 120, 220)]
    options = {"lossless": True} if kind == "WEBP" else {}
    content = file_of(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert Image.open(io.BytesIO(content)).n_frames == 3
    assert np.array_equal(array_of(content), np.full((20, 30, 3), 40))


@pytest.mark.parametrize("size", [(1, 1), (5000, 1), (1, 3000), (4099, 3)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_any_proportions_are_read(size, kind):
    content = file_of(Image.new("RGB", size, (200, 100, 50)), kind, **({"quality": 100} if kind == "JPEG" else {}))
    assert decode(content, 224).size == size
    assert np.abs(array_of(content, 224) - (200, 100, 50)).max() <= OFF_BY


# What open_clip and torchvision make of it, and where we differ on purpose


def plain_files():
    image = Image.fromarray(COLOURS)
    few = image.quantize(17)
    return {
        "RGB PNG": file_of(image, "PNG"),
        "RGBA PNG": file_of(Image.fromarray(np.dstack([COLOURS, GREY])), "PNG"),
        "LA PNG": file_of(Image.fromarray(np.dstack([GREY, GREY]), "LA"), "PNG"),
        "P PNG": file_of(few, "PNG"),
        "P PNG, transparent": file_of(few, "PNG", transparency=2),
        "1 PNG": file_of(image.convert("1"), "PNG"),
        "GIF": file_of(few, "GIF"),
        "JPEG": file_of(image, "JPEG"),
        "progressive JPEG": file_of(image, "JPEG", progressive=True),
        "L JPEG": file_of(GREY, "JPEG"),
        "CMYK JPEG": file_of(image.convert("CMYK"), "JPEG"),
        "CMYK TIFF": file_of(image.convert("CMYK"), "TIFF"),
        "YCbCr TIFF": file_of(image.convert("YCbCr"), "TIFF"),
        "WEBP": file_of(image, "WEBP"),
        "BMP": file_of(image, "BMP"),
        "16-bit RGB PNG": png(4, 1, 16, 2, [struct.pack(">12H", *range(0, 60000, 5000))]),
    }


@pytest.mark.parametrize("name", plain_files())
def test_plain_pictures_are_those_that_open_clip_and_torchvision_see(name):
    content = plain_files()[name]
    assert np.array_equal(array_of(content), as_pillow_converts(content))


def test_real_pictures_are_those_that_open_clip_and_torchvision_see(data):
    for file in sorted((data / "images" / "imagenet_1pc_256px").glob("*.jpg"))[::50]:
        assert np.array_equal(array_of(file.read_bytes()), as_pillow_converts(file.read_bytes()))


def test_colour_profiles_are_ignored():
    """This one says that red is blue."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")
    image = Image.fromarray(COLOURS)
    applied = ImageCms.profileToProfile(image, io.BytesIO(profile), ImageCms.createProfile("sRGB"))
    assert np.abs(np.asarray(applied).astype(int) - COLOURS).max() > 50
    assert np.array_equal(array_of(file_of(image, "PNG", icc_profile=profile)), COLOURS)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_16_bit_grey_is_scaled_where_pillow_cuts_it_off(kind):
    content = file_of(Image.fromarray(GREY16), kind)
    scaled = thrice(np.rint(GREY16 / 65535 * 255))
    assert np.array_equal(array_of(content), scaled)
    assert np.abs(as_pillow_converts(content) - scaled).mean() > 50


def test_16_bit_grey_of_either_byte_order_is_scaled():
    content = file_of(Image.fromarray(GREY16.astype(">u2")), "TIFF")
    assert Image.open(io.BytesIO(content)).mode == "I;16B"
    assert np.array_equal(array_of(content), thrice(np.rint(GREY16 / 65535 * 255)))


def test_grey_of_a_range_of_its_own_is_scaled_to_the_whole():
    assert np.array_equal(array_of(b"P5 3 1 1000\n" + struct.pack(">3H", 0, 500, 1000)), thrice([[0, 128, 255]]))
    packed = bytes([0x00, 0x03, 0xE8, 0x80, 0x0F, 0xFF])  # 0, 1000, 2048, 4095 in 12 bits each
    assert np.array_equal(array_of(tiff(4, 12, packed)), thrice([[0, 62, 128, 255]]))


def test_where_zero_is_white_16_bits_are_inverted_as_8_are():
    assert np.array_equal(
        array_of(tiff(3, 16, struct.pack("<3H", 0, 257, 65535), photometric=0)), thrice([[255, 254, 0]])
    )
    assert np.array_equal(array_of(tiff(3, 8, bytes([0, 1, 255]), photometric=0)), thrice([[255, 254, 0]]))


def test_16_bit_colours_keep_their_upper_8_bits():
    values = np.array([[0, 255, 256, 32768, 65535, 511]], dtype=">u2")
    assert np.array_equal(array_of(png(2, 1, 16, 2, [values.tobytes()])).reshape(-1), values[0] >> 8)
    half_transparent = np.array([[0x1234, 0x8000]], dtype=">u2")
    assert np.array_equal(array_of(png(1, 1, 16, 4, [half_transparent.tobytes()])), thrice([[0x12]]))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (tiff(2, 16, struct.pack("<2h", -5, 300), sample_format=2), "signed or 32-bit"),
        (tiff(2, 32, struct.pack("<2I", 5, 300)), "signed or 32-bit"),
        (tiff(2, 32, struct.pack("<2i", 5, 300), sample_format=2), "signed or 32-bit"),
        (tiff(2, 32, struct.pack("<2f", 0.5, 1), sample_format=3), "floating-point"),
    ],
)
def test_pixels_of_no_known_range_are_refused(content, kind):
    with pytest.raises(DataError, match=f"not a readable picture: {kind} pixels have no known range"):
        decode(content)


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_pictures_are_turned_upright(kind, number):
    options = {"lossless": True} if kind == "WEBP" else {}
    content = file_of(stored(COLOURS, number), kind, exif=orientation(number), **options)
    assert np.array_equal(array_of(content), COLOURS)


@pytest.mark.parametrize("number", range(1, 9))
def test_jpegs_are_turned_upright_at_full_size_and_at_a_fraction(number):
    """A scene 16 times as large, of which every 16 x 16 pixels are one colour."""
    scene = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)
    large = np.repeat(np.repeat(scene, 16, axis=0), 16, axis=1)
    content = file_of(stored(large, number), "JPEG", quality=100, subsampling=0, exif=orientation(number))
    assert np.abs(array_of(content) - large).max() <= OFF_BY
    assert np.abs(array_of(content, 48 // 8 // DRAFT) - large[::8, ::8]).max() <= OFF_BY


def test_nobody_turns_a_picture_twice():
    content = file_of(stored(COLOURS, 6), "PNG", exif=orientation(6))
    assert np.array_equal(np.asarray(ImageOps.exif_transpose(decode(content))), COLOURS)


# What is damaged, or too much


def some_files():
    image = Image.fromarray(COLOURS ^ np.random.default_rng(0).integers(0, 16, COLOURS.shape, dtype=np.uint8))
    return {
        "JPEG": file_of(image, "JPEG", exif=orientation(6)),
        "progressive JPEG": file_of(image, "JPEG", progressive=True),
        "PNG": file_of(image, "PNG", exif=orientation(6)),
        "GIF": file_of(image, "GIF"),
        "WEBP": file_of(image, "WEBP", exif=orientation(6)),
        "TIFF": file_of(image, "TIFF", compression="tiff_lzw"),
        "BMP": file_of(image, "BMP"),
        "JPEG2000": file_of(image, "JPEG2000"),
    }


@pytest.mark.parametrize("name", some_files())
def test_a_file_that_is_cut_off_is_refused_unless_all_pixels_are_there(name):
    content = some_files()[name]
    whole = {least: array_of(content, least) for least in (None, 1)}
    for end in [*range(0, len(content), 97), *range(len(content) - 20, len(content))]:
        for least in (None, 1):
            try:
                assert np.array_equal(array_of(content[:end], least), whole[least])
            except DataError:
                assert end < len(content)
    with pytest.raises(DataError, match="not a readable picture: "):
        decode(content[: len(content) * 9 // 10])


@pytest.mark.parametrize("name", some_files())
def test_a_damaged_file_is_read_or_refused(name):
    draw = np.random.default_rng(0)
    whole = some_files()[name]
    for _ in range(150):
        content = bytearray(whole)
        for place in draw.integers(0, draw.choice([60, len(content)]), 3):
            content[place] = draw.integers(256)
        try:
            outcome = decode(bytes(content)).mode
        except DataError as error:
            outcome = str(error)
        assert outcome == "RGB" or outcome.startswith("not a readable picture: ")
        assert "\n" not in outcome
        assert " at 0x" not in outcome


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"a,b\n1,2\n", "damaged, or of no format that Pillow knows"),
        (b"<!DOCTYPE html><html><body>404 Not Found</body></html>" * 9, "damaged, or of no format that Pillow knows"),
        (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n",
            "EPS is a program, which is not run",
        ),
    ],
)
def test_what_is_no_picture_is_refused_with_the_reason(content, reason, tmp_path):
    file = tmp_path / "picture.jpg"
    file.write_bytes(content)
    picture = FilePicture(str(file))
    with pytest.raises(DataError) as caught:
        picture.decode(picture.read())
    assert str(caught.value) == f"not a readable picture: {reason}"


def test_the_name_of_a_file_does_not_matter(tmp_path):
    file = tmp_path / "picture.jpg"
    file.write_bytes(file_of(COLOURS, "PNG"))
    picture = FilePicture(str(file))
    assert np.array_equal(np.asarray(picture.decode(picture.read())), COLOURS)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP"])
def test_a_small_file_of_enormous_size_is_refused(kind):
    content = {
        "PNG": png(60000, 60000, 8, 2, [b""]),
        "GIF": b"GIF89a" + struct.pack("<HH", 65535, 65535) + file_of(GREY, "GIF")[10:],
        "BMP": file_of(COLOURS, "BMP")[:18] + struct.pack("<ii", 60000, 60000) + file_of(COLOURS, "BMP")[26:],
    }[kind]
    with pytest.raises(DataError, match="exceeds limit of 178956970 pixels; make it smaller"):
        decode(content)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP"])
def test_a_file_that_was_cut_short_says_so(kind):
    content = file_of(COLOURS, kind)
    with pytest.raises(DataError, match="not a readable picture: it ends too early; get it again"):
        decode(content[: int(0.7 * len(content))])


def test_large_pictures_are_read_without_a_word_up_to_the_limit_of_pillow(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    large, too_large = (file_of(np.full((side, side), 9, np.uint8), "PNG") for side in (14, 15))
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(io.BytesIO(large))
    assert np.array_equal(array_of(large), np.full((14, 14, 3), 9))
    with pytest.raises(DataError, match="225 pixels"):
        decode(too_large)


# Warnings and threads


@pytest.mark.parametrize("exif", BROKEN_EXIF.values(), ids=BROKEN_EXIF)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_broken_exif_leaves_the_picture_as_it_is_stored(kind, exif, capfd):
    content = file_of(COLOURS, kind, exif=exif)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = as_pillow_converts(content)
    assert np.array_equal(array_of(content), expected)
    assert capfd.readouterr() == ("", "")


def noisy_files():
    listed = Image.fromarray(GREY, "L").convert("P")
    return [
        file_of(listed, "PNG", transparency=bytes(range(256))),
        file_of(COLOURS, "JPEG", exif=BROKEN_EXIF["cut off"]),
        file_of(COLOURS, "JPEG", exif=BROKEN_EXIF["value outside"]),
    ]


def test_pillow_warns_of_these_files():
    """Or the next test would test nothing."""
    for content in noisy_files():
        with pytest.warns(UserWarning, match=r"EXIF|Transparency|Truncated|Skipping"):
            Image.open(io.BytesIO(content)).convert("RGB").getexif()


def test_many_threads_decode_without_warnings_and_leave_the_filters_alone(recwarn):
    files = [*plain_files().values(), *some_files().values(), *noisy_files(), b"no picture"] * 4

    def outcome(content):
        try:
            return decode(content).tobytes()
        except DataError as error:
            return str(error)

    expected = [outcome(content) for content in files]
    warnings.simplefilter("error")
    filters = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(outcome, files)) == expected
    assert warnings.filters == filters
    assert not recwarn.list


def test_warnings_of_others_are_still_given_while_a_picture_is_decoded(monkeypatch):
    def warn(content):
        warnings.warn("mine", UserWarning, stacklevel=1)
        return Image.new("RGB", (1, 1))

    monkeypatch.setattr(Image, "open", warn)
    with pytest.warns(UserWarning, match="mine"):
        decode(b"x")


def test_nothing_that_is_imported_makes_pillow_read_cut_off_files():
    decode(file_of(COLOURS, "JPEG"))
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    code = "import open_clip, timm, ood_toolkit.cli, PIL.ImageFile as f; print(f.LOAD_TRUNCATED_IMAGES)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


# JPEGs at a fraction of their size


def drawn(side):
    """Noise of two grains, a chessboard, stripes and a slope: hard to make smaller, but for the last."""
    y, x = np.mgrid[:side, :side]
    draw = np.random.default_rng(0)
    coarse = draw.integers(0, 256, (side // 4, side // 4, 3)).repeat(4, axis=0).repeat(4, axis=1)
    grey = [(x // 5 + y // 5) % 2 * 255, (x + y // 3) // 3 % 2 * 255, (x + y) * 255 // (2 * side)]
    pictures = [draw.integers(0, 256, (side, side, 3)), coarse, *(thrice(picture) for picture in grey)]
    return [file_of(picture.astype(np.uint8), "JPEG", quality=90) for picture in pictures]


def real(data, enlarged=1):
    """Photographs, of whose sides the parts beyond a multiple of 8 are cut off."""
    files = sorted((data / "images" / "imagenet_1pc_256px").glob("*.jpg"))[:: 20 * enlarged]
    for file in files:
        image = Image.open(file).convert("RGB")
        image = image.crop((0, 0, image.width // 8 * 8, image.height // 8 * 8))
        yield file_of(image.resize((image.width * enlarged, image.height * enlarged)), "JPEG", quality=90)


def pixel_difference(content, least):
    """Mean absolute difference, of 255, that decoding at a fraction makes once the shorter side is resized."""
    whole, part = decode(content), decode(content, least)
    scale = least / min(whole.size)
    size = (round(whole.width * scale), round(whole.height * scale))
    a, b = (np.asarray(image.resize(size, Image.Resampling.BICUBIC)).astype(int) for image in (whole, part))
    return np.abs(a - b).mean()


@pytest.fixture(scope="module")
def tower():
    """Give embeddings by a small open_clip ViT of random weights that takes 32 x 32 pixels."""
    torch.manual_seed(0)
    vision = open_clip.CLIPVisionCfg(image_size=32, patch_size=8, width=96, layers=3, head_width=24)
    text = open_clip.CLIPTextCfg(context_length=8, vocab_size=64, width=32, heads=2, layers=1)
    model = open_clip.CLIP(64, vision, text).eval()
    half = (0.5, 0.5, 0.5)
    preprocess = Preprocessing.square(32, "shortest", "bicubic", half, half)

    def embed(images):
        with torch.no_grad():
            return model.encode_image(torch.stack([preprocess(image) for image in images]))

    return embed


def cosine_distances(embed, contents, least):
    whole, part = (embed([decode(content, wanted) for content in contents]) for wanted in (None, least))
    return 1 - torch.cosine_similarity(whole.double(), part.double())


@pytest.mark.parametrize("kind", ["JPEG", "MPO"])
@pytest.mark.parametrize(
    ("size", "fraction"),
    [
        ((2 * DRAFT * 10 - 2, 200), 1),  # shorter side one step too short
        ((2 * DRAFT * 10, 200), 2),
        ((200, 4 * DRAFT * 10 - 4), 2),
        ((200, 4 * DRAFT * 10), 4),
        ((8 * DRAFT * 10, 8 * DRAFT * 10), 8),
        ((64 * DRAFT * 10, 64 * DRAFT * 10), 8),
        ((8 * DRAFT * 10 + 4, 8 * DRAFT * 10), 4),  # 8 does not divide both
        ((8 * DRAFT * 10, 8 * DRAFT * 10 + 2), 2),
        ((8 * DRAFT * 10 + 1, 8 * DRAFT * 10), 1),
    ],
)
def test_the_fraction_divides_both_sides_and_keeps_the_shorter_long_enough(size, fraction, kind):
    image = Image.new("RGB", size, (200, 100, 50))
    options = {"save_all": True, "append_images": [image]} if kind == "MPO" else {}
    content = file_of(image, kind, quality=100, **options)
    assert Image.open(io.BytesIO(content)).format == kind
    part = decode(content, 10)
    assert part.size == (size[0] // fraction, size[1] // fraction)
    assert fraction == 1 or min(part.size) >= DRAFT * 10
    assert np.abs(np.asarray(part).astype(int) - (200, 100, 50)).max() <= OFF_BY


def test_small_jpegs_and_other_formats_are_decoded_in_full():
    for content in drawn(64):
        assert np.array_equal(array_of(content, 64 // DRAFT), as_pillow_converts(content))
    content = file_of(np.tile(COLOURS, (8, 8, 1)), "PNG")
    assert np.array_equal(array_of(content, 8), as_pillow_converts(content))


def test_real_pictures_are_decoded_in_full_for_common_models(data):
    for content in real(data):
        assert np.array_equal(array_of(content, 224), as_pillow_converts(content))


@pytest.mark.parametrize("fraction", [2, 4, 8])
def test_drawn_pictures_change_little_at_the_least_size_of_each_fraction(fraction, tower):
    contents = drawn(fraction * DRAFT * 32)
    assert {decode(content, 32).size for content in contents} == {(DRAFT * 32, DRAFT * 32)}
    assert max(pixel_difference(content, 32) for content in contents) < 1
    assert cosine_distances(tower, contents, 32).max() < 1e-3


def test_real_pictures_change_little_for_small_models(data, tower):
    contents = list(real(data))
    assert {round(min(decode(c).size) / min(decode(c, 32).size)) for c in contents} == {1, 2}
    assert max(pixel_difference(content, 32) for content in contents) < 1
    assert cosine_distances(tower, contents, 32).max() < 1e-4
    digits = load_digits_clip()

    def embed(images):
        return digits.encode_images(torch.stack([digits.preprocess(image) for image in images]))

    assert max(pixel_difference(content, 16) for content in contents) < 1
    distances = cosine_distances(embed, contents, 16)
    assert 0 < distances.mean() < 1e-4
    assert distances.max() < 1e-3


def test_real_pictures_change_little_when_they_are_large(data):
    for content in real(data, enlarged=8):
        assert 0 < pixel_difference(content, 224) < 0.5


# Where the bytes are


def test_a_part_of_a_file_is_read_and_a_missing_one_is_an_error(tmp_path):
    content = file_of(COLOURS, "PNG")
    file = tmp_path / "archive.tar"
    file.write_bytes(b"before" + content + b"after")
    picture = PartPicture(str(file), 6, len(content))
    assert (picture.read(), picture.file, picture.part) == (content, file, f"@6+{len(content)}")
    with pytest.raises(OSError, match="expected 9 bytes at 9999, got 0"):
        PartPicture(str(file), 9999, 9).read()


def test_pictures_in_memory_tell_apart_mode_size_and_pixels():
    images = [Image.new("L", (2, 3)), Image.new("L", (3, 2)), Image.new("1", (2, 3)), Image.new("L", (2, 3), 1)]
    taken = pixels(images)
    assert len({picture.read() for picture in taken}) == 4
    assert all(picture.decode(picture.read()) is image for picture, image in zip(taken, images, strict=True))
    assert (taken[0].file, taken[0].part) == (None, "")
