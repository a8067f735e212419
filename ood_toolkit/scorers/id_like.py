"""ID-like prompts: Bai et al., CVPR 2024, arXiv 2311.15243; and LAPT: Zhang et al., ECCV 2024, arXiv 2407.08966."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.api.scorer import Scorer, positive
from ood_toolkit.scorers.families.negatives import grouped, texts_of

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class IDLike(Scorer):
    """Probability of the classes against learned OOD texts, sum_{k in ID} softmax([z, z~])_k, in (0, 1).

    z (n, k) are the class logits and z~ (n, m) those of the bank `negatives`, learned OOD prompts, both at the scale
    of the model. Give the texts with the head, or with `--texts negatives=FILE`. The authors' repository holds no
    score; this form is the one in LogitGap's comparison with them.
    """

    temperature: float = 1.0
    """T, on logits."""

    name = "id-like"
    group = "clip"
    needs = frozenset({"zero_shot", "text:negatives"})
    bounds = (0.0, 1.0)

    def __post_init__(self) -> None:
        positive(self, "temperature")

    def score(self, x: Outputs) -> Tensor:
        """Give the sum of probabilities (n,) float64."""
        return x.map(self._score)

    def _score(self, x: Outputs) -> Tensor:
        return grouped(x, texts_of(x).bank("negatives").rows, 1, self.temperature)


@dataclass
class LAPT(IDLike):
    """LAPT's score: the same sum, over class and negative texts that were tuned together."""

    name = "lapt"
