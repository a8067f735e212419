import pytest

from ood_toolkit.data.catalogue.imagenet import imagenet_names, imagenet_wnids
from ood_toolkit.encode.wordnet_ids import WordNetIds
from ood_toolkit.errors import DataError

WNIDS, NAMES = imagenet_wnids(), imagenet_names()


def places(known, names, **more):
    return [WordNetIds(known, **more).place(name, "set") for name in names]


@pytest.mark.parametrize("at", [0, 7, 388, 999])
def test_an_id_means_the_class_of_its_listed_name(at):
    called = NAMES[at].upper().replace(" ", "_")
    assert places(["no class of ImageNet", called], [WNIDS[at]]) == [1]
    assert places(["no class of ImageNet", "another"], [WNIDS[at]]) == [-1]
    assert places(NAMES, [WNIDS[at]]) == [at]


def test_classes_in_imagenets_order_are_found_by_it_though_others_call_many_otherwise():
    from torchvision.models._meta import _IMAGENET_CATEGORIES as THEIRS

    assert sum(own != theirs for own, theirs in zip(NAMES, THEIRS, strict=True)) > 200
    assert places(THEIRS, WNIDS) == list(range(1000))
    once = [at for at, name in enumerate(NAMES) if NAMES.count(name) == 1]
    assert places(THEIRS, [NAMES[at] for at in once]) == once
    with pytest.raises(DataError, match="set: the class name 'missile' fits 'missile' and 'projectile'"):
        places(THEIRS, ["missile"])


def test_classes_in_another_order_are_found_by_name():
    turned = NAMES[1:] + NAMES[:1]
    assert places(turned, [WNIDS[1], WNIDS[0], "n99999999"]) == [0, 999, -1]
    assert places(turned, [WNIDS[1]], in_order=True) == [1]


def test_names_mean_the_classes_that_are_ids():
    known = [WNIDS[7], WNIDS[1], "owl"]
    assert places(known, ["Goldfish", "GOLD FISH", NAMES[7], "owl", "unheard of"]) == [1, -1, 0, -1, -1]


def test_a_name_of_two_ids_is_an_error_where_both_are_classes():
    twice = next(name for name in NAMES if NAMES.count(name) == 2)
    both = [wnid for wnid, name in zip(WNIDS, NAMES, strict=True) if name == twice]
    assert places([both[1], "owl"], [twice]) == [0]
    with pytest.raises(DataError, match=f"set: the class name '{twice}' fits '{both[0]}' and '{both[1]}'"):
        places(both, [twice])
    with pytest.raises(DataError, match="set: the class name 'goldfish' fits 'Goldfish' and 'GoldFish'"):
        places(["Goldfish", "GoldFish"], ["n01443537"])


def test_the_list_is_not_read_where_no_id_is(monkeypatch):
    monkeypatch.setattr("ood_toolkit.encode.wordnet_ids.imagenet_wnids", lambda: pytest.fail("read"))
    monkeypatch.setattr("ood_toolkit.encode.wordnet_ids.imagenet_names", lambda: pytest.fail("read"))
    assert places(["cat", "dog"], ["Cat", "fox"]) == [-1, -1]
