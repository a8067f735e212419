"""Temperature scaling: Guo, Pleiss, Sun and Weinberger, ICML 2017, arXiv 1706.04599."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.errors import ScorerError
from ood_toolkit.scorer import Scorer, given

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs

STEPS = 200
"""Newton steps, of which fewer than ten are usual; halving alone would need about a hundred."""


@dataclass
class Temperature(Scorer):
    """Largest softmax probability at the fitted temperature, max_k softmax(z / T*)_k, in (0, 1].

    T* minimises the mean of -log softmax(z / T)_y over the labelled ID validation images; those labelled -1 are left
    out. That mean is convex in b = 1 / T, with derivative mean(sum_k p_k z_k - z_y), whose root is found in float64 by
    Newton's method kept within a bracket, so T* is exact. OpenOOD and pytorch-ood 0.4.0 stop L-BFGS after 50 steps of
    rate 0.01 and may stop short of it. Where no T is best (no other logit is above that of the true class, on any
    image, or that of the true class is no higher than the mean, over all), T = 1 is kept, and a note says so.
    """

    name = "temperature"
    group = "classical"
    needs = frozenset({"logits", "val", "val_labels"})
    bounds = (0.0, 1.0)

    def fit(self, val: Outputs, train: Outputs | None = None) -> Temperature:
        """Find T* on the labelled ID validation images."""
        val = given(self, val, "val")
        if val.labels is None or not (val.labels >= 0).any():
            raise ScorerError("temperature: needs val_labels, validation images of at least one class")
        known = val[val.labels >= 0]
        top, mean = (float(part) for part in known.map(_gaps).mean(dim=0))
        self.notes_: list[str] = []
        if top <= 0 or mean <= 0:
            right, chance = "every validation image is classified right", "validation is no better than chance"
            self.notes_ = [f"{chance if mean <= 0 else right}: no temperature is best, T = 1 is kept"]
            self.temperature_ = 1.0
            return self
        self.temperature_ = 1 / _inverse_temperature(known, start=1 / (top + mean))
        return self

    def score(self, x: Outputs) -> Tensor:
        """Give the largest probability (n,)."""
        return x.map(lambda chunk: chunk.tempered(self.temperature_).confidence)


def _gaps(x: Outputs) -> Tensor:
    """Give z_max - z_y and z_y - mean z, (n, 2): the slope of the loss at b = infinity, and minus that at b = 0."""
    import torch

    own = _own(x)
    return torch.stack([x.logits.double().amax(dim=1) - own, own - x.logits.double().mean(dim=1)], dim=1)


def _own(x: Outputs) -> Tensor:
    return x.logits.gather(1, x.labels[:, None]).squeeze(1).double()  # type: ignore[index]


def _inverse_temperature(known: Outputs, start: float) -> float:
    """Find the root in b of the slope, which rises from below 0 at b = 0 to above 0."""
    low, high, b = 0.0, float("inf"), start
    for _ in range(STEPS):
        slope, curve = _derivatives(known, b)
        low, high = (b, high) if slope < 0 else (low, b)
        step = b - slope / curve if curve > 0 else -1.0
        if not low < step < high:
            step = 2 * low if high == float("inf") else (low + high) / 2
        if abs(step - b) <= 1e-13 * b:
            return step
        b = step
    return b


def _derivatives(known: Outputs, b: float) -> tuple[float, float]:
    """Give the first and second derivative in b of the mean loss."""
    import torch

    def of(x: Outputs) -> Tensor:
        below = x.logits.double() - x.logits.double().amax(dim=1, keepdim=True)  # (n, k)
        own = below.gather(1, x.labels[:, None]).squeeze(1)  # type: ignore[index]
        p = (b * below).softmax(dim=1)
        mean = (p * below).sum(dim=1)
        return torch.stack([mean - own, (p * (below - mean[:, None]).square()).sum(dim=1)], dim=1)

    slope, curve = known.map(of).mean(dim=0).tolist()
    return slope, curve
