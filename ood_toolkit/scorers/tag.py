"""TAG, text prompt augmentation: Liu and Zach, ECCV 2024."""

from __future__ import annotations

from dataclasses import dataclass

from ood_toolkit.api.scorer import Prompts, positive
from ood_toolkit.scorers.prompt_average import PromptAverage


@dataclass
class TAG(PromptAverage):
    """Mean of a score over M prompts with shuffled words, (1/M) sum_m S(x; t_m).

    The words of `a photo of a {class}` are put in a random order M times, drawn for each class on its own; the name
    stays together. S is any score that needs no fitting: msp, maxlogit, energy or gen at the scale of the model, as
    in the paper. Needs the bank `shuffled` (M, k, d).
    """

    count: int = 10
    """M, how many orders."""
    seed: int = 0
    """Of the orders."""

    name = "tag"
    bank = "shuffled"

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "count")

    @property
    def prompts(self) -> Prompts:
        """The paper's template and how often it is shuffled."""
        return Prompts(("a photo of a {}",), shuffles=self.count, seed=self.seed)
