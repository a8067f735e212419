import hashlib
import json
import os
import struct
import subprocess
import sys

import numpy as np
import pytest
import torchvision
from PIL import Image
from scipy.io import savemat

from ood_toolkit.data.catalogue.object_sets import (
    CALTECH101,
    CALTECH256,
    CUB200,
    DTD,
    FLOWERS102,
    FOOD101,
    OXFORD_PETS,
    STANFORD_CARS,
    TEXTURES,
    TEXTURES_OPENOOD,
)
from ood_toolkit.data.catalogue.scene_sets import INATURALIST, PLACES365, SUN397
from ood_toolkit.data.catalogue.small_sets import EUROSAT, FASHION_MNIST, MNIST, SVHN
from ood_toolkit.errors import DataError


def draw(path, shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (shade, 0, 0)).save(path)


def md5(path):
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def linked(folder, target):
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.symlink_to(target, target_is_directory=True)


@pytest.fixture
def food(tmp_path, data):
    """The real pictures of Food-101 as torchvision leaves them."""
    source = data / "images" / "food101_64px_test"
    linked(tmp_path / "food-101" / "images", source)
    listing = {
        folder.name: [f"{folder.name}/{path.stem}" for path in sorted(folder.iterdir())] for folder in source.iterdir()
    }
    (tmp_path / "food-101" / "meta").mkdir()
    (tmp_path / "food-101" / "meta" / "test.json").write_text(json.dumps(listing))
    return tmp_path


def test_food101(food, data):
    found = FOOD101.open("test", food)
    source = data / "images" / "food101_64px_test"
    folders = sorted(path.name for path in source.iterdir())
    truth = sorted(f"images/{path.relative_to(source).as_posix()}" for path in source.rglob("*.jpg"))
    assert list(found.ids) == truth
    assert [folders[label] for label in found.labels] == [name.split("/")[1] for name in truth]
    names = json.loads((data / "names" / "classnames_openai_clip.json").read_text())["Food101"]
    assert list(found.classes) == names
    assert found.notes == ("2,020 of the published 25,250 images are here",)
    peer = torchvision.datasets.Food101(str(food), "test", loader=str)
    assert {peer[i] for i in range(len(peer))} == {
        (item.path, int(label)) for item, label in zip(found.items, found.labels, strict=True)
    }


@pytest.mark.parametrize("listing", ["[]", '{"waffles": "1"}', '{"waffles": [1]}', '{"waffles": null}', "{", "\0"])
def test_lists_of_food_that_are_none_are_refused_in_one_line(tmp_path, listing):
    draw(tmp_path / "food-101" / "images" / "waffles" / "1.jpg")
    (tmp_path / "food-101" / "meta").mkdir()
    (tmp_path / "food-101" / "meta" / "test.json").write_text(listing)
    with pytest.raises(DataError, match=r"test\.json.*expected") as caught:
        FOOD101.open("test", tmp_path)
    assert "\n" not in str(caught.value)


def test_sets_are_found_without_torchvision_and_pillow(tmp_path):
    (tmp_path / "food-101" / "images" / "waffles").mkdir(parents=True)
    (tmp_path / "food-101" / "images" / "waffles" / "1.jpg").write_bytes(b"")
    (tmp_path / "food-101" / "meta").mkdir()
    (tmp_path / "food-101" / "meta" / "test.json").write_text(json.dumps({"waffles": ["waffles/1"]}))
    (tmp_path / "cifar-10-batches-py").mkdir()
    np.savez(tmp_path / "x.npz", images=np.zeros((2, 4, 4, 3), np.uint8))
    program = """
import sys
from pathlib import Path
from ood_toolkit.api.registry import get_registry
from ood_toolkit.data.by_path import free_dataset
from ood_toolkit.errors import DataError
root = Path(sys.argv[1])
assert len(get_registry().get("datasets", "food101").open("test", root)) == 1
try:
    get_registry().get("datasets", "cifar10").open("test", root)
except DataError as error:
    assert "test_batch is missing" in str(error), error
assert len(free_dataset(f"npz:{root / 'x.npz'}").open("test", root).items[0].read()) == 4 * 4 * 3 + len("RGB (4, 4) ")
print(*sorted({"torchvision", "PIL", "torch"} & set(sys.modules)))
"""
    env = os.environ | {"OODKIT_NO_PLUGINS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_labels_stay_where_classes_and_images_are_missing(tmp_path):
    draw(tmp_path / "food-101" / "images" / "waffles" / "1.jpg")
    (tmp_path / "food-101" / "meta").mkdir()
    (tmp_path / "food-101" / "meta" / "test.json").write_text(json.dumps({"waffles": ["waffles/1", "waffles/2"]}))
    found = FOOD101.open("test", tmp_path)
    assert (found.ids, found.labels.tolist()) == (("images/waffles/1.jpg",), [100])
    (tmp_path / "food-101" / "meta" / "test.json").write_text(json.dumps({"wafles": ["wafles/1"]}))
    with pytest.raises(DataError, match="'wafles' is no class of this set; did you mean 'waffles'"):
        FOOD101.open("test", tmp_path)
    (tmp_path / "food-101" / "meta" / "test.json").write_text(json.dumps({"waffles": ["waffles/3"]}))
    with pytest.raises(DataError, match="none of its 1 listed images is there"):
        FOOD101.open("test", tmp_path)


def test_what_is_missing_is_said_in_one_message(tmp_path):
    with pytest.raises(DataError) as caught:
        FOOD101.open("test", tmp_path)
    said = str(caught.value)
    assert "\n" not in said
    for part in ("food101: no test images below", str(tmp_path), "food-101/images/", "food101/<split>/", "--download"):
        assert part in said
    with pytest.raises(DataError, match="food101 has no split 'val': use train or test"):
        FOOD101.open("val", tmp_path)


def test_caltech101(tmp_path, data):
    source = data / "images" / "caltech101_8pc"
    place = tmp_path / "caltech101" / "101_ObjectCategories"
    for folder in source.iterdir():
        linked(place / folder.name, folder)
    draw(place / "BACKGROUND_Google" / "image_0001.jpg")
    found = CALTECH101.open("test", tmp_path)
    truth = sorted(path.relative_to(source).as_posix() for path in source.rglob("*.jpg"))
    assert list(found.ids) == truth
    (place / "Faces_easy").mkdir()
    peer = torchvision.datasets.Caltech101(str(tmp_path))
    assert [peer.categories[label] for label in found.labels] == [name.split("/")[0] for name in truth]
    names = json.loads((data / "names" / "classnames_openai_clip.json").read_text())["Caltech101"]
    assert {a.replace("lilly", "lily") for a in names} ^ set(found.classes) <= {
        "background",
        "head of a  crocodile",
    } | {"head of a crocodile"}


def test_caltech256(tmp_path):
    for folder in ("015.bonsai-101", "002.american-flag", "257.clutter"):
        draw(tmp_path / "caltech256" / "256_ObjectCategories" / folder / "1.jpg")
    found = CALTECH256.open("test", tmp_path)
    assert found.classes == ("american flag", "bonsai")
    assert found.ids == ("002.american-flag/1.jpg", "015.bonsai-101/1.jpg")
    assert found.notes == ("2 of the 256 classes are here, and labels count these alone",)


def test_dtd_and_textures(tmp_path, data):
    source = data / "images" / "dtd_10classes_8pc"
    linked(tmp_path / "dtd" / "dtd" / "images", source)
    listed = sorted(path.relative_to(source).as_posix() for path in source.rglob("*.jpg"))
    (tmp_path / "dtd" / "dtd" / "labels").mkdir()
    (tmp_path / "dtd" / "dtd" / "labels" / "test1.txt").write_text("\n".join(listed[::2]))
    found = DTD.open("test", tmp_path)
    assert list(found.ids) == [f"images/{name}" for name in listed[::2]]
    assert [found.classes[label] for label in found.labels] == [name.split("/")[0] for name in listed[::2]]
    published = json.loads((data / "names" / "classnames_openai_clip.json").read_text())["DescribableTextures"]
    assert list(found.classes) == published
    whole = TEXTURES.open("test", tmp_path)
    assert list(whole.ids) == listed
    assert whole.notes == ("80 of the published 5,640 images are here",)
    place = tmp_path / "benchmark_imglist" / "imagenet"
    place.mkdir(parents=True)
    (place / "test_textures.txt").write_text(f"{listed[3]} -1\n{listed[0]} -1\n")
    assert TEXTURES_OPENOOD.open("test", tmp_path).ids == (listed[0], listed[3])


def test_flowers102(tmp_path, monkeypatch):
    base = tmp_path / "flowers-102"
    for number in (1, 2, 3):
        draw(base / "jpg" / f"image_{number:05d}.jpg")
    savemat(base / "imagelabels.mat", {"labels": np.array([[102, 1, 60, 4]], dtype=np.uint8)})
    savemat(
        base / "setid.mat", {"trnid": np.array([[1, 2]]), "valid": np.array([[2, 4]]), "tstid": np.array([[4, 3, 1]])}
    )
    sums = {"label": "imagelabels.mat", "setid": "setid.mat"}
    monkeypatch.setattr(
        torchvision.datasets.Flowers102, "_file_dict", {key: (name, md5(base / name)) for key, name in sums.items()}
    )
    found = FLOWERS102.open("test", tmp_path)
    assert found.ids == ("jpg/image_00001.jpg", "jpg/image_00003.jpg")
    assert [found.classes[label] for label in found.labels] == ["blackberry lily", "pink and yellow dahlia"]
    (base / "setid.mat").write_bytes(b"other")
    with pytest.raises(DataError, match="torchvision's Flowers102 cannot read it"):
        FLOWERS102.open("test", tmp_path)


def test_names_of_flowers_are_torchvisions():
    theirs = torchvision.datasets.Flowers102.classes
    assert [pair for pair in zip(FLOWERS102.classes, theirs, strict=True) if pair[0] != pair[1]] == [
        ("pink and yellow dahlia", "pink-yellow dahlia?")
    ]


def test_oxford_pets(tmp_path, data):
    base = tmp_path / "oxford-iiit-pet"
    names = ("Abyssinian_201", "american_pit_bull_terrier_7", "yorkshire_terrier_1")
    for name in names:
        draw(base / "images" / f"{name}.jpg")
    (base / "annotations").mkdir()
    lines = [f"{names[0]} 1 1 1", f"{names[1]} 3 2 2", f"{names[2]} 37 2 25"]
    (base / "annotations" / "test.txt").write_text("\n".join(lines))
    found = OXFORD_PETS.open("test", tmp_path)
    assert found.labels.tolist() == [0, 2, 36]
    peer = torchvision.datasets.OxfordIIITPet(str(tmp_path), "test")
    assert found.labels.tolist() == peer._labels
    published = json.loads((data / "names" / "classnames_openai_clip.json").read_text())["OxfordPets"]
    assert sorted(found.classes) == sorted(published)


def test_stanford_cars(tmp_path):
    base = tmp_path / "stanford_cars"
    for number in (1, 2):
        draw(base / "cars_test" / f"{number:05d}.jpg")
    (base / "devkit").mkdir()
    row = np.dtype([("fname", object), ("class", object)])
    savemat(
        base / "cars_test_annos_withlabels.mat",
        {"annotations": np.array([("00001.jpg", 2), ("00002.jpg", 1)], dtype=row)},
    )
    savemat(base / "devkit" / "cars_meta.mat", {"class_names": np.array(["AM General Hummer", "Acura RL"], object)})
    found = STANFORD_CARS.open("test", tmp_path)
    assert found.ids == ("cars_test/00001.jpg", "cars_test/00002.jpg")
    assert [found.classes[label] for label in found.labels] == ["Acura RL", "AM General Hummer"]


def test_cub200(tmp_path):
    base = tmp_path / "CUB_200_2011"
    images = ["001.Black_footed_Albatross/a.jpg", "002.Laysan_Albatross/b.jpg", "002.Laysan_Albatross/c.jpg"]
    for name in images:
        draw(base / "images" / name)
    (base / "images.txt").write_text("".join(f"{n} {name}\n" for n, name in enumerate(images, 1)))
    (base / "train_test_split.txt").write_text("1 0\n2 1\n3 0\n")
    (base / "classes.txt").write_text("1 001.Black_footed_Albatross\n2 002.Laysan_Albatross\n")
    test, train = CUB200.open("test", tmp_path), CUB200.open("train", tmp_path)
    assert (test.ids, train.ids) == ((f"images/{images[0]}", f"images/{images[2]}"), (f"images/{images[1]}",))
    assert test.labels.tolist() == [0, 1]
    assert test.classes == ("Black footed Albatross", "Laysan Albatross")


def test_sun397(tmp_path):
    draw(tmp_path / "SUN397" / "a" / "abbey" / "sun_aaa.jpg")
    draw(tmp_path / "SUN397" / "c" / "church" / "indoor" / "sun_bbb.jpg")
    (tmp_path / "SUN397" / "ClassName.txt").write_text("/a/abbey\n/b/beach\n/c/church/indoor\n")
    found = SUN397.open("test", tmp_path)
    assert found.ids == ("a/abbey/sun_aaa.jpg", "c/church/indoor/sun_bbb.jpg")
    assert [found.classes[label] for label in found.labels] == ["abbey", "church indoor"]


def test_places365(tmp_path):
    base = tmp_path / "places365"
    draw(base / "val_256" / "Places365_val_00000001.jpg")
    draw(base / "data_256_standard" / "a" / "airfield" / "1.jpg")
    (base / "categories_places365.txt").write_text("/a/airfield 0\n/c/church/indoor 1\n")
    (base / "places365_val.txt").write_text("Places365_val_00000001.jpg 1\nPlaces365_val_00000002.jpg 0\n")
    (base / "places365_train_standard.txt").write_text("/a/airfield/1.jpg 0\n")
    found = PLACES365.open("test", tmp_path)
    assert (found.ids, found.labels.tolist()) == (("val_256/Places365_val_00000001.jpg",), [1])
    assert found.classes == ("airfield", "church indoor")
    assert PLACES365.open("train", tmp_path).ids == ("data_256_standard/a/airfield/1.jpg",)
    (base / "places365_val.txt").write_text("Places365_val_00000001.jpg 9\n")
    with pytest.raises(DataError, match="expected a label from 0 to 1"):
        PLACES365.open("test", tmp_path)


def test_eurosat(tmp_path):
    for folder in ("SeaLake", "Forest"):
        draw(tmp_path / "eurosat" / "2750" / folder / f"{folder}_1.jpg")
    found = EUROSAT.open("test", tmp_path)
    assert [found.classes[label] for label in found.labels] == ["forest", "lake or sea"]
    peer = torchvision.datasets.EuroSAT(str(tmp_path), loader=str)
    assert [path for path, _ in peer.samples] == [item.path for item in found.items]


@pytest.mark.parametrize(("made", "kind"), [(MNIST, "MNIST"), (FASHION_MNIST, "FashionMNIST")])
def test_mnist(tmp_path, made, kind):
    folder = tmp_path / kind / "raw"
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    for part in ("train", "t10k"):
        head = struct.pack(">IIII", 2051, 3, 28, 28)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(head + pixels.tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, 3) + bytes([7, 0, 9]))
    found = made.open("test", tmp_path)
    assert found.labels.tolist() == [7, 0, 9]
    assert found.ids == ("test/00000", "test/00001", "test/00002")
    assert len(found.classes) == 10
    for image, row in zip(found.images, pixels, strict=True):
        assert np.array_equal(np.asarray(image), row)


def test_svhn(tmp_path, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 2), dtype=np.uint8)
    file = tmp_path / "svhn" / "test_32x32.mat"
    file.parent.mkdir()
    savemat(file, {"X": pixels, "y": np.array([[10], [3]], dtype=np.uint8)})
    monkeypatch.setitem(torchvision.datasets.SVHN.split_list, "test", ["", "test_32x32.mat", md5(file)])
    found = SVHN.open("test", tmp_path)
    assert [found.classes[label] for label in found.labels] == ["0", "3"]
    for image, row in zip(found.images, pixels.transpose(3, 0, 1, 2), strict=True):
        assert np.array_equal(np.asarray(image), row)
    file.write_bytes(b"other")
    with pytest.raises(DataError, match="torchvision's SVHN cannot read it"):
        SVHN.open("test", tmp_path)


def test_inaturalist_as_mos_and_as_openood_have_it(tmp_path):
    draw(tmp_path / "iNaturalist" / "images" / "a.jpg")
    assert INATURALIST.open("test", tmp_path).ids == ("a.jpg",)
    draw(tmp_path / "images_largescale" / "inaturalist" / "images" / "b.jpg")
    listing = tmp_path / "benchmark_imglist" / "imagenet" / "test_inaturalist.txt"
    listing.parent.mkdir(parents=True)
    listing.write_text("inaturalist/images/b.jpg -1\n")
    assert INATURALIST.open("test", tmp_path).ids == ("inaturalist/images/b.jpg",)
