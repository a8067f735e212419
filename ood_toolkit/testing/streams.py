"""The checks of scorers of streams: those of other scorers, put to one run in row order, and those of the memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ood_toolkit.api.scorer import SPLIT_NEEDS, Scorer
from ood_toolkit.api.stream import StreamScorer
from ood_toolkit.outputs import Outputs
from ood_toolkit.testing.checks import CHECKS, METHODS, declared
from ood_toolkit.testing.expectations import expect, expect_equal, expect_same, is_same, snapshot
from ood_toolkit.testing.problem import ProblemMaker
from ood_toolkit.testing.trial import Trial

__all__ = ["STREAM_ALWAYS", "STREAM_CHECKS", "StreamTrial"]

STREAM_ALWAYS = frozenset({"declaration", "sign", "finiteness", "memory", "labels"})
"""Checks that no scorer of streams can be exempt from."""
ROWS = 7
"""Images of a batch: few, so that a problem of a hundred images has a before and an after."""
SAME = (
    *("needs", "shape", "dtype", "sign", "finiteness", "bounds", "class-order"),
    *("huge-logits", "repeatability", "refit", "input", "one-image", "two-classes"),
    *("labels", "splits", "every-row", "generators", "few-images", "separation", "scale"),
)
"""The checks of other scorers that apply; those of `fit` find nothing where there is none."""


@dataclass
class OneRun(Scorer):
    """A scorer of streams as other scorers' checks ask it: one run over the rows as they come, with a fixed seed."""

    stream: StreamScorer

    name = "one-run"

    @property
    def needs(self) -> frozenset[str]:
        """What the scorer of streams needs."""
        return frozenset(self.stream.needs)

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Those of the scorer of streams."""
        return self.stream.bounds

    def fit(self, val: Outputs, train: Outputs | None = None) -> OneRun:
        """Let the scorer of streams learn what it learns before any run."""
        fit_stream(self.stream, val, train)
        return self

    def score(self, x: Outputs) -> Tensor:
        """Give the scores (n,) of one run."""
        return self.stream.run(x.chunks(ROWS), 0)


def fit_stream(scorer: StreamScorer, val: Any, train: Any) -> None:
    """Fit a scorer of streams in place, where it has a `fit`, and expect that this returns it."""
    if hasattr(scorer, "fit"):
        expect(scorer.fit(val, train) is scorer, "fit to return self", "something else")


@dataclass
class StreamTrial:
    """A scorer of streams under test; only clones of it are run."""

    scorer: StreamScorer
    make: ProblemMaker

    @cached_property
    def alone(self) -> Trial:
        """It as other scorers' checks see it."""
        return Trial(OneRun(self.scorer.clone()), self.make)

    def ready(self) -> StreamScorer:
        """Give a clone that can run, fitted where it has a `fit`."""
        made, usual = self.scorer.clone(), self.alone.usual
        fit_stream(made, usual.val, usual.train)
        return made


def _scores(scorer: StreamScorer, x: Outputs, seed: int = 0) -> Tensor:
    got = torch.as_tensor(scorer.run(x.chunks(ROWS), seed)).detach().cpu().double()
    expect(got.numel() == len(x), f"{len(x)} scores, one an image", f"shape {tuple(got.shape)}")
    return got.reshape(len(x)).clone()


# -- the checks of their own ---------------------------------------------------------------------------------


def _declaration(trial: StreamTrial) -> None:
    scorer = trial.scorer
    declared(scorer, METHODS | {"run"}, STREAM_CHECKS, STREAM_ALWAYS, "sign, finiteness and memory")
    said = isinstance(scorer.order, str) and scorer.order.strip() != ""
    expect(said, "order to say how scores depend on the order of the images", repr(scorer.order))
    whole = isinstance(scorer.batch, int) and not isinstance(scorer.batch, bool) and scorer.batch > 0
    expect(whole, "batch to be a whole number above 0", repr(scorer.batch))
    splits = sorted(SPLIT_NEEDS & frozenset(scorer.needs))
    expect(hasattr(scorer, "fit") or not splits, "no need of val or train without a fit", ", ".join(splits))


def _order(trial: StreamTrial) -> None:
    x, scorer = trial.alone.usual.x, trial.ready()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    same = is_same(_scores(scorer, x[order]), _scores(scorer, x)[order])
    hint = "the same; derive from Scorer where the order does not matter"
    expect(not bool(same.all()), "other scores in another order, as `order` says", hint)


def _memory(trial: StreamTrial) -> None:
    x, other, scorer = trial.alone.usual.x, trial.alone.problem(seed=1).x, trial.ready()
    before = set(vars(scorer))
    first = _scores(scorer, x)
    _scores(scorer, other)
    expect_equal("after a run on other images", _scores(scorer, x), first)
    kept = sorted(set(vars(scorer)) - before)
    expect(not kept, "no memory kept on the scorer between runs", ", ".join(kept))


def _parameters(trial: StreamTrial) -> None:
    before = snapshot(trial.scorer)
    expect_same("a clone to have", snapshot(trial.scorer.clone()), before)
    scorer = trial.ready()
    expect_same("fit to leave", snapshot(scorer), before)
    _scores(scorer, trial.alone.usual.x)
    expect_same("run to leave", snapshot(scorer), before)
    from ood_toolkit.api.registry import get_registry

    registry = get_registry()
    if scorer.name in registry.names("scorers") and registry.get("scorers", scorer.name) is type(scorer):
        back = registry.scorer(scorer.spec)
        expect_same(f"spec {scorer.spec!r} to parse back to", snapshot(back), before)


Check: TypeAlias = Callable[[StreamTrial], None]


def _shared(name: str) -> Check:
    return lambda trial: CHECKS[name](trial.alone)


STREAM_CHECKS: Mapping[str, Check] = {
    "declaration": _declaration,
    **{name: _shared(name) for name in SAME},
    "order": _order,
    "memory": _memory,
    "parameters": _parameters,
}
"""Every check of a scorer of streams by the name that `exempt` uses."""
