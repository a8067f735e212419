"""CMA, cross-modal alignment: Kim and Hwang, CVPR 2025, arXiv 2503.18817; the two scores that it is used with."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ood_toolkit.api.prompts import Prompts
from ood_toolkit.scorers.mcm import MCM
from ood_toolkit.scorers.neglabel import NegLabel

TEMPLATES = ("The nice {}",)


@dataclass
class CMA(NegLabel):
    """NegLabel without groups, A / (A + B), under the paper's prompt; CMA itself is how the model was fine-tuned.

    A = sum_k exp(z_k) over the class logits, B = sum_j exp(z~_j) over the bank `negatives`. The reference code reads
    its negatives from a stored list of 10,000 prompts; here they are mined as NegLabel's. Concept Matching with Agent
    is called CMA too, and is another method: `concept-matching`.
    """

    groups: int = 1
    """Groups of negatives; the paper has one."""

    name = "cma"

    @property
    def prompts(self) -> Prompts:
        """The paper's prompts and how its negatives are chosen."""
        return replace(super().prompts, templates=TEMPLATES)


@dataclass
class CMAMCM(MCM):
    """MCM under CMA's prompt, max_k softmax(c)_k on cosines."""

    name = "cma-mcm"
    prompts = Prompts(TEMPLATES)
