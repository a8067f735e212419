from collections import namedtuple

import numpy as np
import pytest

from ood_toolkit.api.dataset import Pictures
from ood_toolkit.data.readers.captions import Pairs, labelled_pairs
from ood_toolkit.learning.captions import notes_of

Model = namedtuple("Model", "overlong")
TWENTY = Model(lambda texts: tuple(place for place, text in enumerate(texts) if len(text) > 20))


@pytest.mark.parametrize(
    ("subjects", "templates", "given", "cut"),
    [
        (("a cat", "a dog"), ("{}",), (), 0),
        (("a cat", "x" * 21, "x" * 21), ("{}",), (), 2),
        (("a cat", "a dog"), ("{}", "a long picture of {}"), (), 2),
        (("a cat", "a hippopotamus"), ("a photo of {}",), (), 1),
        (("a cat", "a dog"), ("{}",), ("a long picture of {}", "{}"), 2),
    ],
)
def test_pairs_whose_captions_are_cut_are_counted(subjects, templates, given, cut):
    pairs = Pairs([None] * len(subjects), tuple(map(str, range(len(subjects)))), subjects, templates)
    notes = notes_of(TWENTY, [pairs], given)
    said = f"captions of {cut} of {len(subjects)} pairs are longer than the text tower takes and are cut"
    assert notes == ([said] if cut else [])


def test_images_of_no_class_are_counted():
    pictures = Pictures([None] * 4, tuple("abcd"), np.array([0, -1, 1, -1]), ("cat", "dog"))
    pairs = labelled_pairs(pictures, ("a {}",))
    assert pairs.subjects == ("cat", "dog")
    assert notes_of(TWENTY, [pairs]) == ["2 of 4 images of no class are left out"]
