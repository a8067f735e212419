"""`Prompts`: the texts that a score's paper uses, as data: templates of the classes and banks of further texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["WORDNET", "Mining", "Prompts", "Recipe", "TextBank"]

Recipe: TypeAlias = Literal["normalise-sum-normalise", "mean-then-normalise"]
"""How the embeddings of several templates become one row a class."""

WORDNET = "wordnet"
"""The word list that comes with this package."""


@dataclass(frozen=True)
class Mining:
    """Which candidates become negative labels: of each kind of word the share least similar to the class texts."""

    share: float = 0.15
    """Share of the candidates that is kept, in (0, 1]."""
    quantile: float = 0.95
    """The similarity of a candidate is this quantile of its cosines with the class texts."""
    exclude_above: float | None = None
    """A candidate whose largest cosine with a class text exceeds this counts as a class itself and comes last."""
    count: int | None = None
    """How many are kept in place of the share, of each kind in proportion, all where there are fewer; the quantile is
    then the sorted cosine at place int(quantile * k), as OpenOOD-VLM has it."""
    ends: bool = False
    """Whether both ends are kept, `count` of all candidates: half the least similar, half the most (CLIPScope)."""
    rank: int = 50
    """With `ends`, which of the largest cosines of a candidate is its similarity; of fewer classes the least."""


@dataclass(frozen=True)
class TextBank:
    """A named bank of texts beside the classes."""

    name: str
    """What scorers need it by, as `text:NAME`."""
    source: str | tuple[str, ...] = WORDNET
    """`wordnet`, a file with one text a line, the texts themselves, or "" for what the user must give."""
    templates: tuple[str, ...] = ()
    """Prompt templates of the words; none takes those of the classes."""
    adjectives: tuple[str, ...] = ()
    """Templates of adjectives; none takes those of the other words."""
    without: tuple[str, ...] = ()
    """WordNet's files that are left out, such as `noun.person`."""
    conjugated: bool = False
    """Whether each adjective gets a noun at random, as in "sunny place" (CSP)."""
    mining: Mining | None = None
    """Which of the words are kept; None keeps all."""
    kept_as: tuple[str, str] | None = None
    """Templates under which the less and the more similar half of what is kept are encoded anew; None leaves all so."""


@dataclass(frozen=True)
class Prompts:
    """The texts a score's paper uses for the classes, as data; the runner makes a head of them."""

    templates: tuple[str, ...]
    """Prompt templates with one `{}` for the class name."""
    recipe: Recipe = "normalise-sum-normalise"
    """How the embeddings of several templates become one row a class."""
    views: bool = False
    """Whether the head also carries the embeddings of each template, as the bank `prompts` (p, k, d)."""
    shuffles: int = 0
    """How many times the words around each class name are put in another order, as the bank `shuffled` (p, k, d)."""
    seed: int = 0
    """Of the shuffles and of the nouns that adjectives get."""
    banks: tuple[TextBank, ...] = ()
    """Further texts that the head carries."""
    noise: int = 0
    """Pictures of each of five kinds of noise whose embeddings are the bank `noise` (5 noise, d)."""
