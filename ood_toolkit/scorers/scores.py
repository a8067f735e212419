"""Scores in one call: `fit` a scorer, and `score` outputs with it."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from ood_toolkit.api.registry import get_registry
from ood_toolkit.api.scorer import SPLIT_NEEDS, Scorer, missing_needs
from ood_toolkit.api.stream import AnyScorer, StreamScorer, each_alone, run_apart
from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Outputs, as_outputs
from ood_toolkit.outputs.arrays import as_scores

__all__ = [
    "STREAM",
    "check_needs",
    "checked",
    "fit",
    "fitted_on",
    "fitted_stream",
    "score",
    "scores_of",
    "with_known_labels",
]

STREAM = "there is nothing to fit; use score or bench"


def fit(scorer: str | Scorer, val: Outputs | None = None, train: Outputs | None = None) -> Scorer:
    """Fit a clone of a scorer, a spec such as `knn:k=50` or an instance, on ID outputs, and give it.

    `val` and `train` are ID validation and ID training outputs; a scorer takes those that its `needs` name. The scorer
    given is left as it was. Raises `ScorerError` where a split or an array that it needs is missing, `SpecError` where
    a spec is not understood. A scorer that needs the labels of validation gets the images whose label is known.

    >>> import numpy as np
    >>> from ood_toolkit import Outputs, fit
    >>> logits = np.random.default_rng(0).normal(size=(100, 3))
    >>> fit("temperature", val=Outputs.from_logits(logits, labels=logits.argmax(axis=1))).spec
    'temperature'
    """
    made = each_alone(get_registry().scorer(scorer), STREAM).clone()
    check_needs(made, None, val, train)
    # Where there is no val, the check has seen that the scorer does not look at it.
    return made if val is None and train is None else fitted_on(made, val, train)


def fitted_on(scorer: Scorer, val: Outputs | None, train: Outputs | None = None) -> Scorer:
    """Fit a scorer itself; of one that needs the labels of validation, on the images whose class is known."""
    return _a_scorer(_fitted(scorer, val, train), scorer.spec)


def fitted_stream(scorer: StreamScorer, val: Outputs | None, train: Outputs | None = None) -> StreamScorer:
    """Give a scorer of streams that can run: a clone, fitted, where its `needs` name a split, else itself."""
    if not SPLIT_NEEDS & scorer.needs:
        return scorer
    made = scorer.clone()
    if not hasattr(made, "fit"):
        raise ScorerError(f"{scorer.spec}: needs {', '.join(sorted(SPLIT_NEEDS & scorer.needs))} but has no fit")
    fitted = _fitted(made, val, train)
    if not isinstance(fitted, StreamScorer):
        raise ScorerError(f"{scorer.spec}: expected a fitted scorer of streams, got {fitted!r}; fit must return self")
    return fitted


def _fitted(scorer: Any, val: Outputs | None, train: Outputs | None) -> object:
    notes: tuple[str, ...] = ()
    if val is not None and "val_labels" in scorer.needs:
        val, notes = with_known_labels(val)
    made = scorer.fit(cast(Outputs, val), train)
    if notes:
        vars(made)["notes_"] = [*getattr(made, "notes_", ()), *notes]
    return made


def with_known_labels(val: Outputs) -> tuple[Outputs, tuple[str, ...]]:
    """Give the validation images whose class is known, and a note that counts the others, which are left out.

    An image of label -1 is neither predicted rightly nor wrongly.
    """
    known = val.with_known_labels()
    lost = len(val) - len(known)
    return known, (f"{lost:,} of {len(val):,} validation images have no known class and are left out",) if lost else ()


def score(scorer: str | AnyScorer, x: Outputs, val: Outputs | None = None, train: Outputs | None = None) -> np.ndarray:
    """Score `x`: (n,) float64, higher = more in-distribution; fits the scorer first on the ID outputs given.

    `x` are outputs, or logits (n, k). An instance that is fitted already is used as it is where no ID outputs are
    given, `val` and `train`. A scorer of streams takes `x` as one stream in its row order, and ID outputs where its
    `needs` name them. The scorer does not see labels of `x`. Raises `ScorerError` if a need is unmet, `SpecError` for a
    spec that is not understood, `OutputsError` for what are no outputs.

    >>> from ood_toolkit import Outputs, score
    >>> score("maxlogit", Outputs.from_logits([[3.0, 1.0], [0.5, 0.0]])).tolist()
    [3.0, 0.5]
    """
    made, x = get_registry().scorer(scorer), as_outputs(x).blind()
    val = None if val is None else as_outputs(val, "val")
    train = None if train is None else as_outputs(train, "train")
    known = val is None and train is None and bool(made.learned())
    if not known:
        check_needs(made, x, val, train)
    if isinstance(made, StreamScorer):
        return run_apart(made if known else fitted_stream(made, val, train), x)
    return scores_of(made if known else fit(made, val, train), x)


def check_needs(scorer: AnyScorer, x: Outputs | None, val: Outputs | None, train: Outputs | None) -> None:
    """Refuse outputs and ID splits that lack what a scorer needs."""
    if missing := missing_needs(scorer, x, val, train):
        raise ScorerError(f"{scorer.spec}: needs {', '.join(missing)}, which the given outputs do not provide")


def scores_of(scorer: Scorer, x: Outputs) -> np.ndarray:
    """Walk the chunks of `x` with a fitted scorer; `ScorerError` where a score is not (n,) and finite.

    The scorer does not see labels.
    """
    return np.concatenate([checked(_a_scorer(scorer, "fit"), chunk) for chunk in x.blind().chunks()])


def _a_scorer(fitted: object, who: str) -> Scorer:
    """Refuse what is no scorer, as where `fit` forgets to return self."""
    if isinstance(fitted, Scorer):
        return fitted
    raise ScorerError(f"{who}: expected a fitted scorer, got {fitted!r}; fit must return self")


def checked(scorer: Scorer, x: Outputs) -> np.ndarray:
    """Score one chunk, whose labels the scorer does not see, and hold the scorer to its contract."""
    return as_scores(scorer.score(x.blind()), scorer.spec, len(x))
