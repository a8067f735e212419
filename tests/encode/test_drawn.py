"""Pictures of embedded sets are drawn once, and again only where what draws them changed or somebody looks at them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ood_toolkit.api.dataset import DataSet
from ood_toolkit.api.registry import get_registry
from ood_toolkit.data.subsets import part_of
from ood_toolkit.encode import drawn as module
from ood_toolkit.encode.drawn import drawing
from ood_toolkit.encode.encoded_sets import EncodedSets
from ood_toolkit.encode.options import Effort
from ood_toolkit.encode.sets import Place
from ood_toolkit.store.listings import Listings

CLASSES = ("ant", "bee")


@pytest.fixture
def embedded(drawn):
    """An embedded set of six pictures, which counts how often it is drawn, and what else is found by name."""
    opened = []

    def draw(split, root):
        opened.append(split)
        return drawn([10, 20, 30, 40, 50, 60], np.array([0, 1, 0, 1, 0, 1]), CLASSES)

    dataset = DataSet("d", "Drawn.", draw, {"test": 6}, CLASSES, embedded=True, drawn_by=("pillow",))

    def find(name):
        return dataset if name == "d" else part_of(name, find)

    find.opened, find.dataset = opened, dataset
    return find


@pytest.fixture
def sets(tmp_path, toy, embedded):
    """Open the sets anew, as another run does."""

    def make(find=embedded, effort=None, model=None, **place):
        return EncodedSets(model or toy(), find, Place(tmp_path, tmp_path, effort or Effort(), **place))

    return make


def values(sets, name="d"):
    x = sets.outputs(name, "test", None)
    return x.features.tolist(), x.labels.tolist(), list(x.ids), sets.pictures(name, "test").notes


@pytest.mark.parametrize(
    ("name", "place"), [("d", {}), ("d", {"limit": 3}), ("only:d:bee", {}), ("without:d:bee", {"limit": 2})]
)
def test_a_second_run_draws_nothing_and_has_the_same(sets, embedded, name, place):
    first = values(sets(**place), name)
    assert len(embedded.opened) == 1
    again = sets(**place)
    assert again.has(name, "test")
    assert values(again, name) == first
    assert again.about()["encoding"][f"{name}/test"]["encoded"] == 0
    assert len(embedded.opened) == 1


def test_a_part_is_not_taken_for_the_whole(sets, embedded):
    values(sets())
    assert len(values(sets(limit=2))[0]) == 2
    assert len(values(sets(), "only:d:bee")[0]) == 3
    assert len(values(sets())[0]) == 6


@pytest.mark.parametrize("changed", ["version_of", "code_of"])
def test_another_version_of_what_draws_them_draws_them_again(sets, embedded, monkeypatch, changed):
    first = values(sets())
    real = getattr(module, changed)
    monkeypatch.setattr(module, changed, lambda of: f"{real(of)}+1")
    for _ in range(2):
        assert values(sets()) == first
    assert len(embedded.opened) == 2


def test_they_are_drawn_again_where_they_are_asked_for(sets, embedded):
    first = values(sets())
    assert values(sets(effort=Effort(rehash=True))) == first
    assert values(sets(needs_pictures=True)) == first
    assert len(embedded.opened) == 3
    pictures = sets().pictures("d", "test")
    assert len(embedded.opened) == 3
    assert [image.getpixel((0, 0)) for image in pictures.images] == [10, 20, 30, 40, 50, 60]
    assert len(pictures.items[1:3]) == 2
    assert len(embedded.opened) == 4


def test_a_row_that_is_lost_or_of_another_model_is_encoded_again(sets, embedded, tmp_path, toy):
    first = values(sets())
    for shard in tmp_path.glob("encodings/*/shards/*"):
        shard.write_bytes(b"?")
    again = sets()
    assert values(again) == first
    assert again.about()["encoding"]["d/test"]["encoded"] == 6
    other = sets(model=toy(fingerprint="other"))
    assert values(other) == first
    assert other.model.seen == [10, 20, 30, 40, 50, 60]
    assert len(embedded.opened) == 3


@pytest.mark.parametrize("hurt", [lambda path: path.write_bytes(path.read_bytes()[:-1]), Path.unlink])
def test_a_listing_that_is_damaged_or_removed_draws_them_and_is_written_anew(sets, embedded, tmp_path, hurt):
    first = values(sets())
    path = Listings(tmp_path).path("d", "test")
    whole = path.read_bytes()
    hurt(path)
    assert values(sets()) == first
    assert path.read_bytes() == whole
    assert len(embedded.opened) == 2


@pytest.mark.parametrize("change", [{"embedded": False}, {"drawn_by": ()}])
def test_a_set_that_does_not_tell_what_draws_it_is_drawn_each_time(sets, embedded, change):
    dataset = replace(embedded.dataset, **change)
    assert drawing(dataset) is None
    for _ in range(2):
        values(sets(find=lambda name: dataset))
    assert len(embedded.opened) == 2


def test_the_sets_that_come_with_the_package_tell_what_draws_them():
    registry = get_registry()
    known = [registry.get("datasets", name) for name in registry.names("datasets")]
    assert [one.name for one in known if one.embedded and drawing(one) is None] == []
