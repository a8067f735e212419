"""LSN, learning to say no: Nie et al., ICLR 2024."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.api.scorer import Scorer, positive
from ood_toolkit.errors import ScorerError

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class LSN(Scorer):
    """Positive matching plus negative matching, max_k softmax(c)_k + mean_i max_k softmax((1 - c_i) / T)_k.

    c (n, k) are the cosines with the class texts, c_i those with the i-th learned negatives of the classes, the bank
    `opposites` (I, k, d), I = 3 in the paper. This is the released code; the paper writes the positive maximum minus
    the negative minimum. The texts are learned: give them with the head, or with `--texts opposites=FILE`.
    """

    temperature: float = 5.0
    """T of the negative part."""

    name = "lsn"
    group = "clip"
    needs = frozenset({"zero_shot", "text:opposites"})

    def __post_init__(self) -> None:
        positive(self, "temperature")

    def score(self, x: Outputs) -> Tensor:
        """Give the sum (n,) float64."""
        return x.map(self._score)

    def _score(self, x: Outputs) -> Tensor:
        cosine = x.cosine_to("opposites").double()  # (n, I, k)
        if cosine.ndim == 2:
            cosine = cosine[:, None]
        if cosine.shape[2] != x.classes:
            raise ScorerError(f"lsn: text:opposites: expected {x.classes} texts, one a class, got {cosine.shape[2]}")
        denied = ((1 - cosine) / self.temperature).softmax(dim=2).amax(dim=2).mean(dim=1)
        return x.tempered(1.0, of="cosine").confidence + denied
