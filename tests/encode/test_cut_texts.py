"""Texts that the tokenizer cuts: prompts of classes are refused, words of banks are counted."""

import re

import pytest
import torch
from safetensors.numpy import load, save

from ood_toolkit.api.prompts import Mining, Prompts, TextBank
from ood_toolkit.encode.banks import text_bank
from ood_toolkit.encode.texts import class_texts, text_identity, zero_shot_head
from ood_toolkit.errors import DataError
from ood_toolkit.models.digits_clip import load_digits_clip
from ood_toolkit.outputs.head import Bank
from ood_toolkit.store.checksum import body_of, checked
from ood_toolkit.store.texts import Texts

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


class Asked:
    """A model that counts the texts that its tokenizer is asked about, and those that are encoded."""

    def __init__(self, model):
        self.model, self.asked, self.encoded = model, [], []

    def __getattr__(self, name):
        return getattr(self.model, name)

    def overlong(self, texts):
        self.asked += texts
        return self.model.overlong(texts)

    def encode_texts(self, texts):
        self.encoded += texts
        return self.model.encode_texts(texts)

    def counted(self):
        counts = len(self.asked), len(self.encoded)
        self.asked, self.encoded = [], []
        return counts


def test_the_store_remembers_that_prompts_fit_and_how_many_words_are_cut(model, tmp_path):
    counter, classes = Asked(model), Bank(torch.eye(2, 64), ("a", "b"))
    words = TextBank("more", ("one", "y" * 90), templates=("a {}", "the {}"))
    made = []
    for wanted in ((8, 6), (0, 0)):
        head = zero_shot_head(counter, ("two", "six"), Prompts(("a {}",)), tmp_path)
        bank = text_bank(counter, words, classes, Prompts(("{}",)), tmp_path)
        made.append((head.fingerprint, bank.source, bank.rows.tolist()))
        assert counter.counted() == wanted
    assert made[0] == made[1]
    assert made[0][1].startswith("1 of the 2 texts of more are longer")


def test_texts_of_an_older_store_are_asked_about_once(model, tmp_path):
    counter, prompts = Asked(model), Prompts(("a {}",))
    first = zero_shot_head(counter, ("two", "six"), prompts, tmp_path)
    identity = text_identity(model, ("two", "six"), prompts)
    texts = Texts(tmp_path)
    path = texts._path(identity)
    body = body_of(path.read_bytes())
    path.write_bytes(checked(save({"rows": load(body)["rows"]})))  # as it was written before
    assert texts.read(identity).cut is None
    counter.counted()
    for wanted in ((2, 0), (0, 0)):
        assert zero_shot_head(counter, ("two", "six"), prompts, tmp_path).fingerprint == first.fingerprint
        assert counter.counted() == wanted


def test_prompts_that_are_cut_are_refused_whatever_the_store_has(model, tmp_path):
    class_texts(model, ("two", "seventeen"), Prompts((LONG,)), tmp_path)
    counter = Asked(model)
    with pytest.raises(DataError, match=r"'seventeen'.* as 1 of 2 prompts have"):
        zero_shot_head(counter, ("two", "seventeen"), Prompts((LONG,)), tmp_path)
    assert counter.counted() == (0, 0)
    with pytest.raises(DataError, match="'seventeen'"):
        zero_shot_head(counter, ("six", "seventeen"), Prompts((LONG,)), tmp_path)
    assert counter.counted() == (2, 0)
