"""NegLabel, negative labels: Jiang et al., ICLR 2024, arXiv 2403.20078."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.api.prompts import Mining, Prompts, TextBank
from ood_toolkit.api.scorer import Scorer, not_negative, positive
from ood_toolkit.scorers.families.negatives import check_share, grouped, negatives_of, texts_of

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class NegLabel(Scorer):
    """Probability of the ID classes against groups of negative labels, (1/G) sum_g A / (A + B_g), in (0, 1).

    A = sum_k exp(z_k) over the class logits z (n, k), B_g = sum over the negatives j of group g of exp(z~_j), where
    z~ (n, m) are the logits of the bank `negatives` at the same scale. The last m mod G negatives, the least distant,
    are left out, the others put in a random order that is fixed by the seed and cut into G groups of equal size;
    fewer negatives than groups make one group each. Each term is the sigmoid of log A - log B_g, and the mean is
    taken in float64: at scale 100 most ID images lie within 1e-7 of 1.

    The negatives are mined from a word list where there is a text tower: of nouns and of adjectives the `share` that
    is least similar to the classes. The reference code draws its order on a GPU, which no CPU can repeat, and gives
    logits instead of probabilities where there is one group; neither is followed.
    """

    groups: int = 100
    """G; 1 is the score without grouping."""
    temperature: float = 1.0
    """T, on logits at the scale of the model (100 for CLIP, so that it is 0.01 on cosines)."""
    share: float = 0.15
    """Share of the candidate words that become negatives, in (0, 1]."""
    seed: int = 0
    """Of the order of the negatives."""

    name = "neglabel"
    group = "clip"
    needs = frozenset({"zero_shot", "text:negatives"})
    bounds = (0.0, 1.0)

    def __post_init__(self) -> None:
        positive(self, "groups", "temperature")
        not_negative(self, "seed")
        check_share(self, self.share)

    @property
    def prompts(self) -> Prompts:
        """The paper's prompts and how its negatives are chosen."""
        bank = TextBank("negatives", adjectives=("This is a {} photo",), mining=Mining(self.share))
        return Prompts(("the nice {}",), banks=(bank,))

    def score(self, x: Outputs) -> Tensor:
        """Give the mean probability (n,) float64."""
        return x.map(self._score)

    def _score(self, x: Outputs) -> Tensor:
        negatives = negatives_of(x, self.groups, self.seed)
        centred = texts_of(x).bank("negatives").centred(self.seed, len(negatives))
        return grouped(x, negatives, self.groups, self.temperature, centred)
