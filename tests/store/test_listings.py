import numpy as np
import pytest

from ood_toolkit.errors import StoreError
from ood_toolkit.store.listings import Listing, Listings

pytestmark = pytest.mark.quick


def listing(count=3, labels=None, name="folder:a/b, c", **more):
    keys = np.arange(32 * count, dtype=np.uint8).reshape(count, 32)
    return Listing(name, "test", keys, tuple(f"ä {i}\n%" for i in range(count)), labels, **more)


@pytest.mark.parametrize("labels", [None, np.array([1, -1, 0])])
def test_what_was_written_is_read(tmp_path, labels):
    given = listing(labels=labels, classes=("x", "y"), notes=("a note",))
    Listings(tmp_path).write(given)
    read = Listings(tmp_path).read(given.name, "test")
    assert (read.ids, read.classes, read.notes) == (given.ids, given.classes, given.notes)
    np.testing.assert_array_equal(read.keys, given.keys)
    assert (read.labels is None) == (labels is None)
    assert labels is None or read.labels.tolist() == labels.tolist()
    assert Listings(tmp_path).names() == [(given.name, "test")]
    assert Listings(tmp_path).read(given.name, "val") is None


def test_no_images_and_a_second_writing(tmp_path):
    Listings(tmp_path).write(listing(0))
    assert Listings(tmp_path).read("folder:a/b, c", "test").ids == ()
    Listings(tmp_path).write(listing(2))
    assert len(Listings(tmp_path).read("folder:a/b, c", "test").ids) == 2


@pytest.mark.parametrize("cut", [0, 20, 100])
def test_a_damaged_listing_is_told(tmp_path, cut):
    Listings(tmp_path).write(listing())
    path = Listings(tmp_path).path("folder:a/b, c", "test")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(StoreError, match=r"damaged .*; delete it and encode again"):
        Listings(tmp_path).read("folder:a/b, c", "test")
