"""LogitGap: Liang et al., NeurIPS 2025, arXiv 2510.20134."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ood_toolkit.api.scorer import Scorer, given
from ood_toolkit.errors import ScorerError

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs

FEW = 20
"""Up to so many classes N is half of them, else a fifth."""
DRAWN = 100
"""At most so many validation images decide N."""
MIX, NOISE = 0.3, 0.8
"""How synthetic OOD features are made: MIX x_i + (1 - MIX) x_j + NOISE times a random direction."""


@dataclass
class LogitGap(Scorer):
    """Mean distance of the N largest logits from the largest, 1/(N-1) sum_{n=2..N} (z'_1 - z'_n), z' falling.

    N is a fifth of the classes, half of them where there are at most 20, as the paper has it. The scale of the logits
    changes no ranking. The reference code counts gaps, so that its `topn` is N - 1: its scripts' 88 for 1,000 classes
    is top=89 here, 20 for 100 is top=21, 10 for 20 is top=11 and 5 for 10 is top=6.
    """

    top: int = 0
    """N; 0 takes the rule, more than the classes takes all of them."""

    name = "logitgap"
    group = "clip"
    needs = frozenset({"logits"})
    grid: ClassVar = {"top": (0, 6, 11, 21, 89)}
    """The paper's rule, and what the authors' scripts take for 10, 20, 100 and 1,000 classes."""

    def __post_init__(self) -> None:
        if isinstance(self.top, bool) or not isinstance(self.top, int) or self.top < 0 or self.top == 1:
            raise ScorerError(
                f"{self.name}: top: expected a whole number of at least 2, or 0 for the rule, got {self.top!r}"
            )

    def score(self, x: Outputs) -> Tensor:
        """Give the mean gap (n,) float64."""
        return x.map(lambda chunk: mean_gap(chunk, self.top or usual_top(chunk.classes)))


@dataclass
class LogitGapAdaptive(Scorer):
    """LogitGap with the N that best separates ID validation from synthetic OOD features.

    Of every N from 2 to the number of classes the one is taken for which mean over ID minus mean over OOD of
    z'_1 - mean(z'_2, ..., z'_N) is largest, on at most 100 validation images drawn with the seed. OOD features are
    0.3 x_i + 0.7 x_j + 0.8 e of unit rows x, without the noise e where there are at most 20 classes. e is a random
    direction of unit length: how the paper scales its noise was not to be had.
    """

    seed: int = 0
    """Of the images drawn, the pairs and the noise."""

    name = "logitgap-adaptive"
    calibration_folds = 2
    group = "clip"
    needs = frozenset({"logits", "features", "head", "val"})

    def fit(self, val: Outputs, train: Outputs | None = None) -> LogitGapAdaptive:
        """Choose N."""
        import torch

        val = given(self, val, "val")
        draw = torch.Generator().manual_seed(self.seed)
        rows = torch.randperm(len(val), generator=draw)[:DRAWN]
        known = val[rows.numpy()]
        inside, outside = known.logits, _synthetic(known, draw)
        self.top_ = _best_top(inside, outside)
        self.notes_ = [f"N = {self.top_} of {val.classes}, chosen on {len(rows)} validation images"]
        return self

    def score(self, x: Outputs) -> Tensor:
        """Give the mean gap (n,) float64."""
        return x.map(lambda chunk: mean_gap(chunk, self.top_))


def usual_top(classes: int) -> int:
    """Give N by the paper's rule."""
    return max(2, classes // 2 if classes <= FEW else classes // 5)


def mean_gap(x: Outputs, top: int) -> Tensor:
    """Give the mean distance of the `top` largest logits from the largest (n,) float64; 0 with a single class."""
    largest = x.top_logits(top)
    gaps = largest[:, :1] - largest  # (n, N), the first 0: differences of neighbours are exact before they are summed
    return gaps.sum(dim=1).double() / max(1, largest.shape[1] - 1)


def _synthetic(known: Outputs, draw: object) -> Tensor:
    """Make the logits (n, k) of OOD features from pairs of ID ones."""
    import torch

    head = known.head
    if head is None:
        raise ScorerError("logitgap-adaptive: needs a head, to make logits of synthetic features")
    rows = known.head_input
    length = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    unit = rows / length.clamp(min=torch.finfo(rows.dtype).tiny)
    other = torch.randperm(len(unit), generator=draw).to(unit.device)  # type: ignore[call-overload]
    made = MIX * unit + (1 - MIX) * unit[other]
    if known.classes > FEW:
        noise = torch.randn(unit.shape, generator=draw).to(unit)  # type: ignore[call-overload]
        made = made + NOISE * noise / torch.linalg.vector_norm(noise, dim=1, keepdim=True)
    return head.logits(made * length)


def _best_top(inside: Tensor, outside: Tensor) -> int:
    """Give the N of the largest difference of mean gaps, the smaller of equals."""
    import torch

    def gaps(logits: Tensor) -> Tensor:
        falling = logits.double().sort(dim=1, descending=True).values
        count = torch.arange(1, falling.shape[1], device=falling.device)
        return (falling[:, :1] - falling[:, 1:].cumsum(dim=1) / count).mean(dim=0)  # (k - 1,), for N = 2 ... k

    if inside.shape[1] < 2:
        return 2
    return int((gaps(inside) - gaps(outside)).argmax()) + 2
