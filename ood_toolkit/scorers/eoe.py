"""EOE, envisioning outlier exposure: Cao et al., ICML 2024, arXiv 2406.00806."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.api.prompts import Prompts, TextBank
from ood_toolkit.api.scorer import Scorer, not_negative, positive

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class EOE(Scorer):
    """Largest class probability minus a part of the largest outlier probability, max_k p_k - beta max_j p_j.

    p is the softmax at temperature T over the cosines with the k class texts and the L texts of the bank `outliers`,
    names of what might come that a language model was asked for. Nothing is asked here: give them with
    `--texts outliers=FILE`, a name on each line.
    """

    beta: float = 0.25
    """Weight of the outliers."""
    temperature: float = 1.0
    """T, on cosines."""

    name = "eoe"
    group = "clip"
    needs = frozenset({"zero_shot", "text:outliers"})
    prompts = Prompts(("a photo of a {}",), banks=(TextBank("outliers", source=""),))

    def __post_init__(self) -> None:
        positive(self, "temperature")
        not_negative(self, "beta")

    def score(self, x: Outputs) -> Tensor:
        """Give the difference (n,) float64."""
        return x.map(self._score)

    def _score(self, x: Outputs) -> Tensor:
        import torch

        inside = x.cosine.double() / self.temperature  # (n, k)
        outside = x.cosine_to("outliers").reshape(len(x), -1).double() / self.temperature  # (n, L)
        whole = torch.logaddexp(inside.logsumexp(dim=1), outside.logsumexp(dim=1))
        return (inside.amax(dim=1) - whole).exp() - self.beta * (outside.amax(dim=1) - whole).exp()
