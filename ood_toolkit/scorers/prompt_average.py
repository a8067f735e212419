"""`prompt-average`: a score averaged over prompts, as in TAG (Liu and Zach, ECCV 2024) and CoVer (NeurIPS 2024)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from ood_toolkit.api.scorer import Scorer, without_fit
from ood_toolkit.scorers.msp import MSP

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs
    from ood_toolkit.outputs.head import Head


@dataclass
class PromptAverage(Scorer):
    """Mean over the templates p of the base score under the head of template p alone: (1/P) sum_p S(x; t_p).

    The class predicted is that of the head of all templates together. Needs the bank `prompts` (p, k, d).
    """

    name = "prompt-average"
    group = "clip"
    bank: ClassVar[str] = "prompts"
    """Which bank (p, k, d) holds the texts of each prompt."""

    base: Scorer = field(default_factory=MSP)
    """The score that is averaged."""

    def __post_init__(self) -> None:
        without_fit(self, self.base)

    @property
    def needs(self) -> frozenset[str]:
        """What the base needs, and the texts of each template."""
        return self.base.needs | {"zero_shot", f"text:{self.bank}"}

    def score(self, x: Outputs) -> Tensor:
        """Give the mean score (n,)."""
        scores = [self.base.score(x.with_head(head)).double() for head in _heads(x, self.bank)]
        return sum(scores[1:], scores[0]) / len(scores)


def averaged(scorer: Scorer) -> Scorer:
    """Make a scorer average over prompts: itself, or the base that its thresholds are of."""
    inner = scorer.parameters().get("base")
    if isinstance(inner, Scorer) and not isinstance(scorer, PromptAverage):
        return type(scorer)(**{**scorer.parameters(), "base": averaged(inner)})
    return scorer if isinstance(scorer, PromptAverage) else PromptAverage(scorer)


def _heads(x: Outputs, bank: str) -> list[Head]:
    """Make the head of each template."""
    head = x.head
    if head is None:
        return []
    return [replace(head, weight=view, banks={}) for view in head.bank(bank).embeddings]
