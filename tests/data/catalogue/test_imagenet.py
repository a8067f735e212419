import json
import subprocess
import sys

import pytest
from PIL import Image

from ood_toolkit.data.catalogue import imagenet
from ood_toolkit.data.catalogue.imagenet import imagenet_names, imagenet_wnids, subset
from ood_toolkit.data.catalogue.imagenet_sets import (
    IMAGENET1K,
    IMAGENET10,
    IMAGENET20,
    IMAGENET100,
    IMAGENET_A,
    IMAGENET_O,
    IMAGENET_R,
    IMAGENET_V2,
    TINY_IMAGENET,
)
from ood_toolkit.errors import DataError


def draw(path, shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (shade, 0, 0)).save(path)


def test_names_and_ids_are_those_of_the_papers(data):
    published = json.loads((data / "names" / "classnames_openai_clip.json").read_text())["ImageNet"]
    assert list(imagenet_names()) == published
    files = sorted(path.name for path in (data / "images" / "imagenet_1pc_256px").iterdir())
    assert list(imagenet_wnids()) == [name.split("_")[0] for name in files]
    assert imagenet_names()[imagenet_wnids().index("n01443537")] == "goldfish"


def test_other_names_and_ids_are_refused(monkeypatch):
    import open_clip

    imagenet_names.cache_clear()
    monkeypatch.setattr(open_clip, "IMAGENET_CLASSNAMES", ["x"] * 1000)
    with pytest.raises(DataError, match="other ImageNet class names than those that are pinned"):
        imagenet_names()
    imagenet_names.cache_clear()
    monkeypatch.setitem(imagenet.WNIDS_SHA256, "imagenet", "0")
    imagenet_wnids.cache_clear()
    with pytest.raises(DataError, match="other classes than those that are pinned"):
        imagenet_wnids()
    imagenet_wnids.cache_clear()


def test_ids_come_without_importing_timm():
    code = (
        "import sys; from ood_toolkit.data.catalogue.imagenet import imagenet_wnids; "
        "print(len(imagenet_wnids()), 'timm' in sys.modules, 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split() == [
        "1000",
        "False",
        "False",
    ]


@pytest.mark.parametrize(("made", "number"), [(IMAGENET10, 10), (IMAGENET20, 20), (IMAGENET100, 100)])
def test_subsets_are_those_of_mcm(data, made, number):
    ids = (data / "names" / "mcm_imagenet_subsets" / f"ImageNet{number}_class_list.txt").read_text().split()
    held = {10: imagenet.IMAGENET_10, 20: imagenet.IMAGENET_20, 100: imagenet.IMAGENET_100}[number]
    assert sorted(held) == sorted(ids)
    assert made.class_count == number
    assert subset(held)().folders == tuple(sorted(ids))


def test_names_of_a_subset_stand_in_the_order_of_its_ids():
    assert IMAGENET10.classes[:2] == ("brambling bird", "bull frog")
    assert subset(("n01443537", "n01440764"))().names == ("tench", "goldfish")


@pytest.mark.parametrize("place", ["val", "imagenet/val", "imagenet-1k/val", "imagenet-1k/test"])
def test_every_layout_of_imagenet(tmp_path, place):
    draw(tmp_path / place / "n01443537" / "ILSVRC2012_val_00000236.JPEG".replace("JPEG", "png"))
    draw(tmp_path / place / "n15075141" / "2.png")
    found = IMAGENET1K.open("test", tmp_path)
    assert found.labels.tolist() == [1, 999]
    assert len(found.classes) == 1000
    assert found.notes == ("2 of the published 50,000 images are here",)


def test_a_folder_that_is_no_class_of_imagenet(tmp_path):
    draw(tmp_path / "val" / "n01443538" / "1.png")
    with pytest.raises(DataError, match="'n01443538' is no class of this set; did you mean 'n0144"):
        IMAGENET1K.open("test", tmp_path)


def test_a_folder_val_of_something_else_is_not_imagenet(tmp_path):
    draw(tmp_path / "val" / "cats" / "1.png")
    with pytest.raises(DataError, match="no test images below"):
        IMAGENET1K.open("test", tmp_path)


def test_subsets_read_the_folders_of_imagenet(tmp_path):
    for wnid in ("n01443537", "n01530575", "n04552348"):
        draw(tmp_path / "val" / wnid / "1.png")
    found = IMAGENET10.open("test", tmp_path)
    assert found.ids == ("n01530575/1.png", "n04552348/1.png")
    assert [found.classes[label] for label in found.labels] == ["brambling bird", "warplane"]
    with pytest.raises(DataError, match="imagenet-20: no test images"):
        IMAGENET20.open("test", tmp_path)
    draw(tmp_path / "imagenet-20" / "n02782093" / "1.png")
    (tmp_path / "imagenet-20").rename(tmp_path / "moved")
    (tmp_path / "imagenet-20").mkdir()
    (tmp_path / "moved").rename(tmp_path / "imagenet-20" / "test")
    found = IMAGENET20.open("test", tmp_path)
    assert [found.classes[label] for label in found.labels] == ["balloon"]


def test_variants(tmp_path):
    draw(tmp_path / "imagenetv2-matched-frequency-format-val" / "10" / "1.png")
    draw(tmp_path / "imagenetv2-matched-frequency-format-val" / "2" / "1.png")
    assert IMAGENET_V2.open("test", tmp_path).labels.tolist() == [10, 2]
    for made in (IMAGENET_A, IMAGENET_R):
        wnids = imagenet_wnids(made.name.replace("-", "_"))
        draw(tmp_path / made.name / wnids[7] / "1.png")
        found = made.open("test", tmp_path)
        assert found.labels.tolist() == [7]
        assert found.classes[7] == imagenet_names()[imagenet_wnids().index(wnids[7])]
        assert len(found.classes) == 200
    draw(tmp_path / "imagenet-o" / "n00000000" / "1.png")
    assert IMAGENET_O.open("test", tmp_path).labels is None


def test_tiny_imagenet_with_its_annotations(tmp_path, data):
    base = tmp_path / "tiny-imagenet-200"
    wnids = (data / "names" / "tiny_imagenet_wnids.txt").read_text().split()
    for k in range(2):
        draw(base / "val" / "images" / f"val_{k}.png")
        draw(base / "train" / wnids[k] / "images" / f"{wnids[k]}_0.png")
    (base / "wnids.txt").write_text("\n".join(wnids))
    (base / "val" / "val_annotations.txt").write_text(
        "".join(f"val_{k}.png\t{wnids[k]}\t0\t0\t9\t9\n" for k in range(2))
    )
    order = sorted(wnids)
    found = TINY_IMAGENET.open("test", tmp_path)
    assert found.ids == ("val/images/val_0.png", "val/images/val_1.png")
    assert found.labels.tolist() == [order.index(wnids[0]), order.index(wnids[1])]
    assert len(set(found.classes)) == 200
    train = TINY_IMAGENET.open("train", tmp_path)
    assert sorted(train.labels.tolist()) == sorted(found.labels.tolist())
