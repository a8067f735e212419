import unicodedata

import numpy as np
import pytest

from ood_toolkit.data.catalogue.imagenet import imagenet_wnids
from ood_toolkit.encode.labels import IMAGENET, Labelled, labels_among
from ood_toolkit.errors import DataError
from ood_toolkit.outputs import Head


def head(names):
    """Make a head of these names, or of so many classes without names."""
    named = isinstance(names, list)
    return Head.linear(np.eye(len(names) if named else names), None, names if named else None)


def under(classes, names, labels=None, own=True, **more):
    said = Labelled("set", np.array(range(len(classes)) if labels is None else labels), tuple(classes), **more)
    return said.under(head(names), own=own)


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (["hot dog", "apple pie"], ["apple_pie", "hot_dog"]),
        (["hot_dog", "Apple Pie"], ["Apple-Pie", "HOT DOG"]),
        (["jalapeño", "\ufeffapple pie"], ["apple pie", unicodedata.normalize("NFD", "jalapeño")]),
    ],
)
def test_names_are_matched_whatever_their_spelling(classes, names):
    labels, note = under(classes, names)
    assert (labels.tolist(), note) == ([1, 0], "")


@pytest.mark.parametrize("names", [["aple pie", "hot dog"], ["fox", "hot dog"], ["fox", "owl"]])
def test_a_class_of_an_id_set_that_the_head_lacks_is_an_error(names):
    with pytest.raises(
        DataError, match=r"^set: the class(es)? 'apple pie'.* of its images: expected names of the head's"
    ):
        under(["apple pie", "hot dog"], names)


def test_the_message_names_the_first_and_what_they_were_compared_with():
    classes = [f"kind {place}" for place in range(9)]
    said = (
        r"classes 'kind 0', 'kind 1', 'kind 2', \.\.\. of its images: expected names of the head's 4 classes, "
        r"'a', 'b', "
        r"'c', \.\.\.; give the set or the head the names of the other"
    )
    with pytest.raises(DataError, match=said):
        under(classes, ["a", "b", "c", "d"])
    with pytest.raises(DataError, match="did you mean 'apple pie'"):
        under(["aple pie"], ["apple pie", "owl"])


def test_a_class_without_images_may_be_unknown():
    labels, _ = under(["cat", "dog", "no picture"], ["dog", "cat"], labels=[1, 0, -1, 1])
    assert labels.tolist() == [0, 1, -1, 0]


def test_under_the_head_of_another_set_unknown_classes_are_none_of_its():
    labels, note = under(["cat", "dog"], ["dog", "owl"], own=False)
    assert (labels.tolist(), note) == ([-1, 0], "")


def test_a_name_that_fits_two_classes_of_the_head_is_an_error_where_images_bear_it():
    with pytest.raises(DataError, match="set: the class name 'CRANE' fits 'Crane' and 'crane'"):
        under(["CRANE", "owl"], ["Crane", "crane", "owl"])
    labels, _ = under(["CRANE", "owl"], ["Crane", "crane", "owl"], labels=[1])
    assert labels.tolist() == [2]


@pytest.mark.parametrize("classes", [["cat", "dog"], ["7", "seven up"], ["n01440764", "n01443537"]])
def test_a_head_without_names_gives_no_labels_but_a_note(classes):
    labels, note = under(classes, 10)
    assert labels is None
    assert "the 10 classes of the head have no names" in note


def test_numbers_are_names_where_both_have_them():
    labels, note = under(["2", "0"], 3)
    assert (labels.tolist(), note) == ([2, 0], "")


def test_wordnet_ids_are_looked_up_in_the_shipped_list():
    names = [f"name {place}" for place in range(1000)]
    ids = [imagenet_wnids()[place] for place in (999, 0, 388)]
    labels, _ = under(ids, names, ids_of=IMAGENET)
    assert labels.tolist() == [999, 0, 388]
    assert labels_among(names, np.array([1, 2, -1]), ids, "set", IMAGENET).tolist() == [0, 388, -1]
    with pytest.raises(DataError, match=r"'n01440764'.*did not say"):
        under(["n01440764"], names, why_no_ids="the file did not say")
    with pytest.raises(DataError, match="'n99999999'"):
        under(["n99999999"], names, ids_of=IMAGENET)


def test_equal_names_keep_their_labels():
    labels = np.array([0, 1, 1])
    found, _ = under(["missile", "missile"], ["missile", "missile"], labels)
    assert found.tolist() == [0, 1, 1]
