"""Texts that the tokenizer cuts: prompts of classes are refused, words of banks are counted."""

import re

import pytest
import torch

from ood_toolkit.api.prompts import Mining, Prompts, TextBank
from ood_toolkit.encode.banks import text_bank
from ood_toolkit.encode.texts import zero_shot_head
from ood_toolkit.errors import DataError
from ood_toolkit.models.digits_clip import load_digits_clip
from ood_toolkit.outputs.head import Bank

LONG = "ab " * 36 + "{}"
"""72 letters, each a token for digits-clip, which takes 75."""


@pytest.fixture(scope="module")
def model():
    return load_digits_clip()


@pytest.mark.parametrize(
    ("templates", "names", "which", "count"),
    [
        ((LONG,), ("two", "seventeen"), "seventeen", "1 of 2"),
        (("a {}", LONG), ("two", "seventeen"), "seventeen", "1 of 4"),
        (("a {}",), ("two", "seven" * 20), "seven" * 20, "1 of 2"),
        ((LONG + " now",), ("two", "six"), "two", "2 of 2"),
    ],
)
def test_prompts_that_would_be_cut_name_template_and_class(model, templates, names, which, count):
    with pytest.raises(DataError, match=f"the prompt '.*' with the class '{which}'.* as {count} prompts have"):
        zero_shot_head(model, names, Prompts(templates))


def test_prompts_that_fit_are_taken(model):
    head = zero_shot_head(model, ("two", "six"), Prompts(("x" * 70 + "{}",)))
    assert head.class_names == ("two", "six")


@pytest.mark.parametrize("words", [("one", "y" * 90), ("z" * 99, "y" * 90), ("one", "two")])
def test_words_of_a_bank_that_are_cut_are_counted(model, words):
    classes = Bank(torch.eye(2, 64), ("a", "b"))
    cut = sum(len(word) > 60 for word in words)
    bank = text_bank(model, TextBank("more", words, templates=("a {}", "the {}")), classes, Prompts(("{}",)), None)
    assert bank.texts == words
    assert bank.source == (
        f"{cut} of the 2 texts of more are longer than the text tower takes and are cut" if cut else ""
    )
    mined = text_bank(model, TextBank("more", words, mining=Mining(1.0)), classes, Prompts(("{}",)), None)
    assert re.fullmatch(r"2 negatives, mined from 2 words(; \d of the 2 texts.*cut)?", mined.source)
    assert ("cut" in mined.source) == bool(cut)
