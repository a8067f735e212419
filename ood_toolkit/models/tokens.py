"""Which texts a tokenizer of open_clip cuts: those that have more tokens in a longer context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["overlong"]

LONGER = 8
"""By how many tokens a second look is longer; some tokenizers set three aside for marks."""
MARKS = 3
BATCH = 1024


def overlong(tokenize: Any, texts: Sequence[str]) -> tuple[int, ...]:
    """Give the places of the texts that do not fit the context of a tokenizer.

    A token is at least a byte of the text, so that most texts need no second look.
    """
    length = tokenize.context_length
    long = [place for place, text in enumerate(texts) if not text.isascii() or len(text) + MARKS > length]
    return tuple(
        place for start in range(0, len(long), BATCH) for place in _cut(tokenize, texts, long[start : start + BATCH])
    )


def _cut(tokenize: Any, texts: Sequence[str], places: list[int]) -> list[int]:
    """Compare the number of tokens of some texts in the context and in a longer one."""
    length = tokenize.context_length
    padding = tokenize([""], context_length=length)[0, -2]  # the last may be a mark of its own
    chosen = [texts[place] for place in places]
    short, long = ((tokenize(chosen, context_length=n) != padding).sum(1) for n in (length, length + LONGER))
    return [place for place, fewer in zip(places, (short < long).tolist(), strict=True) if fewer]
