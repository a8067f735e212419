"""CLIPN, teaching CLIP to say no: Wang, Li, Yao and Li, ICCV 2023, arXiv 2308.12213."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.api.scorer import Scorer

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs

NEEDS = frozenset({"zero_shot", "text:no"})


@dataclass
class CLIPNCompete(Scorer):
    """Competing-to-win: the "yes" probability of the predicted class, q_k* with q_k = sigmoid(a_k - b_k).

    a (n, k) are the logits of the class texts, b (n, k) those of the "no" texts, k* = argmax a; the score is in (0, 1)
    and above one half the paper decides "in-distribution" without a threshold.
    """

    name = "clipn-ctw"
    group = "clip"
    needs = NEEDS

    def score(self, x: Outputs) -> Tensor:
        """Give the "yes" probability of the predicted class (n,)."""
        return x.map(_compete)


@dataclass
class CLIPNAgree(Scorer):
    """Agreeing-to-differ: one minus the probability of the unknown class, sum_k q_k softmax(a)_k, in (0, 1)."""

    name = "clipn-atd"
    group = "clip"
    needs = NEEDS

    def score(self, x: Outputs) -> Tensor:
        """Give the probability of being of any class (n,)."""
        return x.map(_agree)


def _compete(x: Outputs) -> Tensor:
    place = x.prediction[:, None]
    gap = x.logits.gather(1, place) - x.no_logits.gather(1, place)
    return gap.squeeze(1).double().sigmoid()


def _agree(x: Outputs) -> Tensor:
    gap = x.logits - x.no_logits
    known = (x.probs * gap.sigmoid()).sum(dim=1).double()
    unknown = (x.probs * (-gap).sigmoid()).sum(dim=1).double()
    # The smaller of the two sums keeps its digits in float32; the other is its complement.
    return known.where(known < unknown, 1 - unknown)
