"""MaxLogit (MLS): Hendrycks et al., ICML 2022, arXiv 1911.11132."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.api.scorer import Scorer

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class MaxLogit(Scorer):
    """Largest logit, max_k z_k; with a zero-shot head it ranks as the largest cosine."""

    name = "maxlogit"
    group = "classical"
    needs = frozenset({"logits"})

    def score(self, x: Outputs) -> Tensor:
        """Give the largest logit (n,)."""
        return x.max_logit
