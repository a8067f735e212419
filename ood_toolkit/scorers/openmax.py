"""OpenMax: Bendale and Boult, CVPR 2016, arXiv 1511.06233."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.api.scorer import Scorer, given, positive
from ood_toolkit.errors import ScorerError

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs

SHIFT = 10_000.0
"""What libMR, which the authors fit with, adds to the tail: the distances start here, not at 0."""
SAME = 1e-9
"""Relative difference below which distances count as one."""
HALVINGS = 80
"""Enough to find the shape, which lies between a thousandth and a thousand over the mean gap, to all digits."""


@dataclass
class OpenMax(Scorer):
    """One minus the probability of an unknown class, 1 - P(unknown), in [0, 1].

    mu_c (k,) is the mean of the logits z over the training images of class c that are classified right, and a Weibull
    distribution F_c is fitted by maximum likelihood to the largest `tail` distances d = ||z - mu_c|| among them, moved
    to start at 10,000 as in libMR. For the `alpha` largest logits in falling order, ranks i = 1, 2, ..., the share
    s_c = F_c(||z - mu_c||) (alpha + 1 - i) / alpha of the logit goes to the unknown class, for the others s_c = 0:
    z'_c = z_c (1 - s_c), z_0 = sum_c z_c s_c, and P(unknown) = exp(z_0) / (exp(z_0) + sum_c exp(z'_c)).

    Defaults are OpenOOD's. The authors' code has alpha 10 and adds the cosine distance to the Euclidean one / 200.
    pytorch-ood 0.4.0 takes means and distances over all training images, right or wrong; gives distance 1e12 to a
    class that is predicted for no image of the same batch, so that its scores depend on the batch where alpha > 1; and
    cuts logits at 709. A class with fewer than two different distances has no tail: beyond the largest of them,
    and everywhere for a class without images, F_c is 1, and a note says how many there are.
    """

    tail: int = 20
    """How many of the largest distances of a class the Weibull distribution is fitted to."""
    alpha: int = 3
    """How many of the largest logits are revised; all where there are fewer classes."""

    name = "openmax"
    group = "classical"
    needs = frozenset({"logits", "train", "train_labels"})
    bounds = (0.0, 1.0)

    def __post_init__(self) -> None:
        positive(self, "tail", "alpha")

    def fit(self, val: Outputs, train: Outputs | None = None) -> OpenMax:
        """Learn the mean logits of each class and the tail of the distances from them."""
        import torch

        train = given(self, train, "train")
        right = train.right
        if right is None or train.labels is None or not right.any():
            raise ScorerError("openmax: needs train_labels, at least one training image classified right")
        labels, classes = train.labels[right], train.classes
        count = torch.bincount(labels, minlength=classes)
        sums = torch.zeros(classes, classes, dtype=torch.float64, device=train.device)
        for logits, own in _walked(train, right):
            sums.index_add_(0, own, logits)
        self.centres_ = sums / count.clamp(min=1)[:, None]  # (k, k), one class a row
        distance = torch.cat([_distance(logits, self.centres_[own]) for logits, own in _walked(train, right)])
        tails, there = _largest(distance, labels, count, self.tail)
        self.far_ = tails[:, 0].where(count > 0, -1.0)  # (k,), -1: everything is beyond
        self.size_, self.shape_, self.offset_ = fitted_weibull(tails, there)  # (k,) each, shape 0: no tail
        without = int((self.shape_ == 0).sum())
        self.notes_ = [f"{without} of {classes} classes have no tail of distances"] if without else []
        return self

    def score(self, x: Outputs) -> Tensor:
        """Give one minus the probability of an unknown class (n,)."""
        return x.map(self._score)

    def _score(self, x: Outputs) -> Tensor:
        from ood_toolkit.outputs.softmax import Softmax

        alpha = min(self.alpha, x.classes)
        revised = x.logits.double().clone()
        largest, place = x.logits.topk(alpha, dim=1)
        unknown = revised.new_zeros(len(revised))
        for rank in range(alpha):
            of = place[:, rank]
            beyond = self._beyond(_distance(x.logits.double(), self.centres_[of]), of)
            taken = largest[:, rank].double() * beyond * (1 - rank / alpha)
            unknown += taken
            revised.scatter_add_(1, of[:, None], -taken[:, None])
        return (Softmax(revised).logsumexp - unknown).sigmoid()

    def _beyond(self, distance: Tensor, of: Tensor) -> Tensor:
        """Give F_c of the distances (n,) from the means of classes `of` (n,)."""
        far, shape = self.far_[of], self.shape_[of]
        place = ((distance - far) / self.size_[of]).clamp(min=-1 + SAME).log1p() - self.offset_[of]
        tail = -(-(shape * place).exp()).expm1()
        return tail.where(shape > 0, (distance > far * (1 + SAME)).double())


def _walked(train: Outputs, chosen: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Give logits (rows, k) in float64 and labels (rows,) of the chosen images, chunk by chunk."""
    start = 0
    for chunk in train.chunks():
        here = chosen[start : start + len(chunk)]
        start += len(chunk)
        yield chunk.logits[here].double(), chunk.labels[here]  # type: ignore[index]


def _distance(logits: Tensor, centres: Tensor) -> Tensor:
    return (logits - centres).square().sum(dim=1).sqrt()


def _largest(distance: Tensor, labels: Tensor, count: Tensor, tail: int) -> tuple[Tensor, Tensor]:
    """Give the largest distances of each class in falling order (k, tail), and which of them are there."""
    import torch

    order = distance.argsort()
    order = order[labels[order].argsort(stable=True)]  # by class, rising within each
    back = torch.arange(tail, device=labels.device)
    there = back < count[:, None]
    place = (count.cumsum(dim=0)[:, None] - 1 - back).where(there, 0)
    return distance[order[place]].where(there, 0.0), there


def fitted_weibull(tails: Tensor, there: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Fit a Weibull distribution to each row of y = SHIFT + d - min d, with its largest y first.

    Gives size = max y, the shape a (0 where all d are equal) and the offset log(scale / size), (k,) each. With
    u = log(y / max y) the likelihood is largest where sum(u exp(a u)) / sum(exp(a u)) - 1 / a - mean(u) = 0, which
    rises with a, and there scale / size = mean(exp(a u))^(1 / a).
    """
    import torch

    far, least = tails[:, 0], tails.where(there, float("inf")).amin(dim=1)
    fits = far - least > SAME * far
    size = (SHIFT + far - least).where(fits, SHIFT)
    u = ((tails - far[:, None]) / size[:, None]).where(there & fits[:, None], 0.0).log1p()
    many = there.sum(dim=1).clamp(min=1)
    gap = (-u.sum(dim=1) / many).where(fits, 1.0)
    low, high = (1e-3 / gap).log(), (1e3 / gap).log()
    for _ in range(HALVINGS):
        shape = ((low + high) / 2).exp()
        weight = (shape[:, None] * u).exp() * there
        short = (weight * u).sum(dim=1) / weight.sum(dim=1).clamp(min=SAME) - 1 / shape + gap < 0
        low, high = torch.where(short, shape.log(), low), torch.where(short, high, shape.log())
    mean = (((shape[:, None] * u).exp() * there).sum(dim=1) / many).clamp(min=SAME)
    return size, shape.where(fits, 0.0), (mean.log() / shape).where(fits, 0.0)
