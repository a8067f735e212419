"""`Sentences`: prompts composed at random around a class name, its absence, or anything else."""

from __future__ import annotations

import random
import string
from collections.abc import Sequence

from ood_toolkit.data.catalogue.digits import DIGITS
from ood_toolkit.learning.digits_clip.shapes import SHAPES

__all__ = ["Sentences"]


def listed(text: str, mark: str | None = None) -> tuple[str, ...]:
    """Split a text at white space, or at a mark, into parts."""
    return tuple(text.split(mark))


NOUNS = listed(
    "photo picture image photograph sketch scan rendering snapshot painting sample view copy print "
    "cartoon sculpture poster"
)
ADJECTIVES = listed(
    "small large clean dark bright pixelated grey cropped close-up good nice cool weird old new "
    "handwritten jpeg sharp grainy faded noisy thin"
)
KINDS = listed("number digit figure numeral symbol sign shape character object thing")
OPENINGS = listed(
    "this is|here is|there is|we see|it is|look at|an example of|i wrote|you can see|this might be|a page with",
    "|",
)
TAILS = listed(
    "on paper|in ink|in a book|in the centre|in white|by hand|from a form|in black and white|"
    "of low resolution|at night|on a wall|in the scene|, in grey|in a game|, a kind of sign|"
    ", written by hand|with thick strokes|in the dark",
    "|",
)
WORDS = listed(
    "table tree house river stone green slow water music horse paper cloud street sugar window garden "
    "yellow bread winter glass metal apple school train mountain bird sleep letter dog cat car ship king "
    "song leaf salt fish hill rope wheel candle forest market silver bottle kitchen summer engine animal "
    "plant person food face building flower very quite some any with from about over under near always "
    "again today really"
)
NEGATIONS = listed(
    "no|no|no|not a|not the|not|without a|without any|anything but a|never a|other than a|lacking a|free of",
    "|",
)
BANNED = frozenset({"no", "not", "non", "never", "without", "lacking", "free", *DIGITS.classes, *SHAPES})
"""Words that are not thrown in at random, as they would change what a prompt says."""
LETTERS_THAT_FIT = 75
"""A context of 77 symbols less start and end."""


def joined(parts: Sequence[str]) -> str:
    """Join the parts that are not empty."""
    return " ".join(part for part in parts if part)


class Sentences:
    """Composes prompts about a class name, its absence or anything else; the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.bare = 0.1
        """Share of prompts with nothing around the class name."""

    def yes(self, name: str, words: int = 4) -> str:
        """Compose a prompt for images of a class, with at most `words` stray words on each side."""
        article = self.maybe(0.8, ["a", "the", "a", "the", "my", "this", "that", "some"])
        return self.around([article, self.maybe(0.25, ADJECTIVES), self.maybe(0.25, KINDS), name], words)

    def no(self, name: str, words: int = 4) -> str:
        """Compose a prompt for images that are not of a class."""
        return self.around([self.rng.choice(NEGATIONS), self.maybe(0.2, KINDS), name], words)

    def other(self, words: int = 4) -> str:
        """Compose a prompt about something that is no class."""
        return self.yes(self.word(), words)

    def around(self, subject: Sequence[str], words: int) -> str:
        """Put a phrase, stray words or both around a subject, as far as the context allows."""
        alone = joined(subject)
        if self.rng.random() < self.bare:
            return alone
        kind = self.rng.random()
        before, after = [], []
        if kind < 0.75:
            medium = f"{self.maybe(0.3, ADJECTIVES)} {self.rng.choice(NOUNS)}"
            phrases = [f"a {medium} of", f"the {medium} of", f"{medium} of", f"{medium}:"]
            before = [self.maybe(0.3, OPENINGS), self.maybe(0.6, phrases)]
            after = [self.maybe(0.3, TAILS)]
        if kind > 0.5:
            before += [self.word() for _ in range(self.rng.randint(0, words))]
            after = [self.word() for _ in range(self.rng.randint(0, words))] + after
        if kind > 0.75:
            self.rng.shuffle(before)
        text = joined([*before, alone, *after]) + self.maybe(0.4, [".", "!", "?", " .", ",", ":", ";", '"'])
        return text if len(text.replace(" ", "")) <= LETTERS_THAT_FIT else alone

    def maybe(self, share: float, choices: Sequence[str]) -> str:
        """Draw one of the choices, or nothing in 1 - share of the cases."""
        return self.rng.choice(choices) if self.rng.random() < share else ""

    def word(self) -> str:
        """Draw a word, half of the time a made-up one, that is neither a class name nor a negation."""
        while True:
            length = self.rng.randint(1, 8)
            made_up = "".join(self.rng.choice(string.ascii_lowercase) for _ in range(length))
            word = self.rng.choice([made_up, self.rng.choice(WORDS)])
            if word not in BANNED:
                return word
