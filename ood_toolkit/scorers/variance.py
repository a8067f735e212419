"""Variance of the softmax over the classes: `var` in the code of MCM, Ming et al., NeurIPS 2022, arXiv 2211.13445."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.api.scorer import Prompts, Scorer, positive

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class Variance(Scorer):
    """Population variance over the classes of softmax(c / T) of the raw cosines, (1/K) sum_k (p_k - 1/K)^2.

    The reference README speaks of the variance of the cosines; its code takes that of the softmax, as here.
    """

    temperature: float = 1.0
    """T, on cosines."""

    name = "variance"
    group = "clip"
    needs = frozenset({"zero_shot"})
    prompts = Prompts(("a photo of a {}",))

    def __post_init__(self) -> None:
        positive(self, "temperature")

    def score(self, x: Outputs) -> Tensor:
        """Give the variance (n,) float64."""
        return x.map(lambda chunk: chunk.tempered(self.temperature, of="cosine").variance)
