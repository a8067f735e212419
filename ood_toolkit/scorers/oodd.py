"""OODD, a dictionary of the images of a stream that look like OOD: CVPR 2025, arXiv 2503.10468."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ood_toolkit.api.prompts import Prompts
from ood_toolkit.api.scorer import Scorer, positive, without_fit
from ood_toolkit.api.stream import StreamScorer
from ood_toolkit.scorers.mcm import MCM

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class OODD(StreamScorer):
    """A base score less the k-th largest cosine with images that the base found strange, S - cos_(k), of any sign.

    A queue holds the images, as unit rows, that had the lowest base score S of the stream so far, at most `queue` of
    them, of equal ones the earlier. It takes in each batch before the batch is scored, so that an image may be in it
    with itself. While it holds fewer than k images the least cosine counts. S is taken as it is; where it spans less
    than cosines do, as MCM's does, the cosine decides, and a queue that is large beside the number of OOD images fills
    with ID ones: docs/which-hold.md shows what comes of it. The defaults are the paper's for CLIP; for CIFAR-10 it has
    a queue of 512. pytorch-ood 0.4.0 does not have it.
    """

    base: Scorer = field(default_factory=MCM)
    """S, a score that needs no fitting."""
    queue: int = 2048
    """How many images are held."""
    k: int = 5
    """Which of the largest cosines with them counts."""
    batch: int = 64
    """Images that are taken in, and scored, together."""

    name = "oodd"
    group = "clip"
    order = "an image is compared with the strangest of all images up to the end of its batch"

    def __post_init__(self) -> None:
        positive(self, "queue", "k", "batch")
        without_fit(self, self.base)

    @property
    def needs(self) -> frozenset[str]:
        """What the base needs, and features."""
        return self.base.needs | {"features"}

    @property
    def prompts(self) -> Prompts | None:
        """Those of the base."""
        return self.base.prompts

    def run(self, chunks: Iterable[Outputs], seed: int) -> Tensor:
        """Give S - cos_(k), (n,) float64; nothing is random."""
        import torch

        rows, known, parts = None, torch.empty(0, dtype=torch.float64), []
        for x in chunks:
            scores = self.base.score(x).double()
            rows = x.embeddings if rows is None else torch.cat([rows, x.embeddings])
            known = torch.cat([known.to(scores), scores])
            kept = known.argsort(stable=True)[: self.queue]
            rows, known = rows[kept], known[kept]
            near = (x.embeddings @ rows.T).double()  # (n, held)
            parts.append(scores - near.topk(min(self.k, len(rows)), dim=1).values[:, -1])
        return torch.cat(parts)
