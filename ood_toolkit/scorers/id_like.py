"""ID-like prompts: Bai et al., CVPR 2024, arXiv 2311.15243; and LAPT: Zhang et al., ECCV 2024, arXiv 2407.08966."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.scorers.families.negatives import LearnedNegatives, grouped, texts_of

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class IDLike(LearnedNegatives):
    """Probability of the classes against learned OOD texts, sum_{k in ID} softmax([z, z~])_k, in (0, 1).

    z (n, k) are the class logits and z~ (n, m) those of the bank `negatives`, learned OOD prompts, both at the scale
    of the model. Give the texts with the head, or with `--texts negatives=FILE`. The authors' repository holds no
    score; this form is the one in LogitGap's comparison with them.
    """

    temperature: float = 1.0
    """T, on logits."""

    name = "id-like"

    def probability(self, x: Outputs) -> Tensor:
        """Give the score of one chunk."""
        return grouped(x, texts_of(x).bank("negatives").rows, 1, self.temperature)


@dataclass
class LAPT(IDLike):
    """LAPT's score: the same sum, over class and negative texts that were tuned together."""

    name = "lapt"
