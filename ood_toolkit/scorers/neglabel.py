"""NegLabel, negative labels: Jiang et al., ICLR 2024, arXiv 2403.20078."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ood_toolkit.api.component import DEPENDS
from ood_toolkit.api.prompts import Mining, Prompts
from ood_toolkit.api.scorer import Scorer, not_negative, positive
from ood_toolkit.scorers.families.mining import COUNT, INTER, QUANTILE, MinesTexts, check_mine
from ood_toolkit.scorers.families.negatives import grouped, texts_of

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs
    from ood_toolkit.outputs.head import Head

RULES: dict[str, dict[str, Any]] = {
    QUANTILE: {"groups": 100, "share": 0.15, "count": 0},
    INTER: {"groups": 5, "share": 1.0, "count": COUNT},
}
"""What the parameters are by default, by the rule of mining."""


@dataclass
class NegLabel(MinesTexts, Scorer):
    """Probability of the ID classes against groups of negative labels, (1/G) sum_g A / (A + B_g), in (0, 1).

    A = sum_k exp(z_k) over the class logits z (n, k), B_g = sum over the negatives j of group g of exp(z~_j), where
    z~ (n, m) are the logits of the bank `negatives` at the same scale. The last m mod G negatives, the least distant,
    are left out, the others put in a random order that is fixed by the seed and cut into G groups of equal size;
    fewer negatives than groups make one group each. Each term is the sigmoid of log A - log B_g, and the mean is
    taken in float64: at scale 100 most ID images lie within 1e-7 of 1.

    The negatives are mined from a word list where there is a text tower: of nouns and of adjectives the `share` that
    is least similar to the classes. The reference code draws its order on a GPU, which no CPU can repeat, and gives
    logits instead of probabilities where there is one group; neither is followed.

    With `mine=inter`, InterNeg (Xu et al., CVPR 2026, arXiv 2603.02618), images choose: m_k is the unit mean of the
    unit embeddings of the training images of class k, t_k its text. A candidate w is kept iff m_k . w < m_k . t_k for
    every class; of those the `count` with the largest mean over the classes of m_k . t_k - m_k . w are negatives, of
    nouns and adjectives as many as their shares of those that pass.
    """

    groups: int = DEPENDS
    """G; 1 is the score without grouping. By default 100, with mine=inter 5."""
    temperature: float = 1.0
    """T, on logits at the scale of the model (100 for CLIP, so that it is 0.01 on cosines)."""
    share: float = DEPENDS
    """Share of the candidate words that become negatives, in (0, 1]. By default 0.15; 1 with mine=inter, at most."""
    seed: int = 0
    """Of the order of the negatives."""
    mine: str = QUANTILE
    """How negatives are chosen: quantile, by their cosines with the class texts, or inter, by training images."""
    count: int = DEPENDS
    """With mine=inter, how many of the candidates become negatives at most; by default 2,000."""

    name = "neglabel"
    group = "clip"
    bounds = (0.0, 1.0)

    def __post_init__(self) -> None:
        check_mine(self, RULES)
        positive(self, "groups", "temperature")
        not_negative(self, "seed")

    def default_of(self, name: str) -> Any:
        """Give the value of a parameter that is not given, which may depend on `mine`."""
        known = super().default_of(name)
        return RULES[self.mine][name] if known is DEPENDS else known

    @property
    def needs(self) -> frozenset[str]:
        """Negatives, or candidates and the images that choose among them."""
        return frozenset({"zero_shot"}) | self.mining_needs

    @property
    def prompts(self) -> Prompts:
        """The paper's prompts and how its negatives are chosen."""
        bank = self.text_bank(Mining(self.share), adjectives=("This is a {} photo",))
        return Prompts(("the nice {}",), banks=(bank,))

    def in_groups(self, head: Head) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Give as many negatives (m, d) as fill the groups, in the order of the seed; then their mean and the rest."""
        bank = self.bank(head)
        count = len(bank.rows) - len(bank.rows) % min(self.groups, len(bank.rows))
        return bank.shuffled(self.seed, count), bank.centred(self.seed, count)

    def score(self, x: Outputs) -> Tensor:
        """Give the mean probability (n,) float64."""
        return x.map(self._score)

    def _score(self, x: Outputs) -> Tensor:
        negatives, centred = self.in_groups(texts_of(x))
        return grouped(x, negatives, self.groups, self.temperature, centred)
