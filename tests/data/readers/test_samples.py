import pytest

from ood_toolkit.api.picture import PartPicture
from ood_toolkit.data.readers.samples import TarMember, TarShard, grouped, notes_of


def shard(*names, labels=None, captions=None):
    members = [TarMember(name, PartPicture("x.tar", place, 1)) for place, name in enumerate(names)]
    return grouped(members, labels or {}, captions or {})


def labels_of(found):
    return {key: label for key, (_, label) in found.samples.items()}


@pytest.mark.parametrize(
    ("names", "labels", "expected"),
    [
        (("0.png", "0.cls", "1.jpg", "1.cls"), {"0": 1, "1": 0}, {"0": 1, "1": 0}),
        (("p.v2.0.png", "p.v2.1.png", "p.v2.1.cls"), {"p.v2.1": 1}, {"p.v2.0": None, "p.v2.1": 1}),
        (("0.left.png", "0.right.png", "0.cls"), {"0": 3}, {"0.left": 3, "0.right": 3}),
        (("0.png", "0.jpg", "0.cls"), {"0": 2}, {"0.png": 2, "0.jpg": 2}),
        (("0.small.png", "0.cls"), {"0": 2}, {"0": 2}),
        (("a/0.png", "b/0.png", "a/0.cls"), {"a/0": 5}, {"a/0": 5, "b/0": None}),
        (("v1.5/0.png", "v1.5/0.cls"), {"v1.5/0": 1}, {"v1.5/0": 1}),
        (("0.avif", "1.BMP", "2.jfif"), {}, {"0": None, "1": None, "2": None}),
        (("0.left.png", "0.left.cls", "0.cls"), {"0.left": 1, "0": 2}, {"0": 1}),
    ],
)
def test_every_picture_has_a_key_and_the_label_beside_it(names, labels, expected):
    found = shard(*names, labels=labels)
    assert labels_of(found) == expected
    assert [picture.offset for picture, _ in found.samples.values()] == [
        place for place, name in enumerate(names) if not name.endswith("cls")
    ]


def test_captions_go_with_pictures_as_labels_do():
    assert shard("0.a.png", "0.b.png", "0.txt", captions={"0": "two"}).captions == {"0.a": "two", "0.b": "two"}


def test_members_without_a_picture_and_others_are_counted():
    found = shard("0.png", "0.cls", "0.json", "0.npy", "1.heic", "1.cls", "notes", labels={"0": 0, "1": 1})
    assert found.without_picture == ("1.heic", "1.cls", "notes")
    assert found.others == ("0.npy",)
    assert notes_of([("a", found)]) == [
        "3 members have no picture beside them, such as a/1.heic (.heic 1, .cls 1, without suffix 1)",
        "1 other members are left out: .npy 1",
    ]
    assert notes_of([("a", shard("0.png", "0.cls", "0.json")), ("b", TarShard())]) == []
