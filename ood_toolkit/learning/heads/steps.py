"""How the weight and bias of a linear layer come about: minimised with L-BFGS, or step by step with AdamW or SGD."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ood_toolkit.errors import TrainingError
from ood_toolkit.learning.heads.recipe import DECAYS, HeadRecipe

__all__ = ["CLOSE", "EXACT", "ROUGH", "Layer", "TrainingRows", "one_thread"]

ITERATIONS = 5
"""Iterations of L-BFGS that are told as one epoch."""
HISTORY = 20
EXACT, CLOSE, ROUGH = 1e-5, 1e-4, 1e-3
"""Largest entry of the gradient, along the axes of `TrainingRows.basis`, at which L-BFGS stops: for the head itself,
and in float32 for those of the folds and while weight decays are compared."""
DOUBLE_BYTES = 2**30
"""Bytes of rows in float64 above which they stay float32."""
SMALL = 2**26
"""Products of one number with another, in one pass over the rows, up to which a second thread costs more than it
gives."""


@contextmanager
def one_thread(rows: TrainingRows) -> Iterator[None]:
    """Compute small problems in one thread, whose results do not depend on how many there are."""
    before = torch.get_num_threads()
    if rows.x.numel() * rows.classes > SMALL:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Layer:
    """A linear layer: logits are rows @ weight.T + bias."""

    weight: Tensor
    """(k, d) float32."""
    bias: Tensor
    """(k,) float32."""

    def logits(self, rows: Tensor) -> Tensor:
        """Give the logits (n, k) of rows (n, d)."""
        return torch.addmm(self.bias, rows, self.weight.T)


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """Rows (n, d) float32 with the class (n,) of each, on which layers are trained."""

    x: Tensor
    y: Tensor
    classes: int

    def epochs(self, recipe: HeadRecipe, decay: float, tolerance: float = EXACT) -> Iterator[Layer]:
        """Train, giving the layer before the first epoch and after each; `decay` as `HeadRecipe.weight_decay`."""
        if recipe.optimizer == "lbfgs":
            return self._minimised(recipe, decay, tolerance)
        return self._stepped(recipe, decay)

    def decays(self, recipe: HeadRecipe) -> tuple[float, ...]:
        """Give the weight decays that are worth trying on these rows."""
        if recipe.weight_decay is not None:
            return (recipe.weight_decay,)
        unit = float(self.x.double().square().sum(dim=1).mean()) if recipe.optimizer == "lbfgs" else 1.0
        return tuple(decay * unit for decay in DECAYS[recipe.optimizer])

    @cached_property
    def basis(self) -> tuple[Tensor, Tensor, Tensor]:
        """Mean (d,), and variances (d,) along axes (d, d) of the rows, float64."""
        centred = self.x.double() - (mean := self.x.double().mean(dim=0))
        variances, axes = torch.linalg.eigh(centred.T @ centred / len(centred))
        return mean, variances.clamp(min=0), axes

    def _minimised(self, recipe: HeadRecipe, decay: float, tolerance: float) -> Iterator[Layer]:
        """Minimise mean cross-entropy + decay / 2 * |W|^2 with L-BFGS and a strong Wolfe search.

        The rows of CLIP lie in a narrow cone, so that the loss is far steeper along some axes than along others.
        Weights are therefore sought as W = T U, with T from the axes of the rows such that the loss is about equally
        curved in all entries of U, and with the bias at the mean of the rows. The minimum is the same; it is reached
        in a tenth of the steps.
        """
        double = tolerance <= EXACT and 8 * self.x.numel() <= DOUBLE_BYTES
        mean, variances, axes = self.basis
        x = self.x.double() if double else self.x
        stretch = (axes * (variances / self.classes + decay).rsqrt()).to(x)  # T, (d, d)
        mean = mean.to(x)
        u = torch.zeros(x.shape[1], self.classes, dtype=x.dtype, device=x.device, requires_grad=True)
        c = torch.zeros(self.classes, dtype=x.dtype, device=x.device, requires_grad=True)
        optimizer = torch.optim.LBFGS(
            [u, c], 1.0, ITERATIONS, history_size=HISTORY, line_search_fn="strong_wolfe",
            tolerance_grad=tolerance, tolerance_change=0.0,
        )  # fmt: skip

        def loss() -> Tensor:
            optimizer.zero_grad()
            w = stretch @ u  # (d, k)
            found = cross_entropy(torch.addmm(c - mean @ w, x, w), self.y) + decay / 2 * w.square().sum()
            found.backward()  # type: ignore[no-untyped-call]
            return found

        def layer() -> Layer:
            w = (stretch @ u).detach()
            return Layer(w.T.float().contiguous(), (c.detach() - mean @ w).float())

        yield layer()
        for _ in range(recipe.epochs):
            optimizer.step(loss)  # type: ignore[no-untyped-call]
            yield layer()
            if max(float(p.grad.abs().max()) for p in (u, c) if p.grad is not None) <= tolerance:
                return

    def _stepped(self, recipe: HeadRecipe, decay: float) -> Iterator[Layer]:
        """Walk through the rows in batches, in a new order each epoch, from torch's first weights of a linear layer."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            layer = torch.nn.Linear(self.x.shape[1], self.classes).to(self.x.device)
        order = torch.Generator().manual_seed(recipe.seed)
        if recipe.optimizer == "adamw":
            optimizer: torch.optim.Optimizer = torch.optim.AdamW(
                layer.parameters(), recipe.learning_rate, weight_decay=decay
            )
        else:
            optimizer = torch.optim.SGD(layer.parameters(), recipe.learning_rate, recipe.momentum, weight_decay=decay)
        starts = range(0, len(self.x), recipe.batch)
        yield _copy(layer)
        for epoch in range(recipe.epochs):
            places = torch.randperm(len(self.x), generator=order).to(self.x.device)
            for step, start in enumerate(starts):
                if recipe.cosine:
                    done = (epoch + step / len(starts)) / recipe.epochs
                    optimizer.param_groups[0]["lr"] = recipe.learning_rate * (1 + math.cos(math.pi * done)) / 2
                batch = places[start : start + recipe.batch]
                optimizer.zero_grad()
                cross_entropy(layer(self.x[batch]), self.y[batch]).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            if not all(bool(p.isfinite().all()) for p in layer.parameters()):
                raise TrainingError(f"epoch {epoch + 1}: the weights are no longer finite; take a lower learning rate")
            yield _copy(layer)


def _copy(layer: torch.nn.Linear) -> Layer:
    return Layer(layer.weight.detach().clone(), layer.bias.detach().clone())
