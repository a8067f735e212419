"""Make the shipped word list: `python -m ood_toolkit.data.wordnet DICT --output FILE`.

DICT is the folder of a WordNet 3.0 database, with `data.noun` and `data.adj`. The list is for NegLabel (Jiang et al.,
ICLR 2024, arXiv 2403.20078) and is made as NegLabel's own lists turn out to be when compared with WordNet:

* one list for each file of the lexicographers, without noun.animal and noun.food;
* of each synset the first word alone, in lower case, with blanks for underscores;
* no word of one letter;
* in adj.all, of two opposite head adjectives not the one that stands first, such as "abaxial" before "adaxial".

Of NegLabel's 70,000 words, 69,767 are made so, and 149 others. NegLabel's are from a newer WordNet (one is
`wordnet3.1"`), and 106 have signs that are no part of the word, as in `vitamin b1"` and `[daily`: without them 69,850
of 69,978 are the same. NegLabel's files have no order; here it is that of the alphabet.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from ood_toolkit.data.words import DIGEST, digest_of
from ood_toolkit.errors import DataError
from ood_toolkit.store.foreign.guard import reason

__all__ = ["Synset", "list_text", "read_synsets", "word_lists", "written_word"]

NOUNS = """
    Tops act animal artifact attribute body cognition communication event feeling food group location motive object
    person phenomenon plant possession process quantity relation shape state substance time
"""
FILES = {
    0: "adj.all",
    1: "adj.pert",
    44: "adj.ppl",
    **{number: f"noun.{name}" for number, name in enumerate(NOUNS.split(), 3)},
}
"""The lexicographers' files by number, as in the manual page lexnames(5WN)."""
LEFT_OUT = ("noun.animal", "noun.food")
MARKERS = ("(a)", "(p)", "(ip)")
"""What may follow an adjective in `data.adj`: where it may stand."""


@dataclass(frozen=True)
class Synset:
    """Words of one meaning, as one line of a `data` file gives them."""

    place: int
    """Where its line begins, which is also its number."""
    file: str
    words: tuple[str, ...]
    """In the lexicographers' order, in lower case, with blanks."""
    antonyms: tuple[int, ...] = ()
    """Places of synsets with an opposite word."""

    @classmethod
    def parse(cls, line: str) -> Synset:
        """Read a line, as the manual page wndb(5WN) has it; `ValueError`, `IndexError` or `KeyError` where it is none.

        `place file type count (word number)... count (sign place type words)... | gloss`, the first count in base 16.
        """
        parts = line.partition("|")[0].split()
        end = 4 + 2 * int(parts[3], 16)
        pointers = [parts[at : at + 4] for at in range(end + 1, end + 1 + 4 * int(parts[end]), 4)]
        return cls(
            int(parts[0]),
            FILES[int(parts[1])],
            tuple(written_word(word) for word in parts[4:end:2]),
            tuple(int(pointer[1]) for pointer in pointers if pointer[0] == "!"),
        )

    @property
    def opens_a_pair(self) -> bool:
        """Whether it is the first of the opposite head adjectives of a cluster."""
        return self.file == "adj.all" and bool(self.antonyms) and min(self.antonyms) > self.place


def written_word(word: str) -> str:
    """Write a word as people do: without its marker, with blanks, in lower case."""
    for marker in MARKERS:
        word = word.removesuffix(marker)
    return word.replace("_", " ").lower()


def read_synsets(file: Path) -> Iterator[Synset]:
    """Walk the synsets of a `data` file; `DataError` where it is missing or has a line that is none."""
    try:
        lines = file.read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: expected a data file of WordNet 3.0, not readable: {reason(error)}") from error
    for number, line in enumerate(lines, 1):
        if line.startswith("  "):  # the licence, at the top
            continue
        try:
            yield Synset.parse(line)
        except (ValueError, IndexError, KeyError) as error:
            raise DataError(f"{file}: line {number}: expected a synset, got {line[:40]!r}") from error


def word_lists(folder: Path) -> dict[str, tuple[str, ...]]:
    """Make the lists by file, nouns before adjectives, files and words sorted; folder holds the database."""
    found: dict[str, set[str]] = {}
    for data in ("data.noun", "data.adj"):
        for synset in read_synsets(folder / data):
            word = synset.words[0]
            if synset.file not in LEFT_OUT and not synset.opens_a_pair and len(word) > 1:
                found.setdefault(synset.file, set()).add(word)
    files = sorted(found, key=lambda file: (not file.startswith("noun."), file))
    return {file: tuple(sorted(found[file])) for file in files}


def list_text(lists: Mapping[str, tuple[str, ...]]) -> str:
    """Write lists as text: `# file`, then a word a line."""
    return "".join(f"# {file}\n" + "".join(f"{word}\n" for word in words) for file, words in lists.items())


@click.command()
@click.argument("folder", metavar="DICT", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to write, .gz.")
def main(folder: Path, output: Path) -> None:
    """Make the list of words from the WordNet 3.0 database in DICT; counts go to stderr."""
    try:
        lists = word_lists(folder)
    except DataError as error:
        raise click.ClickException(str(error)) from error
    for file, words in lists.items():
        click.echo(f"{file:<20} {len(words):>6,}", err=True)
    text = list_text(lists).encode()
    output.write_bytes(gzip.compress(text, mtime=0))
    same = "the shipped list" if digest_of(text) == DIGEST else "not the shipped list, other words"
    click.echo(f"{output}: {output.stat().st_size:,} bytes; sha256 of the text {digest_of(text)}: {same}", err=True)


if __name__ == "__main__":
    main()
