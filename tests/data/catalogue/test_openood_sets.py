"""The parts of known sets that OpenOOD tests on, read with its own lists."""

import gzip

import pytest
from PIL import Image

from ood_toolkit.api.registry import get_registry
from ood_toolkit.data.catalogue.imagenet import imagenet_wnids


def known(name):
    return get_registry().get("datasets", name)


def lines(data, name):
    with gzip.open(data / "names" / "openood_imglist" / f"{name}.gz", "rt") as file:
        return file.read().split("\n")[:-1]


def put_list(root, name, rows):
    file = root / "benchmark_imglist" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(rows) + "\n")


def put_image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (2, 2)).save(path)


def test_imagenet_is_read_from_openoods_folder(data, tmp_path):
    rows = lines(data, "imagenet/test_imagenet.txt")
    put_list(tmp_path, "imagenet/test_imagenet.txt", rows)
    path, label = rows[7].rsplit(" ", 1)
    put_image(tmp_path / "images_largescale" / path)
    found = known("imagenet-1k-openood").open("test", tmp_path)
    assert (found.ids, found.labels.tolist()) == ((path,), [int(label)])
    assert len(found.classes) == 1000
    assert found.notes == (
        "the images of OpenOOD's imagenet/test_imagenet.txt",
        "1 of the published 45,000 images are here",
    )


@pytest.mark.parametrize("folder", ["imagenet-1k/val", "val"])
def test_imagenet_is_read_from_the_folders_of_imagenet_1k(data, tmp_path, folder):
    rows = lines(data, "imagenet/test_imagenet.txt")[:3000]
    put_list(tmp_path, "imagenet/val_imagenet.txt", rows)
    path, label = rows[2999].rsplit(" ", 1)
    wnid, name = imagenet_wnids()[int(label)], path.rsplit("/", 1)[1]
    put_image(tmp_path / folder / wnid / name)
    put_image(tmp_path / folder / wnid / "ILSVRC2012_val_99999999.JPEG")  # in no list
    found = known("imagenet-1k-openood").open("val", tmp_path)
    assert (found.ids, found.labels.tolist()) == ((f"{wnid}/{name}",), [int(label)])
    assert found.items[0].file == tmp_path / folder / wnid / name


def test_cifar_is_labelled_by_its_paths_under_either_list(data, tmp_path):
    rows = lines(data, "cifar10/test_cifar10.txt")
    put_list(tmp_path, "cifar10/test_cifar10.txt", rows)
    wanted = {}
    for row in rows[:5]:
        path, label = row.rsplit(" ", 1)
        put_image(tmp_path / "images_classic" / path)
        wanted[path] = int(label)
    found = known("cifar10-openood").open("test", tmp_path)
    assert dict(zip(found.ids, found.labels.tolist(), strict=True)) == wanted
    assert found.classes == known("cifar10").classes

    rows = lines(data, "cifar10/test_cifar100.txt")  # labels are -1 in it
    put_list(tmp_path, "cifar10/test_cifar100.txt", rows)
    put_image(tmp_path / "images_classic" / rows[0].rsplit(" ", 1)[0])
    found = known("cifar100-openood").open("test", tmp_path)
    assert found.classes[found.labels[0]] == rows[0].split("/")[2] == "streetcar"


def test_labels_of_openoods_list_are_those_of_the_paths(data):
    names = known("cifar10").classes
    for row in lines(data, "cifar10/test_cifar10.txt") + lines(data, "cifar10/val_cifar10.txt"):
        path, label = row.rsplit(" ", 1)
        assert names[int(label)] == path.split("/")[2]


@pytest.mark.parametrize(
    ("name", "listing"),
    [
        ("tiny-imagenet-cifar10", "cifar10/test_tin.txt"),
        ("mnist-openood", "cifar10/test_mnist.txt"),
        ("places365-cifar10", "cifar10/test_places365.txt"),
    ],
)
def test_small_sets_are_read_with_its_lists(data, tmp_path, name, listing):
    rows = lines(data, listing)
    put_list(tmp_path, listing, rows)
    path = rows[3].rsplit(" ", 1)[0]
    put_image(tmp_path / "images_classic" / path)
    found = known(name).open("test", tmp_path)
    assert (found.ids, found.labels) == ((path,), None)
