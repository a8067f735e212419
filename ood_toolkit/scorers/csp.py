"""CSP, conjugated semantic pool: Chen et al., NeurIPS 2024, arXiv 2410.08611."""

from __future__ import annotations

from dataclasses import dataclass

from ood_toolkit.api.prompts import Mining, Prompts
from ood_toolkit.scorers.neglabel import NegLabel

NOUNS = (
    "a close-up photo of the nice {}.",
    "a photo with the nice {}.",
    "a good photo with the nice {}.",
    "a photo of the nice {}.",
    "{}",
    "the {}",
    "the good {}",
    "the nice {}",
)
ADJECTIVES = ("{}", "a nice photo of {}", "a good photo of {}", "a close-up photo of {}")
WITHOUT = ("noun.person", "noun.quantity", "noun.group", "adj.pert")
SIMILAR = 0.95


@dataclass
class CSP(NegLabel):
    """NegLabel's score on another pool of negatives, in (0, 1).

    Adjectives become super-classes, each with one of 14 general nouns at random ("sunny place"); four of WordNet's
    files are left out; a candidate with a cosine above 0.95 to any class text comes last, so that it is a negative only
    where the share leaves room for it. Class and noun embeddings are means over eight templates, those of adjectives
    over four, of members that are not normalised. The nouns of adjectives depend on the order of the word list, here
    by file name; the reference code's order is that of its folder. With `mine=inter` images choose among this pool, as
    `neglabel` says, and no cosine puts a candidate last.
    """

    name = "csp"

    @property
    def prompts(self) -> Prompts:
        """The paper's prompts and how its negatives are chosen."""
        mining = Mining(self.share, exclude_above=SIMILAR)
        bank = self.text_bank(mining, adjectives=ADJECTIVES, without=WITHOUT, conjugated=True)
        return Prompts(NOUNS, "mean-then-normalise", banks=(bank,))
