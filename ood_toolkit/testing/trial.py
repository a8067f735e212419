"""`Trial`: a scorer under test, what it says of the usual problem, and how it is fitted and asked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ood_toolkit.api.scorer import Scorer
from ood_toolkit.outputs import Outputs
from ood_toolkit.testing.expectations import expect
from ood_toolkit.testing.problem import Problem, ProblemMaker

__all__ = ["Trial", "fitted_on", "scored"]


@dataclass
class Trial:
    """A scorer under test; only clones of it are fitted."""

    scorer: Scorer
    make: ProblemMaker

    def problem(self, classes: int = 5, seed: int = 0, also: str | None = None) -> Problem:
        """Make a problem for its needs, and for one more."""
        return self.make(frozenset(self.scorer.needs) | ({also} if also else set()), classes, seed)

    def fit(self, problem: Problem) -> Scorer:
        """Give a clone, fitted."""
        return fitted_on(self.scorer.clone(), problem)

    @cached_property
    def usual(self) -> Problem:
        """The problem that most checks use."""
        return self.problem()

    @cached_property
    def fitted(self) -> Scorer:
        """A clone, fitted on the usual problem."""
        return self.fit(self.usual)

    @cached_property
    def scores(self) -> Tensor:
        """Its scores on the usual problem, (n,) float64."""
        return scored(self.fitted, self.usual.x)


def fitted_on(scorer: Scorer, problem: Problem) -> Scorer:
    """Fit a scorer on the splits of a problem and return it, whatever its `fit` returns."""
    given: Any = (problem.val, problem.train)
    scorer.fit(*given)
    return scorer


def scored(scorer: Scorer, x: Outputs) -> Tensor:
    """Give the scores as (n,) float64 in whatever form they come; a fault of form fails its own check."""
    got = torch.as_tensor(scorer.score(x)).detach().cpu().double()
    expect(got.numel() == len(x), f"{len(x)} scores, one an image", f"shape {tuple(got.shape)}")
    return got.reshape(len(x)).clone()
