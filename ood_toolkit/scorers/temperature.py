"""Temperature scaling: Guo, Pleiss, Sun and Weinberger, ICML 2017, arXiv 1706.04599."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.api.scorer import Scorer, given
from ood_toolkit.errors import ScorerError

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs

STEPS = 200
"""Newton steps, of which fewer than ten are usual; halving alone would need about a hundred."""
CLOSE = 1e-9
"""Relative step at which the root is found."""
HELD = 2**26
"""Numbers that are kept between steps; of more they are made anew in each."""


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
    calibration_folds = 2
    group = "classical"
    needs = frozenset({"logits", "val", "val_labels"})
    bounds = (0.0, 1.0)

    def fit(self, val: Outputs, train: Outputs | None = None) -> Temperature:
        """Find T* on the labelled ID validation images."""
        val = given(self, val, "val")
        if val.labels is None or not (val.labels >= 0).any():
            raise ScorerError("temperature: needs val_labels, validation images of at least one class")
        parts = _Below(val, int((val.labels >= 0).sum()))
        top, mean = parts.average(lambda below, own: (-own, own - below.mean(dim=1)))
        self.notes_: list[str] = []
        if top <= 0 or mean <= 0:
            right, chance = "every validation image is classified right", "validation is no better than chance"
            self.notes_ = [f"{chance if mean <= 0 else right}: no temperature is best, T = 1 is kept"]
            self.temperature_ = 1.0
            return self
        self.temperature_ = 1 / _inverse_temperature(parts, start=1 / (top + mean))
        return self

    def score(self, x: Outputs) -> Tensor:
        """Give the largest probability (n,)."""
        return x.map(lambda chunk: chunk.tempered(self.temperature_).confidence)


class _Below:
    """How far the logits of the labelled images lie below their largest, (n, k) in parts, kept while they are few."""

    def __init__(self, val: Outputs, count: int) -> None:
        self.val, self.count = val, count
        self.held = list(self._made()) if count * val.classes <= HELD else None

    def average(self, of: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> tuple[float, float]:
        """Average two numbers of every image, given its row (n, k) and that of its own class (n,), in float64."""
        totals = [0.0, 0.0]
        for below, own in self.held if self.held is not None else self._made():
            for place, values in enumerate(of(below, own)):
                totals[place] += float(values.double().sum())
        return totals[0] / self.count, totals[1] / self.count

    def _made(self) -> Iterator[tuple[Tensor, Tensor]]:
        for chunk in self.val.chunks():
            below, labels = chunk.softmax.shifted, chunk.labels
            assert labels is not None  # `fit` has seen some
            known = labels >= 0
            if not bool(known.all()):
                below, labels = below[known], labels[known]
            yield below, below.gather(1, labels[:, None]).squeeze(1)


def _inverse_temperature(parts: _Below, start: float) -> float:
    """Find the root in b of the slope, which rises from below 0 at b = 0 to above 0."""
    low, high, b = 0.0, float("inf"), start
    for _ in range(STEPS):
        slope, curve = parts.average(lambda below, own, b=b: _derivatives(below, own, b))  # type: ignore[misc]
        low, high = (b, high) if slope < 0 else (low, b)
        step = b - slope / curve if curve > 0 else -1.0
        if not low < step < high:
            step = 2 * low if high == float("inf") else (low + high) / 2
        if abs(step - b) <= CLOSE * b:
            return step
        b = step
    return b


def _derivatives(below: Tensor, own: Tensor, b: float) -> tuple[Tensor, Tensor]:
    """Give the first and second derivative in b of the loss of each image, (n,) each."""
    import torch

    from ood_toolkit.outputs.softmax import in_blocks

    def sums(rows: slice) -> Tensor:
        power = (b * below[rows]).exp_()  # (rows, k), the largest 1
        parts = [power.sum(dim=1)]
        parts += [power.mul_(below[rows]).sum(dim=1) for _ in range(2)]
        return torch.stack(parts, dim=1)

    whole, first, second = in_blocks(sums, below).double().unbind(dim=1)
    mean = first / whole
    return mean - own.double(), second / whole - mean.square()
