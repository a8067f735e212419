"""GMM, class-conditional Gaussian density (DDU): Mukhoti et al., CVPR 2023, arXiv 2102.11582."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi
from typing import TYPE_CHECKING

from ood_toolkit.api.scorer import Scorer, given, positive
from ood_toolkit.errors import ScorerError
from ood_toolkit.scorers.families.gaussians import rows_of

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class GMM(Scorer):
    """Log density of a mixture with one Gaussian a class, log sum_c pi_c N(h; mu_c, S_c), in float64.

    Of the training features h (d,) of class c: pi_c their share, mu_c (d,) their mean, S_c (d, d) their covariance
    (divided by n_c) plus e on the diagonal, e = reg x the mean variance within classes. Classes without training
    images have no part. The state is k d^2 numbers.

    The paper fits the density q(h) = sum_c q(h | c) q(c) to a network trained with spectral normalisation; its code
    divides by n_c - 1, gives every class the same pi_c and takes the least e that makes S_c invertible. pytorch-ood
    0.4.0 is as here, but for e = 1e-6 whatever the size of the features.
    """

    reg: float = 1e-6
    """What is added to each variance, as a share of the mean variance within classes."""
    normalise: bool = False
    """Whether to use unit rows in place of the features as the model emitted them."""

    name = "gmm"
    group = "classical"
    needs = frozenset({"features", "train", "train_labels"})

    def __post_init__(self) -> None:
        positive(self, "reg")

    def fit(self, val: Outputs, train: Outputs | None = None) -> GMM:
        """Learn share, mean and covariance of each class."""
        import torch

        train = given(self, train, "train")
        if train.labels is None or not (train.labels >= 0).any():
            raise ScorerError("gmm: needs train_labels, training images of at least one class")
        seen = sorted(set(train.labels[train.labels >= 0].tolist()))
        moments = [_moments(self._features(train[train.labels == c])) for c in seen]
        count = torch.tensor([n for n, _, _ in moments], dtype=torch.float64, device=train.device)
        self.means_ = torch.stack([mean for _, mean, _ in moments])  # (classes seen, d)
        scatter = torch.stack([part for _, _, part in moments])  # (classes seen, d, d)
        width = scatter.shape[1]
        spread = float(scatter.diagonal(dim1=1, dim2=2).sum() / count.sum() / width)
        if spread <= 0:
            raise ScorerError("gmm: the training features have no spread around their class means")
        ridge = self.reg * spread * torch.eye(width).to(scatter)
        factor = torch.linalg.cholesky(scatter / count[:, None, None] + ridge)
        self.whiten_ = torch.linalg.solve_triangular(factor, torch.eye(width).to(factor), upper=False).mT
        volume = factor.diagonal(dim1=1, dim2=2).log().sum(dim=1)
        self.log_peak_ = (count / count.sum()).log() - volume - width / 2 * log(2 * pi)  # (classes seen,)
        return self

    def score(self, x: Outputs) -> Tensor:
        """Give the log density (n,)."""
        return x.map(self._score)

    def _score(self, x: Outputs) -> Tensor:
        import torch

        features = self._features(x)
        parts = [
            peak - ((features - mean) @ whiten).square().sum(dim=1) / 2
            for peak, mean, whiten in zip(self.log_peak_, self.means_, self.whiten_, strict=True)
        ]
        return torch.stack(parts, dim=1).logsumexp(dim=1)

    def _features(self, x: Outputs) -> Tensor:
        return rows_of(x, self.normalise).double()


def _moments(features: Tensor) -> tuple[int, Tensor, Tensor]:
    """Give the number of rows, their mean (d,) and the sum of products around it (d, d)."""
    mean = features.mean(dim=0)
    apart = features - mean
    return len(features), mean, apart.T @ apart
