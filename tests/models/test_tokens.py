"""Which texts a tokenizer cuts, against a count of tokens in a context that is long enough."""

import pytest
import torch
from open_clip.tokenizer import SimpleTokenizer

from ood_toolkit.models.digits_clip import load_digits_clip
from ood_toolkit.models.tokens import overlong

TEXTS = [
    "a photo of a cat",
    "cat " * 74,
    "cat " * 75,
    "cat " * 76,
    "cat " * 200,
    "café " * 75,
    "café " * 80,
    "ß" * 40,
    "狗" * 40,
    "",
    "x" * 75,
    "&amp;" * 30,
]


@pytest.mark.parametrize("length", [77, 32])
def test_a_text_is_cut_where_it_has_more_tokens_than_the_context(length):
    tokenize = SimpleTokenizer(context_length=length)
    expected = tuple(place for place, text in enumerate(TEXTS) if len(tokenize.encode(text)) + 2 > length)
    assert overlong(tokenize, TEXTS) == expected
    assert len(expected) > 2


class Clips:
    """A tokenizer that ends with a mark of its own after the padding, as open_clip's `clips` mode does."""

    context_length = 8

    def __call__(self, texts, context_length=8):
        rows = torch.full((len(texts), context_length), 7)
        rows[:, -1] = 99
        for row, text in zip(rows, texts, strict=True):
            words = torch.tensor([1, *(2 for _ in text.split()[: context_length - 3]), 3])
            row[: len(words)] = words
        return rows


def test_a_mark_after_the_padding_is_no_padding():
    texts = ["a-long-word-of-one b c d e", "a b c d e is too long by some", "one two three four five six"]
    assert overlong(Clips(), texts) == (1, 2)


def test_digits_clip_reads_75_letters():
    model = load_digits_clip()
    assert model.overlong(["x" * 75, "x" * 76, "a photo of a nine"]) == (1,)
