"""ODIN: Liang, Li and Srikant, ICLR 2018, arXiv 1706.02690."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ood_toolkit.api.scorer import Scorer, positive

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class ODIN(Scorer):
    """Largest softmax probability at a temperature, max_k softmax(z / T)_k, in (0, 1]: the temperature half of ODIN.

    The paper also moves the image against the gradient of this score (0.0014 by default in the reference code). That
    needs the network and its gradients, which outputs do not hold, so that term is left out. At T = 1000 it ranks
    almost as max z - mean z.
    """

    temperature: float = 1000.0
    """T, on logits."""

    name = "odin"
    group = "classical"
    needs = frozenset({"logits"})
    grid: ClassVar = {"temperature": (1.0, 10.0, 100.0, 1000.0)}
    """What OpenOOD searches."""
    bounds = (0.0, 1.0)

    def __post_init__(self) -> None:
        positive(self, "temperature")

    def score(self, x: Outputs) -> Tensor:
        """Give the largest probability (n,)."""
        return x.map(lambda chunk: chunk.tempered(self.temperature).confidence)
