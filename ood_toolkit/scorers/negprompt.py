"""NegPrompt, learned negative prompts: Li, Pang, Bai, Miao and Zheng, CVPR 2024, arXiv 2404.03248."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.scorers.families.negatives import LearnedNegatives

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class NegPrompt(LearnedNegatives):
    """Largest class probability with the learned negatives in the denominator, max_k p_k.

    p is the softmax at temperature T over the cosines with the k class texts and with all rows of the bank
    `negatives`, (k P, d) or (P, k, d), the paper's P = 2 learned negatives a class. Class texts and negatives are
    learned: give them with the head, or with `--texts negatives=FILE`.
    """

    temperature: float = 1.0
    """T, on cosines."""

    name = "negprompt"

    def probability(self, x: Outputs) -> Tensor:
        """Give the score of one chunk."""
        import torch

        inside = x.cosine.double() / self.temperature  # (n, k)
        blocks = [(block.double() / self.temperature).logsumexp(dim=1) for block in x.blocks("negatives")]
        whole = torch.stack([inside.logsumexp(dim=1), *blocks]).logsumexp(dim=0)
        return (inside.amax(dim=1) - whole).exp()
