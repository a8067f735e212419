import dataclasses
import gzip
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from ood_toolkit.api.builtin import register_datasets
from ood_toolkit.api.registry import get_registry
from ood_toolkit.data.catalogue.entry import unsourced
from ood_toolkit.errors import DataError

pytestmark = pytest.mark.quick

REGISTRY = get_registry()
SETS = [made for name in register_datasets() if not (made := REGISTRY.get("datasets", name)).embedded]
CATALOGUE = {made.name: made for made in SETS}
CLASSES = {
    "cifar10": 10, "cifar100": 100, "food101": 101, "caltech101": 101, "caltech256": 256, "dtd": 47, "svhn": 10,
    "mnist": 10, "fashion-mnist": 10, "eurosat": 10, "flowers102": 102, "oxford-pets": 37, "stanford-cars": 196,
    "cub200": 200, "sun397": 397, "places365": 365, "imagenet-1k": 1000, "imagenet-10": 10, "imagenet-20": 20,
    "imagenet-100": 100, "imagenet-v2": 1000, "imagenet-r": 200, "imagenet-a": 200, "tiny-imagenet": 200,
    "textures": 47, "imagenet-1k-openood": 1000, "cifar10-openood": 10, "cifar100-openood": 100,
}  # fmt: skip
NONE = {
    "imagenet-o", "inaturalist", "sun", "places", "ssb-hard", "ninco", "openimage-o", "textures-openood",
    "imagenet-ood", "tiny-imagenet-cifar10", "tiny-imagenet-cifar100", "mnist-openood", "places365-cifar10",
    "places365-cifar100",
}  # fmt: skip
LISTS = {
    "inaturalist": "imagenet/test_iNaturalist.txt",
    "sun": "imagenet/test_SUN.txt",
    "places": "imagenet/test_Places.txt",
    "ssb-hard": "imagenet/test_ssb_hard.txt",
    "ninco": "imagenet/test_ninco.txt",
    "textures-openood": "imagenet/test_textures.txt",
    "textures": "cifar10/test_texture.txt",
    "svhn": "cifar10/test_svhn.txt",
    "imagenet-1k-openood": "imagenet/test_imagenet.txt",
    "cifar10-openood": "cifar10/test_cifar10.txt",
    "cifar100-openood": "cifar10/test_cifar100.txt",
    "tiny-imagenet-cifar10": "cifar10/test_tin.txt",
    "mnist-openood": "cifar10/test_mnist.txt",
    "places365-cifar10": "cifar10/test_places365.txt",
}


def lines(data, name):
    with gzip.open(data / "names" / "openood_imglist" / f"{name}.gz", "rt") as file:
        return file.read().split("\n")[:-1]


def test_every_set_is_registered_under_its_name():
    registered = register_datasets()
    for name, made in CATALOGUE.items():
        module, _, attribute = registered[name].partition(":")
        assert getattr(sys.modules[module], attribute) is made
    assert set(CATALOGUE) == set(registered) - {"digits", "letters", "patches"}
    assert set(CATALOGUE) == set(CLASSES) | NONE


@pytest.mark.parametrize("made", SETS, ids=lambda made: made.name)
def test_every_fact_says_where_it_is_from(made):
    assert unsourced(made) == []
    assert all(len(source) > 8 for source in made.sources.values())
    assert set(made.sources) <= {"counts", "classes", "templates", "licence", "source", "checksum"}
    if made.download is not None:
        assert made.sources["checksum"].startswith("torchvision.datasets.")
    assert made.layout[-1]


@pytest.mark.parametrize("fact", ["counts", "classes", "templates", "licence", "source", "checksum"])
def test_a_fact_without_a_source_is_refused(fact):
    made = CATALOGUE["eurosat"]
    bare = dataclasses.replace(made, sources={k: v for k, v in made.sources.items() if k != fact})
    assert unsourced(bare) == [fact]
    if fact == "licence":
        assert unsourced(dataclasses.replace(bare, licence="unknown")) == []


@pytest.mark.parametrize("made", SETS, ids=lambda made: made.name)
def test_classes_splits_and_templates(made):
    assert made.class_count == CLASSES.get(made.name, 0)
    assert len(made.classes) in (0, made.class_count)
    assert len(set(made.classes)) == len(made.classes)
    assert list(made.counts) == [split for split in ("train", "val", "test") if split in made.counts]
    assert "test" in made.counts
    assert all(template.count("{}") == 1 and template[-1] != "." for template in made.templates)
    assert (made.label_space == "imagenet-1k") == (made.name in ("imagenet-1k", "imagenet-v2", "imagenet-1k-openood"))


@pytest.mark.parametrize("name", LISTS)
def test_counts_are_those_of_openood(data, name):
    assert CATALOGUE[name].counts["test"] == len(lines(data, LISTS[name]))


def test_openimage_o_and_imagenet_are_the_whole_of_what_openood_lists(data):
    assert CATALOGUE["openimage-o"].counts["test"] == len(lines(data, "imagenet/test_openimage_o.txt")) + 1_763
    assert CATALOGUE["imagenet-1k"].counts["test"] == len(lines(data, "imagenet/test_imagenet.txt")) + 5_000
    hard = {line.split("/")[1] for line in lines(data, "imagenet/test_ssb_hard.txt")}
    assert f"{len(hard)} classes" in CATALOGUE["ssb-hard"].description
    ninco = {line.split("/")[0] for line in lines(data, "imagenet/test_ninco.txt")}
    assert f"{len(ninco)} classes" in CATALOGUE["ninco"].description


@pytest.mark.parametrize("name", ["ninco", "ssb-hard", "openimage-o", "sun", "places", "inaturalist"])
def test_openood_layouts_are_read_with_its_own_lists(data, tmp_path, name):
    rows = lines(data, LISTS.get(name, "imagenet/test_openimage_o.txt"))
    listing = tmp_path / "benchmark_imglist" / LISTS.get(name, "imagenet/test_openimage_o.txt")
    listing.parent.mkdir(parents=True)
    listing.write_text("\n".join(rows))
    folder = {"ninco": "images_largescale/ninco", "sun": "SUN", "places": "Places", "inaturalist": "iNaturalist"}
    first = rows[0].rsplit(" ", 1)[0]
    picture = tmp_path / folder.get(name, "images_largescale") / first
    picture.parent.mkdir(parents=True)
    Image.new("RGB", (2, 2)).save(picture)
    found = CATALOGUE[name].open("test", tmp_path)
    assert (found.ids, found.labels, found.items[0].file) == ((first,), None, picture)
    assert "the images of OpenOOD's" in found.notes[0]


@pytest.mark.parametrize("made", SETS, ids=lambda made: made.name)
def test_an_absent_set_says_what_to_do_in_one_line(made, tmp_path):
    for split in made.counts:
        with pytest.raises(DataError) as caught:
            made.open(split, tmp_path)
        said = str(caught.value)
        assert said.startswith(f"{made.name}: no {split} images below {tmp_path}; looked for ")
        assert made.layout[-1] in said
        assert "\n" not in said
    with pytest.raises(DataError, match="has no split 'other'"):
        made.open("other", tmp_path)


@pytest.mark.parametrize("made", [made for made in SETS if not made.classes], ids=lambda made: made.name)
def test_class_folders_of_every_set_whose_names_the_folders_say(made, tmp_path):
    folder = {
        "caltech256": "015.bonsai-101", "imagenet-v2": "3", "imagenet-a": "n01498041", "imagenet-r": "n01443537",
        "imagenet-100": "n01498041",
    }.get(made.name, "n01443537" if "imagenet" in made.name else "some_class")  # fmt: skip
    path = tmp_path / made.name / "test" / folder / "1.png"
    path.parent.mkdir(parents=True)
    Image.new("RGB", (2, 2)).save(path)
    found = made.open("test", tmp_path)
    assert len(found) == 1
    if made.class_count:
        assert found.classes[found.labels[0]]


@pytest.mark.parametrize("made", [made for made in SETS if made.classes], ids=lambda made: made.name)
def test_class_folders_of_every_set_may_bear_prompt_names(made, tmp_path):
    for label in (0, len(made.classes) - 1):
        path = tmp_path / made.name / "test" / made.classes[label].replace("/", "_") / "1.png"
        path.parent.mkdir(parents=True)
        Image.new("RGB", (2, 2)).save(path)
    found = made.open("test", tmp_path)
    assert sorted(found.labels.tolist()) == [0, len(made.classes) - 1]
    assert found.classes == made.classes


def test_a_download_that_fails_is_one_error(tmp_path, monkeypatch):
    import torchvision.datasets.utils

    def offline(*args, **kwargs):
        raise OSError("no route")

    monkeypatch.setattr(torchvision.datasets.utils, "download_and_extract_archive", offline)
    with pytest.raises(DataError, match="cifar10: the download failed: OSError: no route"):
        CATALOGUE["cifar10"].download(tmp_path)


@pytest.mark.parametrize("made", [made for made in SETS if made.download], ids=lambda made: made.name)
def test_every_download_has_an_address_and_a_checksum(made, tmp_path, monkeypatch):
    import torchvision.datasets.utils as tools

    asked = []

    class StopError(RuntimeError):
        pass

    def note(*args, md5=None, **kwargs):
        asked.append((args[0], md5 or (args[3] if len(args) > 3 else None)))
        raise StopError("noted")

    for module in {sys.modules[f"torchvision.datasets.{m}"] for m in (
        "utils", "food101", "caltech", "dtd", "svhn", "mnist", "eurosat", "flowers102", "oxford_iiit_pet", "sun397",
        "places365", "cifar",
    )}:  # fmt: skip
        for name in ("download_and_extract_archive", "download_url"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, note)
    assert tools.download_url is note
    with pytest.raises(DataError, match="the download failed"):
        made.download(tmp_path)
    assert asked
    for address, md5 in asked:
        assert address.startswith("http")
        assert len(md5) == 32


def test_the_catalogue_imports_nothing_heavy():
    code = (
        "import sys, ood_toolkit.data.by_path, ood_toolkit.data.describe; "
        "from ood_toolkit.data.catalogue import imagenet_sets, object_sets, openood_sets, scene_sets, small_sets; "
        "print(*{'numpy', 'PIL', 'sklearn', 'torch', 'torchvision', 'open_clip', 'timm'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


@pytest.mark.parametrize("made", SETS, ids=lambda made: made.name)
def test_the_page_says_all_that_the_catalogue_knows(made):
    page = (Path(__file__).parents[3] / "docs" / "datasets.md").read_text()
    section = page.split(f"### `{made.name}`\n")[1].split("\n### ")[0].replace("`", "")
    said = [made.description, made.licence, made.source, made.templates[0], *made.layout, *made.notes]
    said += [*made.sources.values(), *(f"{split} {count:,}" for split, count in made.counts.items() if count)]
    assert [fact for fact in said if fact.replace("`", "") not in section] == []
