"""Relative energy: Jung et al., near-OOD detection in prompt learning, 2024, arXiv 2405.16091."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.api.prompts import Prompts, TextBank
from ood_toolkit.api.scorer import Scorer, not_negative
from ood_toolkit.errors import ScorerError
from ood_toolkit.scorers.families.negatives import texts_of

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs

OF = ("energy", "maxlogit")


@dataclass
class RelativeEnergy(Scorer):
    """Energy, or the largest logit, less beta times the logit of the prompt without a class: LSE(z) - beta z_empty.

    z_empty is the logit of the bank `empty`, here `a photo of a`; of several such texts the mean. The paper estimates
    beta on ID training data; only its form was read, so beta is a parameter here, 1 unless told otherwise.
    """

    beta: float = 1.0
    """Weight of the empty prompt."""
    of: str = "energy"
    """energy (LSE of the logits) or maxlogit."""

    name = "relative-energy"
    group = "clip"
    needs = frozenset({"zero_shot", "text:empty"})
    prompts = Prompts(("a photo of a {}",), banks=(TextBank("empty", source=("a photo of a",), templates=("{}",)),))

    def __post_init__(self) -> None:
        not_negative(self, "beta")
        if self.of not in OF:
            raise ScorerError(f"relative-energy: of: expected {' or '.join(OF)}, got {self.of!r}")

    def score(self, x: Outputs) -> Tensor:
        """Give the difference (n,) float64."""
        return x.map(self._score)

    def _score(self, x: Outputs) -> Tensor:
        whole = x.logsumexp if self.of == "energy" else x.max_logit.double()
        empty = texts_of(x).logits_of_cosine(x.cosine_to("empty").reshape(len(x), -1)[:, :, None]).mean(dim=(1, 2))
        return whole - self.beta * empty.double()
