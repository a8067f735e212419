"""Words to make negative labels of: the shipped list, from WordNet 3.0, and lists of one's own."""

from __future__ import annotations

import gzip
import hashlib
import random
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

from ood_toolkit.errors import DataError
from ood_toolkit.store.foreign.lines import read_lines

__all__ = ["CSP_HEADS", "Word", "Words", "conjugated", "read_words", "wordnet_words"]

SHIPPED = Path(__file__).with_name("wordnet_words.txt.gz")
"""Made by `ood_toolkit.data.wordnet`; `LICENSE-WordNet` beside it is its licence."""
DIGEST = "5a42749fe2eb50245500ac722f62ac4185ee98ea75570d338d01e6d41c20d108"
"""SHA-256 of the shipped list's text: another list would move every number."""
CSP_HEADS = (
    *("environment", "space", "object", "scene", "place", "item", "area"),
    *("view", "thing", "pattern", "structure", "landscape", "vista", "creature"),
)
"""What CSP makes phrases of adjectives with."""


class Word(NamedTuple):
    """A word or phrase, what it is, and where it is from."""

    text: str
    part: Literal["noun", "adj"]
    file: str
    """The lexicographers' file, such as noun.act, or the name of a file of one's own."""


@dataclass(frozen=True)
class Words:
    """Words in a fixed order, nouns before adjectives, each once."""

    entries: tuple[Word, ...]

    @classmethod
    def of(cls, texts: Iterable[str], source: str) -> Words:
        """Take texts as nouns of a source; repeats are left out."""
        return cls(tuple(Word(text, "noun", source) for text in dict.fromkeys(texts)))

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Word]:
        return iter(self.entries)

    @property
    def nouns(self) -> tuple[str, ...]:
        """The nouns alone, in their order."""
        return tuple(word.text for word in self.entries if word.part == "noun")

    @property
    def adjectives(self) -> tuple[str, ...]:
        """The adjectives alone, in their order."""
        return tuple(word.text for word in self.entries if word.part == "adj")


def wordnet_words(without: Collection[str] = ()) -> Words:
    """Give the shipped words but for those of some files, such as `noun.person`; `DataError` for an unknown file.

    A word of several files is of the first that is not left out: nouns before adjectives, files by name. The codes of
    NegLabel and CSP take files in the order of `os.listdir`, which is another on another disk.
    """
    lists = shipped_lists()
    if unknown := sorted(set(without) - set(lists)):
        raise DataError(f"the word list: expected files among {', '.join(lists)}, got {', '.join(unknown)}")
    first: dict[str, Word] = {}
    for file in lists:
        if file not in without:
            part: Literal["noun", "adj"] = "noun" if file.startswith("noun.") else "adj"
            for text in lists[file]:
                first.setdefault(text, Word(text, part, file))
    return Words(tuple(first.values()))


@cache
def shipped_lists() -> Mapping[str, tuple[str, ...]]:
    """Read the shipped words by file, nouns before adjectives, once; `DataError` where they are not those shipped."""
    try:
        content = gzip.decompress(SHIPPED.read_bytes())
    except (OSError, EOFError, zlib.error):
        raise DataError(f"{SHIPPED}: the shipped word list is not readable; install the package again") from None
    if digest_of(content) != DIGEST:
        raise DataError(f"{SHIPPED}: expected the shipped word list, got other words; install the package again")
    lists: dict[str, list[str]] = {}
    for line in content.decode().splitlines():
        if line.startswith("# "):
            lists[line[2:]] = words = []
        else:
            words.append(line)
    return MappingProxyType({file: tuple(words) for file, words in lists.items()})


def digest_of(content: bytes) -> str:
    """Give the SHA-256 of a list's text."""
    return hashlib.sha256(content).hexdigest()


def read_words(path: Path | str) -> Words:
    """Read a word or phrase a line, UTF-8, all as nouns; blank lines, lines from `#` and repeats are left out.

    `DataError` where the file is missing, is not UTF-8, or has no word.
    """
    path = Path(path)
    lines = read_lines(path)
    texts = dict.fromkeys(
        " ".join(line.split()) for line in lines if line.strip() and not line.lstrip().startswith("#")
    )
    if not texts:
        raise DataError(f"{path}: expected a word a line, got none")
    return Words.of(texts, path.name)


def conjugated(adjectives: Iterable[str], seed: int = 0) -> tuple[str, ...]:
    """Make CSP's phrases, `red` to such as `red scene`, each with one of `CSP_HEADS` drawn at random.

    One draw of Python's `random` for each adjective in the given order, as in CSP's code (Chen, Gao and Xu, NeurIPS
    2024, arXiv 2410.08611), whose order is that of files on disk: the same adjectives in another order get other heads.
    """
    draw = random.Random(seed)
    return tuple(f"{adjective} {draw.choice(CSP_HEADS)}" for adjective in adjectives)
