import numpy as np
import pytest
from PIL import Image

from ood_toolkit.api.picture import PixelPicture
from ood_toolkit.data.by_path import free_dataset
from ood_toolkit.data.readers.npz_images import ArrayPictures
from ood_toolkit.errors import DataError

pytestmark = pytest.mark.quick

IMAGES = np.arange(3 * 4 * 5 * 3, dtype=np.uint8).reshape(3, 4, 5, 3)


@pytest.mark.parametrize(("shape", "mode"), [((3, 4, 5), "L"), ((3, 4, 5, 1), "L"), ((3, 4, 5, 3), "RGB")])
def test_images_are_the_rows(tmp_path, shape, mode):
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    np.savez(tmp_path / "x.npz", images=array, labels=np.array([1, -1, 0]), classes=np.array(["cat", "dog"]))
    made = free_dataset(f"npz:{tmp_path / 'x.npz'}")
    assert made.classes == ("cat", "dog")
    found = made.open("test", tmp_path)
    assert found.labels.tolist() == [1, -1, 0]
    assert found.ids == ("x/000000", "x/000001", "x/000002")
    for image, row in zip(found.images, array, strict=True):
        assert image.mode == mode
        assert np.array_equal(np.asarray(image), row.reshape(np.asarray(image).shape))
    assert np.array_equal(np.asarray(found.images[1:][0]), np.asarray(found.images[1]))


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3), (4, 5, 4)])
def test_a_row_has_the_key_of_the_picture_in_memory(shape):
    array = np.arange(2 * np.prod(shape), dtype=np.uint8).reshape(2, *shape)
    rows = ArrayPictures(array.swapaxes(1, 2).copy().swapaxes(1, 2))  # also where it does not lie row after row
    for row, known in zip(rows, array, strict=True):
        image = Image.fromarray(known[..., 0] if shape[2:] == (1,) else known)
        content = row.read()
        assert content == PixelPicture(image).read()
        assert row.decode(content) == image


def test_labels_without_names_are_left_out_and_said(tmp_path):
    np.savez(tmp_path / "x.npz", images=IMAGES, labels=np.array([1, 0, 0]))
    found = free_dataset(f"npz:{tmp_path / 'x.npz'}").open("test", tmp_path)
    assert found.labels is None
    assert "add an array `classes`" in found.notes[0]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": IMAGES}, "expected an array `images`"),
        ({"images": IMAGES.astype(float)}, "uint8, got"),
        ({"images": IMAGES[..., :2]}, "expected images"),
        ({"images": IMAGES[:0]}, "expected images, found none"),
        ({"images": IMAGES, "labels": np.array([0, 1])}, "expected 3 whole-number labels"),
        ({"images": IMAGES, "labels": np.array([0, 1, 2]), "classes": np.array(["a", "b"])}, "from -1 to 1"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(DataError, match=message):
        free_dataset(f"npz:{tmp_path / 'x.npz'}").open("test", tmp_path)


class Trap:
    def __reduce__(self):
        return (print, ("executed",))


def test_nothing_pickled_is_read(tmp_path, capsys):
    np.savez(tmp_path / "x.npz", images=IMAGES, classes=np.array([Trap()], dtype=object))
    with pytest.raises(DataError, match=r"not a readable \.npz file"):
        free_dataset(f"npz:{tmp_path / 'x.npz'}")
    assert capsys.readouterr().out == ""
    (tmp_path / "y.npz").write_text("no zip")
    with pytest.raises(DataError, match=r"not a readable \.npz file"):
        free_dataset(f"npz:{tmp_path / 'y.npz'}")
