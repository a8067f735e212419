import hashlib
import io
import pickle
import tracemalloc

import numpy as np
import pytest
import torchvision
from PIL import Image

from ood_toolkit.data.catalogue.small_sets import CIFAR10, CIFAR100
from ood_toolkit.data.readers.cifar import published, read_batch
from ood_toolkit.errors import DataError

pytestmark = pytest.mark.quick


class Trap:
    def __reduce__(self):
        return (print, ("executed",))


def batch(folder, name, content):
    folder.mkdir(parents=True, exist_ok=True)
    held = pickle.dumps(content, protocol=2)
    (folder / name).write_bytes(held)
    return [name, hashlib.md5(held, usedforsecurity=False).hexdigest()]


def lists(monkeypatch, **of_splits):
    """Have these files taken for the published ones."""
    monkeypatch.setattr("ood_toolkit.data.readers.cifar.published", lambda kind: of_splits)


@pytest.mark.parametrize("kind", ["CIFAR10", "CIFAR100"])
def test_the_published_files_are_those_that_torchvision_lists(kind):
    theirs = getattr(torchvision.datasets, kind)
    wanted = {"train": theirs.train_list, "test": theirs.test_list}
    assert {split: [list(row) for row in rows] for split, rows in published(kind).items()} == wanted


PIXELS = np.random.default_rng(0).integers(0, 256, (3, 3072), dtype=np.uint8)


def test_the_batches_are_read_as_published(tmp_path, monkeypatch):
    folder = tmp_path / "cifar-10-batches-py"
    entry = batch(folder, "test_batch", {"data": PIXELS, "labels": [3, 0, 9]})
    lists(monkeypatch, test=[entry])
    found = CIFAR10.open("test", tmp_path)
    assert found.labels.tolist() == [3, 0, 9]
    assert (found.classes[3], found.ids[2]) == ("cat", "test/00002")
    assert found.notes == ("3 of the published 10,000 images are here",)
    for image, row in zip(found.images, PIXELS, strict=True):
        assert np.array_equal(np.asarray(image), row.reshape(3, 32, 32).transpose(1, 2, 0))


def test_the_fine_labels_of_cifar100_and_several_batches(tmp_path, monkeypatch):
    folder = tmp_path / "cifar-100-python"
    parts = [batch(folder, f"part{i}", {"data": PIXELS, "fine_labels": [i, 99, 5]}) for i in range(2)]
    lists(monkeypatch, train=parts)
    found = CIFAR100.open("train", tmp_path)
    assert found.labels.tolist() == [0, 99, 5, 1, 99, 5]
    assert (found.classes[99], found.classes[5]) == ("worm", "bed")


def test_another_file_is_not_opened(tmp_path, capsys):
    batch(tmp_path / "cifar-10-batches-py", "test_batch", Trap())
    with pytest.raises(DataError, match="expected the published file with md5 40351d587109b95175f43aff81a1287e"):
        CIFAR10.open("test", tmp_path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "content", [Trap(), {"data": Trap(), "labels": [0]}, {"data": np.array([Trap()], dtype=object)}]
)
def test_even_a_file_with_the_right_sum_executes_nothing(tmp_path, monkeypatch, capsys, content):
    entry = batch(tmp_path / "cifar-10-batches-py", "test_batch", content)
    lists(monkeypatch, test=[entry])
    with pytest.raises(DataError, match="is no part of an array"):
        CIFAR10.open("test", tmp_path)
    assert capsys.readouterr().out == ""


def test_both_spellings_of_numpy_are_known(tmp_path, monkeypatch):
    content = pickle.dumps({"data": PIXELS, "labels": [1, 1, 1]}, protocol=2)
    assert b"numpy._core" in content or b"numpy.core" in content
    other = content.replace(b"numpy._core.", b"numpy.core.")
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "test_batch").write_bytes(other)
    lists(monkeypatch, test=[["test_batch", hashlib.md5(other, usedforsecurity=False).hexdigest()]])
    assert CIFAR10.open("test", tmp_path).labels.tolist() == [1, 1, 1]


def test_a_missing_batch_is_named(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    with pytest.raises(DataError, match="data_batch_1 is missing"):
        CIFAR10.open("train", tmp_path)


def test_class_folders_of_real_pictures(tmp_path, data):
    source = data / "images" / "cifar10_test_100pc"
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10" / "test").symlink_to(source, target_is_directory=True)
    found = CIFAR10.open("test", tmp_path)
    assert found.notes == ("1,000 of the published 10,000 images are here",)
    truth = sorted(f"test/{path.relative_to(source).as_posix()}" for path in source.rglob("*.jpg"))
    assert list(found.ids) == truth
    folders = sorted(path.name for path in source.iterdir())
    assert found.classes == tuple(folders)
    assert [folders[label] for label in found.labels] == [name.split("/")[1] for name in truth]
    first = np.asarray(Image.open(io.BytesIO((source / truth[0][5:]).read_bytes())))
    assert np.array_equal(np.asarray(found.images[0]), first)


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02K\x01r\xff\xff\xff\x7f.",  # remembered as number 2,147,483,647
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nM\xff\xff\x85U\x01b\x87R.",
        b"\x80\x02cnumpy\nndarray\n(J\x00\x00\x00\x40\x85R.",
    ],
)
def test_a_small_pickle_takes_no_large_memory(tmp_path, content):
    (tmp_path / "batch").write_bytes(content)
    tracemalloc.start()
    with pytest.raises(DataError, match="not a batch of CIFAR images"):
        read_batch(tmp_path / "batch", hashlib.md5(content).hexdigest(), "labels")
    assert tracemalloc.get_traced_memory()[1] < 50 << 20
    tracemalloc.stop()
