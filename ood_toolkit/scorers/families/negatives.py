"""What scores with negative labels share: the texts of a head, and the grouped probability of the classes."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.api.scorer import Scorer, positive
from ood_toolkit.errors import ScorerError

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.api.component import Component
    from ood_toolkit.outputs import Outputs
    from ood_toolkit.outputs.head import Head

COLUMNS = 512
"""Negatives whose logits are held at once, if a group is not larger: those of a chunk of rows stay in cache."""
FEW = 4096
"""Up to so many negatives everything is in float64."""
LARGEST = 80.0
"""Largest exponent that is taken in float32."""


def texts_of(x: Outputs) -> Head:
    """Give the head of these outputs; `ScorerError` where there is none."""
    if x.head is None:
        raise ScorerError("needs zero_shot, a head of text embeddings; got outputs without a head")
    return x.head


def grouped(
    x: Outputs,
    negatives: Tensor,
    groups: int,
    temperature: float = 1.0,
    centred: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Give (1/G) sum_g A / (A + B_g) for a chunk, (n,) float64; `negatives` (m, d) are cut into groups as they lie.

    `centred` are their mean and what each is beside it, where a bank keeps these.
    """
    head = texts_of(x)
    return share_of_classes(x.embeddings, head.wide, negatives, groups, head.scale / temperature, centred)


def share_of_classes(
    rows: Tensor,
    classes: Tensor,
    negatives: Tensor,
    groups: int,
    scale: float,
    centred: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Give (1/G) sum_g 1 / (1 + B_g / A), (n,) float64, of unit rows (n, d), classes (k, d) and negatives (m, d)."""
    import torch

    # One class mostly decides A, so its rounding is the score's: float64. Texts have much in common; the product with
    # that part is taken in float64 too, so that float32 has to hold only how the negatives differ. A few negatives
    # are cheap in float64, and leave no rounding to average out.
    wide, common = rows.double(), negatives.mean(dim=0) if centred is None else centred[0]
    wide = wide * (scale / torch.linalg.vector_norm(wide, dim=1, keepdim=True))  # float32 leaves lengths of 1 + 1e-7
    inside = (wide @ classes.to(wide).T).logsumexp(dim=1)  # log A, (n,)
    used = wide if len(negatives) <= FEW else rows  # in whose precision
    shift = (wide @ common.to(wide) - inside).to(used)[:, None]
    scaled, common = wide.to(used), common.to(used)
    kept = centred is not None and centred[1].dtype == used.dtype  # else they are centred in the wider precision
    groups = min(groups, len(negatives))
    size = len(negatives) // groups
    step = max(1, COLUMNS // size)
    total = torch.zeros(len(rows), dtype=torch.float64, device=rows.device)
    for start in range(0, groups, step):
        stop = min(groups, start + step)
        part = slice(start * size, stop * size)
        block = centred[1][part] if centred is not None and kept else negatives[part].to(used) - common
        # z~ - log A in one product; what exceeds LARGEST gives a share below 1e-34 and would overflow.
        relative = torch.addmm(shift, scaled, block.T).clamp_(max=LARGEST).exp_()  # (n, groups here * size)
        ratio = relative.view(len(rows), stop - start, size).sum(dim=2).double()  # B_g / A
        total += (1 + ratio).reciprocal_().sum(dim=1)
    return total / groups


def check_share(scorer: Component, share: float) -> None:
    """Refuse a share of the candidates outside (0, 1]."""
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise ScorerError(f"{scorer.name}: share: expected a number above 0 and at most 1, got {share!r}")


@dataclass
class LearnedNegatives(Scorer):
    """What scores on texts that were learned share: a probability in (0, 1) against the bank `negatives`."""

    temperature: float = 1.0
    """T, on what the softmax is taken of."""

    group = "clip"
    needs = frozenset({"zero_shot", "text:negatives"})
    bounds = (0.0, 1.0)

    def __post_init__(self) -> None:
        positive(self, "temperature")

    def score(self, x: Outputs) -> Tensor:
        """Give the probability (n,) float64."""
        return x.map(self.probability)

    @abstractmethod
    def probability(self, x: Outputs) -> Tensor:
        """Give the probability (n,) float64 of one chunk."""
