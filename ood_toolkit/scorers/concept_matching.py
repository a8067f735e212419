"""Concept Matching with Agent: Lee et al., AAAI 2025, arXiv 2405.16766; called CMA too, but not the score `cma`."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from ood_toolkit.api.prompts import Prompts, TextBank
from ood_toolkit.api.scorer import Scorer, positive

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs

AGENTS = (
    "a photo of a thing.",
    "a photo of an everyday object.",
    "a photo of a scene we live in.",
    "a photo highlighting different textures.",
    "a photo of a thing that we can see in nature.",
)


@dataclass
class ConceptMatching(Scorer):
    """MCM with neutral texts in the denominator, max_k exp(c_k / T) / (sum_k exp(c_k / T) + sum_i exp(a_i / T)).

    c (n, k) are the cosines with the class texts, a those with M agents, texts that name no class ("a photo of a
    thing."), in (0, 1). M = ceil(ratio k); the texts of the bank `agents` are taken in turn until there are M. They are
    the five of the reference code, or those of `--texts agents=FILE`.

    The paper calls itself CMA, as does that of Kim and Hwang, whose score is `cma`: another method.
    """

    temperature: float = 1.0
    """T, on cosines."""
    ratio: float = 1.0
    """Agents for each class."""

    name = "concept-matching"
    group = "clip"
    needs = frozenset({"zero_shot", "text:agents"})
    bounds = (0.0, 1.0)
    prompts = Prompts(("a photo of a {}",), banks=(TextBank("agents", source=AGENTS, templates=("{}",)),))

    def __post_init__(self) -> None:
        positive(self, "temperature", "ratio")

    def score(self, x: Outputs) -> Tensor:
        """Give the largest probability (n,) float64."""
        return x.map(self._score)

    def _score(self, x: Outputs) -> Tensor:
        import torch

        inside = x.cosine.double() / self.temperature  # (n, k)
        agents = x.cosine_to("agents").reshape(len(x), -1).double() / self.temperature  # (n, A)
        total = max(1, ceil(self.ratio * x.classes))
        each, more = divmod(total, agents.shape[1])
        times = [each + (place < more) for place in range(agents.shape[1])]  # how often each text is taken
        used = sum(count > 0 for count in times)
        weights = torch.tensor(times[:used], dtype=torch.float64, device=agents.device).log()
        whole = torch.logaddexp(inside.logsumexp(dim=1), (agents[:, :used] + weights).logsumexp(dim=1))
        return (inside.amax(dim=1) - whole).exp()
