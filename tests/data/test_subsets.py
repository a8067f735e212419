"""Parts of a data set by class: which images, how they are numbered, and what is refused."""

import os

import numpy as np
import pytest
from PIL import Image

from ood_toolkit.api.dataset import DataSet, Pictures
from ood_toolkit.api.picture import pixels
from ood_toolkit.api.registry import get_registry
from ood_toolkit.data.catalogue.digits import DIGITS
from ood_toolkit.data.subsets import part_of, split_part
from ood_toolkit.encode.choice import find_dataset
from ood_toolkit.errors import DataError

pytestmark = pytest.mark.quick


def find(name):
    return {"digits": DIGITS}.get(name)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_part_holds_the_images_of_its_classes_in_their_order(split, tmp_path):
    whole = DIGITS.open(split, tmp_path)
    only, without = (part_of(f"{how}:digits:seven+one", find).open(split, tmp_path) for how in ("only", "without"))
    assert only.classes == ("one", "seven")  # as the set counts them, not as they were named
    assert without.classes == tuple(name for name in DIGITS.classes if name not in ("one", "seven"))
    truth = {one: DIGITS.classes[label] for one, label in zip(whole.ids, whole.labels, strict=True)}
    for part in (only, without):
        assert [part.classes[label] for label in part.labels] == [truth[one] for one in part.ids]
        assert list(part.ids) == sorted(part.ids)
        held = dict(zip(whole.ids, whole.items, strict=True))
        assert all(item.read() == held[one].read() for one, item in zip(part.ids, part.items, strict=True))
    assert sorted(only.ids + without.ids) == sorted(whole.ids)


def test_what_is_known_of_a_part():
    part = part_of("without:digits:zero+four+seven", find)
    assert (part.name, part.class_count) == ("without:digits:zero+four+seven", 7)
    assert part.classes == ("one", "two", "three", "five", "six", "eight", "nine")
    assert (part.counts, part.label_space) == ({"train": None, "val": None, "test": None}, "")
    assert (part.templates, part.licence, part.embedded) == (DIGITS.templates, DIGITS.licence, True)
    assert part.notes[-1] == "A part of digits: without zero, four, seven."


def test_parts_of_parts_and_of_places(tmp_path):
    registry = get_registry()
    part = find_dataset(registry, "only:without:digits:zero:one+two")
    assert part.classes == ("one", "two")
    for name in ("ring", "bar"):
        (tmp_path / "held" / name).mkdir(parents=True)
        Image.new("L", (2, 2)).save(tmp_path / "held" / name / "0.png")
    place = find_dataset(registry, f"only:folder:{tmp_path / 'held'}:ring")
    found = place.open("test", tmp_path)
    assert (found.classes, found.labels.tolist(), len(found.items)) == (("ring",), [0], 1)
    assert find_dataset(registry, "digits") is DIGITS


def test_images_of_no_class_are_in_no_part(tmp_path):
    held = Pictures(pixels([Image.new("L", (1, 1))] * 4), tuple("abcd"), np.array([-1, 0, 1, 2]), ("ant", "bee", "cat"))
    whole = DataSet("zoo", "zoo", lambda split, root: held, {"test": 4})
    assert part_of("only:zoo:cat+bee", {"zoo": whole}.get).open("test", tmp_path).ids == ("c", "d")
    assert part_of("without:zoo:cat", {"zoo": whole}.get).open("test", tmp_path).ids == ("b", "c")


@pytest.mark.parametrize("text", ["digits", "folder:a/b", "onlydigits", "only", "lessen:digits:one"])
def test_names_of_no_part(text):
    assert split_part(text) is None
    assert part_of(text, find) is None


def test_the_names_of_classes_are_read():
    assert split_part("only:digits:one+ two +one") == ("only", "digits", ("one", "two"))
    assert split_part("without:folder:a:b/c:x y") == ("without", "folder:a:b/c", ("x y",))
    assert part_of("only:unknown:one", find) is None


@pytest.mark.parametrize("text", ["only:digits", "only:digits:", "only::one", "without:", "only:digits: + "])
def test_what_a_part_lacks(text):
    prefix = text.partition(":")[0]
    with pytest.raises(DataError, match=rf"expected {prefix}:NAME:CLASS\+CLASS, such as {prefix}:digits:one\+seven"):
        part_of(text, find)


def test_parts_that_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"only:digits:one\+sevn: digits has no class 'sevn'; did you mean 'seven'"):
        part_of("only:digits:one+sevn", find)
    with pytest.raises(DataError, match="no class of digits is left"):
        part_of(f"without:digits:{'+'.join(DIGITS.classes)}", find)
    bare = DataSet("bare", "bare", lambda split, root: Pictures(pixels([Image.new("L", (1, 1))]), ("a",)), {"test": 1})
    with pytest.raises(DataError, match="only:bare:one: its images have no labels, so no classes can be chosen"):
        part_of("only:bare:one", {"bare": bare}.get).open("test", tmp_path)


def test_a_disk_is_not_walked_to_say_that_a_class_is_none(tmp_path, monkeypatch):
    (tmp_path / "train" / "001.black_cat").mkdir(parents=True)
    (tmp_path / "dog").mkdir()

    def walk(*given, **named):
        pytest.fail("walked")

    monkeypatch.setattr(os, "walk", walk)
    for text in (f"only:folder:{tmp_path}:pear", f"without:folder:{tmp_path}:dog+pear", "only:folder:/:no such class"):
        with pytest.raises(DataError, match=r"has no class folder '(pear|no such class)'"):
            part_of(text, lambda name: pytest.fail("opened"))
    seen = []
    part_of(f"only:folder:{tmp_path}:black cat+dog", lambda name: seen.append(name))
    part_of("only:digits:one", lambda name: seen.append(name))
    part_of("only:folder:/", lambda name: seen.append(name))
    assert seen == [f"folder:{tmp_path}", "digits", "folder"]


@pytest.mark.parametrize("typed", ["hot dog", "Hot_Dog", "HOT-DOG", "\ufeffhot dog", "hot  dog", "hot-dog"])
def test_classes_are_named_as_labels_are(tmp_path, typed):
    names = ("apple pie", "hot dog", "jalapen\u0303o")
    held = Pictures(pixels([Image.new("L", (1, 1))] * 3), tuple("abc"), np.arange(3), names)
    whole = {"food": DataSet("food", "food", lambda split, root: held, {"test": 3}, classes=names, class_count=3)}.get
    only = part_of(f"only:food:{typed}", whole)
    assert only.classes == ("hot dog",)
    assert only.open("test", tmp_path).ids == ("b",)
    rest = part_of(f"without:food:{typed}+JALAPE\u00d1O", whole)
    assert rest.classes == ("apple pie",)
    assert rest.open("test", tmp_path).ids == ("a",)


def test_a_name_that_fits_two_classes_is_refused(tmp_path):
    names = ("Crane", "crane", "owl")
    held = Pictures(pixels([Image.new("L", (1, 1))] * 3), tuple("abc"), np.arange(3), names)
    whole = {"zoo": DataSet("zoo", "zoo", lambda split, root: held, {"test": 3}, classes=names, class_count=3)}.get
    assert part_of("only:zoo:crane", whole).open("test", tmp_path).ids == ("b",)
    for prefix in ("only", "without"):
        with pytest.raises(DataError, match=f"{prefix}:zoo:CRANE: the class name 'CRANE' fits 'Crane' and 'crane'"):
            part_of(f"{prefix}:zoo:CRANE", whole)
