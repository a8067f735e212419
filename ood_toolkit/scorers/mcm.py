"""MCM, maximum concept matching: Ming et al., NeurIPS 2022, arXiv 2211.13445."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ood_toolkit.api.scorer import Prompts, Scorer, positive

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class MCM(Scorer):
    """Largest softmax probability of the raw cosines c, max_k softmax(c / T)_k.

    T = 1 on cosines, as in the paper: it ranks almost as max c - mean c. The model's own scale is not used; MSP is
    the same at T = 1 / scale. Scores differ in the fifth digit, so they are never computed in half precision.
    """

    temperature: float = 1.0
    """T, on cosines."""

    name = "mcm"
    group = "clip"
    needs = frozenset({"zero_shot"})
    grid: ClassVar = {"temperature": (0.01, 1.0, 10.0)}
    """What OpenOOD searches."""
    prompts = Prompts(("a photo of a {}",))

    def __post_init__(self) -> None:
        positive(self, "temperature")

    def score(self, x: Outputs) -> Tensor:
        """Give the largest probability (n,)."""
        return x.map(lambda chunk: chunk.tempered(self.temperature, of="cosine").confidence)
