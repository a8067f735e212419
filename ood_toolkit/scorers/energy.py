"""Energy: Liu, Wang, Owens and Li, NeurIPS 2020, arXiv 2010.03759."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ood_toolkit.api.scorer import Scorer, positive

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class Energy(Scorer):
    """Negative free energy, T log sum_k exp(z_k / T), of the scaled logits z (for CLIP: 100 times the cosine)."""

    temperature: float = 1.0
    """T."""

    name = "energy"
    group = "classical"
    needs = frozenset({"logits"})
    grid: ClassVar = {"temperature": (1.0, 10.0, 100.0, 1000.0)}
    """What an early configuration of OpenOOD searches; the present one keeps 1."""

    def __post_init__(self) -> None:
        positive(self, "temperature")

    def score(self, x: Outputs) -> Tensor:
        """Give the negative free energy (n,)."""
        if self.temperature == 1.0:
            return x.logsumexp
        return x.map(lambda chunk: self.temperature * chunk.tempered(self.temperature).logsumexp)
