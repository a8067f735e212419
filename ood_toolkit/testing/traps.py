"""The checks for faults that a plain run does not show, each a function of a scorer under test."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Any, TypeAlias, get_args, get_type_hints

import numpy as np
import torch
from torch import Tensor

from ood_toolkit.api.component import Component
from ood_toolkit.api.scorer import Scorer
from ood_toolkit.api.spec import format_value
from ood_toolkit.errors import OodkitError, place
from ood_toolkit.outputs import Outputs
from ood_toolkit.testing.expectations import (
    BreachError,
    auroc_of,
    expect,
    expect_bounds,
    expect_equal,
    expect_finite,
    expect_sign,
    is_same,
    within,
)
from ood_toolkit.testing.problem import Problem, rescaled
from ood_toolkit.testing.tracing import factors_of
from ood_toolkit.testing.trial import Trial, fitted_on, scored

__all__ = ["TRAPS"]

EASY = 0.8
"""AUROC that any honest score reaches on the easiest of a few problems."""
OTHERS = (2.0, 0.5, 10.0, 0.1)
"""Factors to which a number is changed to see whether it has an effect."""
CHEAP = frozenset(
    {"seed", "batch", "batch_size", "chunk", "chunk_size", "block", "block_size", "rows", "workers", "jobs", "n_jobs"}
    | {"verbose", "exact", "device", "dtype"}
)
"""Parameters that may well change no score: of what is random, and of how much is computed at once."""
SEEDS = 4
"""Problems on none of which the last rows matter to a fit that does not look at them; what is chosen among a few texts
may stay the same on some."""
FEW = (150, 40)
"""Images of small splits, not all of which a scorer must take, but crash on none."""
GAPS = (4.0, 24.0, 33.0)
"""Median distance of the two largest logits on flat and on sharp outputs, and the largest one on those."""
TIED = 0.5
"""Least share of distinct scores on flat outputs of a scorer that does not tie anyway."""
USUAL_SCALES = (20.0, 100.0)
"""Scales that are written into code by those who know but one model: that of the usual problem, and CLIP's."""


def _labels(trial: Trial) -> None:
    x, draw = trial.usual.x, torch.Generator().manual_seed(0)
    labels = torch.randint(0, max(x.classes, 2), (len(x),), generator=draw)
    labels[trial.usual.ood] = -1
    seen = x._like(labels=labels, extras={**x.extras, "source_labels": labels})
    expect_equal("with labels in x, which are for fit alone", scored(trial.fitted, seen), trial.scores)


def _splits(trial: Trial) -> None:
    usual, needs = trial.usual, trial.scorer.needs

    def declared(split: Outputs | None, name: str) -> Outputs | None:
        if split is None or not {name, f"{name}_labels"} & needs:
            return None
        return split if f"{name}_labels" in needs else split.blind()

    bare = Problem(usual.x, usual.ood, usual.edges, declared(usual.val, "val"), declared(usual.train, "train"))
    try:
        got = scored(trial.fit(bare), usual.x)
    except Exception:
        return  # the check of needs says so
    held = ", ".join(sorted(needs & {"val", "val_labels", "train", "train_labels"})) or "no split"
    expect_equal(f"when fit is given what needs names, {held}", got, trial.scores)


def _effect(trial: Trial) -> None:
    kept = trial.fit(trial.usual)
    kept.score(trial.usual.x)
    for name, value in trial.scorer.parameters().items():
        if name in CHEAP or name.endswith("_seed") or kept.parameters()[name] != value:
            continue  # what fit or score changes, another check names
        tried = list(_others(trial.scorer, name))
        beside = (Trial(one, trial.make) for one in _relatives(trial.scorer, name))
        if tried and not any(_has_effect(one, name) for one in (trial, *beside)):
            texts = ", ".join(format_value(getattr(made, name)) for made in tried)
            raise BreachError(f"expected parameter {name} to change something, got the same scores with {texts}")


def _every_row(trial: Trial) -> None:
    for name in ("val", "train"):
        if name not in trial.scorer.needs:
            continue
        for share in (0.6, 0.3):
            unmoved = all(_is_unmoved(trial, name, share, seed) for seed in range(SEEDS))
            expect(not unmoved, f"fit to look at all rows of {name}", f"no change with the last {share:.0%} changed")


def _generators(trial: Trial) -> None:
    libraries: Mapping[str, tuple[Callable[[int], object], Callable[[], Any]]] = {
        "torch": (torch.manual_seed, lambda: torch.get_rng_state().tolist()),
        "numpy": (np.random.seed, lambda: np.random.get_state()[1].tolist()),  # type: ignore[index]
        "random": (random.seed, random.getstate),
    }
    with _kept_generators():
        after: dict[str, list[Any]] = {name: [] for name in libraries}
        for seed in (11, 12):
            for start, _ in libraries.values():
                start(seed)
            scored(trial.fit(trial.usual), trial.usual.x)
            for name, (_, state) in libraries.items():
                after[name].append(state())
    for name, (first, second) in after.items():
        expect(first != second, "the global generators to go on as they were", f"{name}'s seeded anew")


def _ties(trial: Trial) -> None:
    usual = trial.usual
    if not usual.x.classes or usual.x.classes < 2:
        return
    two = usual.x.top_logits(2)[~usual.ood].double()
    gaps = two[:, 0] - two[:, 1]
    sharp = min(GAPS[1] / float(gaps.median()), GAPS[2] / float(gaps.max()))
    shares = []
    for factor in (GAPS[0] / float(gaps.median()), sharp):
        problem = usual.changed(lambda x, factor=factor: rescaled(x, factor))  # type: ignore[misc]
        inside = scored(trial.fit(problem), problem.x)[~usual.ood]
        shares.append(len(set(inside.tolist())) / len(inside))
    if shares[0] < TIED:
        return  # ties are its way
    flat, steep = (f"{share:.0%}" for share in shares)
    hint = f"{steep} distinct, {flat} on less confident ones (float32 softmax is 1.0 here: take x.confidence)"
    expect(shares[1] >= 0.7 * shares[0], "confident ID images to keep distinct scores", hint)


def _few_images(trial: Trial) -> None:
    for rows in FEW:
        problem = trial.usual
        val, train = (None if split is None else split[:rows] for split in (problem.val, problem.train))
        few = Problem(problem.x, problem.ood, problem.edges, val, train)
        try:
            got = scored(trial.fit(few), problem.x)
        except OodkitError:
            continue  # it says what it lacks
        except Exception as error:
            text = f"{type(error).__name__}: {error}{place(error, type(trial.scorer).__module__)}"
            raise BreachError(f"expected {rows} images of val and train to do, or a ScorerError, got {text}") from error
        expect_finite(got, f"{rows} images of val and train")


def _grid_sign(trial: Trial) -> None:
    for name, values in trial.scorer.grid.items():
        for value in values:
            made = _with(trial.scorer, name, value)
            if made is None:
                continue  # a combination with the other parameters that is refused
            other = Trial(made, trial.make)
            try:
                expect_sign(other.scores, other.usual)
            except BreachError as breach:
                raise BreachError(f"with {name}={format_value(value)} of its grid: {breach}") from None
            except OodkitError:
                continue  # it is too much for a problem as small as this, and says so


def _separation(trial: Trial) -> None:
    found: list[float] = []
    if auroc_of(trial.scores, trial.usual) <= 0.5:
        return  # the check of the sign says so
    for classes in (5, 3, 2):
        problem = trial.usual if classes == 5 else trial.problem(classes)
        found.append(auroc_of(trial.scores if classes == 5 else scored(trial.fit(problem), problem.x), problem))
        if found[-1] >= EASY:
            return
    got = ", ".join(f"{value:.3f}" for value in found)
    raise BreachError(f"expected an AUROC of at least {EASY} on one of three easy problems, got {got}")


def _scale(trial: Trial) -> None:
    usual = trial.usual
    if usual.x.head is None or usual.x.head.kind != "zero_shot":
        return
    for factor in (5.0, 0.05):
        problem = usual.changed(lambda x, factor=factor: rescaled(x, factor))  # type: ignore[misc]
        scores = scored(trial.fit(problem), problem.x)
        try:
            if auroc_of(trial.scores, usual) > 0.5:
                expect_sign(scores, problem)
            if within(trial.scorer.bounds, trial.scores):
                expect_bounds(trial.scorer.bounds, scores)
        except BreachError as breach:
            raise BreachError(f"with a head of scale {usual.x.head.scale * factor:g}: {breach}") from None
    problem = usual.changed(lambda x: rescaled(x, 1.85))
    found = factors_of(trial.fit(problem).score, problem.x[:7])  # one batch of a stream
    given = [float(value) for value in _numbers(trial.scorer)]
    literal = [value for value in found or () if _is_a_scale(value) and not _is_made_of(value, given, problem)]
    expect(not literal, "the head's scale, or a parameter", f"a factor of {literal[0] if literal else 0:g} in the code")


Check: TypeAlias = Callable[[Trial], None]
TRAPS: Mapping[str, Check] = {
    check.__name__.strip("_").replace("_", "-"): check
    for check in (
        *(_labels, _splits, _effect, _every_row, _generators),
        *(_ties, _few_images, _grid_sign, _separation, _scale),
    )
}
"""Checks by the name that `exempt` uses."""


# -- what they share -----------------------------------------------------------------------------------------


def _with(scorer: Scorer, name: str, value: Any) -> Scorer | None:
    """Give a clone with another value of a parameter; None where it is refused."""
    try:
        return type(scorer)(**{**scorer.clone().parameters(), name: value})
    except Exception:  # whatever a scorer says to a value it does not take
        return None


def _others(scorer: Scorer, name: str) -> Iterator[Scorer]:
    """Give clones with other values of a parameter: those of its grid, or of its type; none where there are no such."""
    value = getattr(scorer, name)
    values = [one for one in scorer.grid.get(name, ()) if one != value]
    if isinstance(value, bool):
        values.append(not value)
    elif isinstance(value, int | float):
        kind = type(value)
        more = [kind(round(value * by) if kind is int else value * by) for by in OTHERS]
        values += [*more, kind(value + 1), kind(value - 1), *((2, 3, 5, 0) if kind is int else (0.5, 0.9, 0.0))]
    elif isinstance(value, str):
        values += _literals(scorer, name)
    yield from _made(scorer, name, values)


def _relatives(scorer: Scorer, name: str) -> Iterator[Scorer]:
    """Give scorers whose other parameters are otherwise, as a parameter may matter only where another asks for it."""
    try:
        usual = type(scorer)()
    except Exception:  # it has parameters without a default
        return
    yield usual
    for one in (scorer, usual):
        for other, value in one.parameters().items():
            if other != name and isinstance(value, str | bool):
                words = _words(one, other) if isinstance(value, str) else []
                yield from (*_others(one, other), *_made(one, other, words))


def _made(scorer: Scorer, name: str, values: Sequence[Any]) -> Iterator[Scorer]:
    """Make clones with each of these values that is another one and that the scorer takes."""
    seen = [getattr(scorer, name)]
    for value in values:
        made = None if value in seen else _with(scorer, name, value)
        seen.append(value)
        if made is not None:
            yield made


def _literals(scorer: Scorer, name: str) -> list[str]:
    """Give the words of a parameter whose type is a `Literal`."""
    try:
        hints = get_type_hints(type(scorer))
    except Exception:  # names that are known to type checkers alone
        return []
    return [one for one in get_args(hints.get(name)) if isinstance(one, str)]


def _words(scorer: Scorer, name: str) -> list[str]:
    """Give the words that a scorer names where it refuses another."""
    try:
        type(scorer)(**{**scorer.clone().parameters(), name: "no-such-word"})
    except Exception as error:
        return re.findall(r"[A-Za-z][\w-]*", str(error))
    return []


def _has_effect(trial: Trial, name: str) -> bool:
    return any(_differs(trial, made) for made in _others(trial.scorer, name))


def _differs(trial: Trial, made: Scorer) -> bool:
    """Tell whether a scorer with another parameter says, or asks for, anything else; an error is something else."""
    old = trial.scorer
    for what in ("needs", "prompts", "bounds", "threshold"):
        if getattr(made, what) != getattr(old, what):
            return True
    for classes in (5, 25):
        problem = trial.usual if classes == 5 else trial.problem(classes)
        try:
            got = _everything(fitted_on(made.clone(), problem), problem)
        except Exception:
            return True
        if not bool(is_same(got, _everything(trial.fit(problem), problem)).all()):
            return True
    return False


def _everything(scorer: Scorer, problem: Problem) -> Tensor:
    return torch.cat([scored(scorer, problem.x), scored(scorer, problem.edges)])


def _is_unmoved(trial: Trial, name: str, share: float, seed: int) -> bool:
    """Tell whether no score moves where the last rows of a split are others, but some where its first ones are."""
    problem = trial.problem(seed=seed)
    split = getattr(problem, name)
    if split is None:
        return False
    count = int(share * len(split))
    before = scored(trial.fit(problem), problem.x)
    moved = []
    for rows in (slice(len(split) - count, None), slice(0, count)):
        other = _changed(split, rows)
        val, train = (other, problem.train) if name == "val" else (problem.val, other)
        changed = Problem(problem.x, problem.ood, problem.edges, val, train)
        try:
            moved.append(not bool(is_same(scored(trial.fit(changed), problem.x), before).all()))
        except Exception:
            moved.append(True)  # it has looked at them
    return moved == [False, True]


def _changed(split: Outputs, rows: slice) -> Outputs:
    """Put halfway images of two classes in the place of some rows."""
    draw = torch.Generator().manual_seed(5)
    order = torch.randperm(len(split), generator=draw)

    def mixed(array: Tensor | None) -> Tensor | None:
        if array is None:
            return None
        made = array.clone()
        made[rows] = (0.4 * array + 0.9 * array[order])[rows]
        return made

    ready = split._logits
    extras = {key: mixed(array) if isinstance(array, Tensor) else array for key, array in split.extras.items()}
    return split._like(features=mixed(split.features), _logits=mixed(ready), extras=extras)


@contextmanager
def _kept_generators() -> Iterator[None]:
    """Put the global generators back as they were."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])


def _numbers(component: Component) -> Iterator[float]:
    """Give the numbers among the parameters of a component, those of inner ones too."""
    for value in component.parameters().values():
        if isinstance(value, Component):
            yield from _numbers(value)
        elif isinstance(value, int | float) and not isinstance(value, bool) and value:
            yield float(value)


def _is_a_scale(value: float) -> bool:
    size = abs(value)
    return any(math.isclose(size, usual) or math.isclose(size, 1 / usual) for usual in USUAL_SCALES) or size >= 10


def _is_made_of(value: float, given: list[float], problem: Problem) -> bool:
    """Tell whether a factor is a product of parameters, the scale and the number of classes, or their inverses."""
    scale = float(problem.x.head.scale) if problem.x.head is not None else 1.0
    parts = [1.0, scale, float(problem.x.classes), *given]
    known = {a**i * b**j for a, b in product(parts, parts) for i in (1, -1) for j in (1, -1)}
    return any(math.isclose(abs(value), abs(one), rel_tol=1e-6) for one in known)
