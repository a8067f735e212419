"""GL-MCM, global-local maximum concept matching: Miyai et al., IJCV 2025, arXiv 2304.04521."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ood_toolkit.api.scorer import Prompts, Scorer, not_negative
from ood_toolkit.errors import ScorerError

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs

PROMPTS = Prompts(("a photo of a {}",))


@dataclass
class GLMCM(Scorer):
    """Global plus local concept matching, G + lambda L.

    G = max_k softmax(v . t)_k of the image embedding at temperature 1 on cosines, as MCM; L = max over patches r and
    classes k of softmax(l_r . t)_k, the array `extra:local` (n,) of the encoder, taken under the same texts. l_r is
    what a patch becomes where it attends only to itself in the last block.
    """

    lam: float = 1.0
    """lambda. Figures from before 2025 have 1; the authors' ImageNet script, of the journal version, has 0.5."""

    name = "gl-mcm"
    group = "clip"
    needs = frozenset({"zero_shot", "extra:local"})
    grid: ClassVar = {"lam": (0.5, 1.0)}
    """The two values of the authors' figures."""
    prompts = PROMPTS

    def __post_init__(self) -> None:
        not_negative(self, "lam")

    def score(self, x: Outputs) -> Tensor:
        """Give the sum (n,) float64."""
        return x.map(lambda chunk: chunk.tempered(1.0, of="cosine").confidence + self.lam * _local(self, chunk))


@dataclass
class LocalMCM(Scorer):
    """Local concept matching alone, L = max over patches and classes of softmax(l_r . t)_k."""

    name = "l-mcm"
    group = "clip"
    needs = frozenset({"extra:local"})
    prompts = PROMPTS

    def score(self, x: Outputs) -> Tensor:
        """Give the largest local probability (n,) float64."""
        return _local(self, x)


def _local(scorer: Scorer, x: Outputs) -> Tensor:
    import torch

    if "local" not in x.extras:
        raise ScorerError(f"{scorer.name}: needs extra:local, one number an image; got outputs without it")
    local = torch.as_tensor(x.extras["local"], device=x.device).double()
    if local.ndim != 1:
        raise ScorerError(f"{scorer.name}: extra:local: expected one number an image, got shape {tuple(local.shape)}")
    return local
