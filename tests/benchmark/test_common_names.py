"""Members that call a class by other spellings speak of one class; a name that fits two is an error."""

import unicodedata

import numpy as np
import pytest

import ood_toolkit
from ood_toolkit import Head, Member, Outputs
from ood_toolkit.benchmark.members import common_names
from ood_toolkit.errors import DataError

FIRST = ["apple_pie", "hot dog", "jalape\u00f1o"]
DRAW = np.random.default_rng(0)
TEXTS, STRANGE = DRAW.normal(size=(3, 6)), DRAW.normal(size=(9, 6))


def member(names, sets, labels=None):
    """Give what one model put out for sets of rows, by name; labels number the classes of the set's own member."""
    head = Head.linear(TEXTS, None, names)
    tests = {
        name: Outputs(rows, labels=None if labels is None else labels[name], head=head) for name, rows in sets.items()
    }
    return Member(None, tests, {"o": Outputs(STRANGE, head=head)})


def of(*listed):
    return {
        str(place): Outputs(np.ones((2, 6)), head=Head.linear(TEXTS, None, names)) for place, names in enumerate(listed)
    }


@pytest.mark.parametrize(
    "other",
    [
        FIRST,
        ["Apple Pie", "Hot-Dog", "JALAPE\u00d1O"],
        ["apple-pie", "hot_dog", unicodedata.normalize("NFD", "jalape\u00f1o")],
        ["\ufeffapple pie", "HOT DOG", "Jalape\u00f1o"],
    ],
)
def test_spellings_of_one_class_are_one(other):
    found = common_names(of(FIRST, other, ["owl", *other[1:]]))
    assert found["0"].tolist() == FIRST
    assert found["1"].tolist() == FIRST
    assert found["2"].tolist() == ["owl", *FIRST[1:]]


def test_signs_still_count():
    assert common_names(of(["C++", "+5V", "1.5 l"], ["C", "-5V", "15 l"]))["1"].tolist() == ["C", "-5V", "15 l"]


def test_one_member_keeps_its_names():
    assert common_names(of(["Crane", "crane", "CRANE"]))["0"].tolist() == ["Crane", "crane", "CRANE"]


def test_what_fits_two_is_an_error():
    with pytest.raises(DataError, match="members: '1': the class name 'CRANE' fits 'Crane' and 'crane'"):
        common_names(of(["Crane", "crane", "owl"], ["CRANE", "owl", "fox"]))
    with pytest.raises(DataError, match="members: '1': its classes 'Crane' and 'crane' both fit 'crane' of another"):
        common_names(of(["crane", "owl", "fox"], ["Crane", "crane", "owl"]))
    with pytest.raises(DataError, match="'Hot Dog' and 'hot_dog' both fit 'hot dog'"):
        common_names(of(FIRST, ["Hot Dog", "hot_dog", "fox"]))


def test_right_is_right_whatever_the_spelling():
    rows = {name: DRAW.normal(size=(60, 6)) for name in ("a", "b")}
    labels = {name: (values @ TEXTS.T).argmax(axis=1) for name, values in rows.items()}
    labels["b"][:6] = (labels["b"][:6] + 1) % 3
    val = Outputs(DRAW.normal(size=(50, 6)), head=Head.linear(TEXTS, None, FIRST))

    def report(names):
        members = {"a": member(FIRST, rows, labels), "b": member(names, rows, labels)}
        members = {
            name: Member(Outputs(val.features, head=one.tests["a"].head), one.tests, one.ood)
            for name, one in members.items()
        }
        return ood_toolkit.bench("msp", members=members, combiners="max-confidence,vote,mean-score")

    same, other = report(FIRST), report(["Apple Pie", "HOT_DOG", "jalapen\u0303o"])
    assert [row.flat() | {"seconds": 0} for row in other.rows] == [row.flat() | {"seconds": 0} for row in same.rows]
    assert [one["accuracy"] for one in other.header["id"]] == [1.0, 0.9]
    union = [row for row in other.rows if row.kind == "misclassification" and row.id == "union"]
    assert {row.n_id for row in union} == {120}
