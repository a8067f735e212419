"""The checks of the conformance kit, each a function of a scorer under test; `testing` runs them.

Those for faults that a plain run does not show are in `traps`.
"""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ood_toolkit.api.component import Component
from ood_toolkit.api.scorer import Scorer
from ood_toolkit.api.spec import nearest
from ood_toolkit.api.stream import AnyScorer
from ood_toolkit.errors import NotFittedError, NotSavableError, place
from ood_toolkit.scorers.candidates import candidates
from ood_toolkit.testing.expectations import (
    BreachError,
    expect,
    expect_bounds,
    expect_equal,
    expect_finite,
    expect_same,
    expect_sign,
    foreign,
    held,
    snapshot,
)
from ood_toolkit.testing.problem import bare, huge, permuted
from ood_toolkit.testing.traps import TRAPS
from ood_toolkit.testing.trial import Trial, fitted_on, scored

__all__ = ["ALWAYS", "CHECKS", "METHODS", "Check", "declared"]

ALWAYS = frozenset({"declaration", "sign", "finiteness", "refit", "labels"})
"""Checks that no scorer can be exempt from."""
MANY = 2000
"""Images that are asked about together, more than any usual batch."""
METHODS = frozenset({"parameters", "spec", "clone", "learned", "state", "from_state", "to", "fit", "score"})
WORDS = (
    *("logits", "features", "nonnegative_features", "head", "zero_shot", "linear_head"),
    *("val", "val_labels", "train", "train_labels"),
)


# -- the checks, in the order they run -----------------------------------------------------------------------


def _declaration(trial: Trial) -> None:
    declared(trial.scorer, METHODS, CHECKS, ALWAYS, "sign, finiteness and refit")
    _searchable(type(trial.scorer))


def _searchable(cls: type[Scorer]) -> None:
    """Expect a grid to name fields, to hold their defaults, and no combination of its values to be refused."""
    fields = getattr(cls, "__dataclass_fields__", {})
    for name, values in cls.grid.items():
        expect(name in fields, f"grid to name parameters ({nearest(name, fields)})", repr(name))
        expect(isinstance(values, tuple) and len(values) > 0, f"grid[{name!r}] to be a tuple of values", repr(values))
        default = fields[name].default
        expect(default in values, f"the default of {name}, {default!r}, in grid[{name!r}]", repr(values))
    required = any(f.init and f.default is f.default_factory is dataclasses.MISSING for f in fields.values())
    refused: dict[str, str] = {}
    if cls.grid and not required:
        candidates(cls(), refused)
    spec, why = next(iter(refused.items()), ("", ""))
    expect(not refused, "every combination of the values of grid to be accepted", f"{spec}: {why}")


def declared(
    scorer: AnyScorer, methods: frozenset[str], checks: Collection[str], always: frozenset[str], named: str
) -> None:
    """Expect a dataclass with a slug that hides no method and is exempt from nothing that applies always."""
    name = getattr(type(scorer), "name", None)
    expect(dataclasses.is_dataclass(scorer), "a class under @dataclass", type(scorer).__name__)
    hidden = sorted(methods & set(getattr(scorer, "__dataclass_fields__", ())))
    expect(not hidden, "fields not to hide the scorer's own methods", ", ".join(hidden))
    slug = isinstance(name, str) and re.fullmatch(r"[a-z0-9]+([-_.][a-z0-9]+)*", name) is not None
    expect(slug, "name to be a slug such as my-score", repr(name))
    for check, reason in scorer.exempt.items():
        expect(check in checks, f"exempt to name checks ({nearest(check, checks)})", repr(check))
        expect(check not in always, f"{named} to apply always, as labels do", f"an exemption from {check}")
        expect(isinstance(reason, str) and reason.strip() != "", f"a reason for exempt[{check!r}]", repr(reason))


def _needs(trial: Trial) -> None:
    needs = frozenset(trial.scorer.needs)
    for word in needs:
        known = word in WORDS or word.startswith(("text:", "extra:"))
        near = nearest(word, [*WORDS, "text:<bank>", "extra:<name>"])
        expect(known, f"needs to use its own words ({near})", repr(word))
    expect(not {"zero_shot", "linear_head"} <= needs, "one kind of head", "both zero_shot and linear_head")
    for problem in bare(trial.usual, needs):
        held = ", ".join(sorted(problem.x.provides))
        try:
            scored(trial.fit(problem), problem.x)
        except BreachError:
            raise
        except Exception as error:
            got = f"{type(error).__name__}: {error}{place(error, type(trial.scorer).__module__)}"
            raise BreachError(f"expected needs to suffice (x held only {held}), got {got}") from error


def _shape(trial: Trial) -> None:
    x = trial.usual.x
    got = trial.fitted.score(x)
    expect(isinstance(got, Tensor), "a torch tensor", type(got).__name__)
    expect(got.shape == (len(x),), f"scores of shape ({len(x)},)", tuple(got.shape))
    expect(got.device == x.device, f"scores on the device of the outputs, {x.device}", got.device)


def _dtype(trial: Trial) -> None:
    got = trial.fitted.score(trial.usual.x)
    dtype = getattr(got, "dtype", type(got).__name__)
    expect(dtype in (torch.float32, torch.float64), "a float32 or float64 tensor", dtype)


def _sign(trial: Trial) -> None:
    expect_sign(trial.scores, trial.usual)
    other = trial.problem(seed=1)
    expect_sign(scored(trial.fit(other), other.x), other)


def _finiteness(trial: Trial) -> None:
    expect_finite(trial.scores, "ID and OOD images")
    edges = scored(trial.fitted, trial.usual.edges)
    expect_finite(edges, "equal logits, a tie, a class text, a training image, a tiny length")


def _bounds(trial: Trial) -> None:
    expect_bounds(trial.scorer.bounds, trial.scores)


def _batch_independence(trial: Trial) -> None:
    x, fitted, whole = trial.usual.x, trial.fitted, trial.scores
    expect_equal("seven at a time", torch.cat([scored(fitted, part) for part in x.chunks(7)]), whole)
    some = torch.arange(0, len(x), 8)
    expect_equal("one by one", torch.cat([scored(fitted, x[int(i)]) for i in some]), whole[some])
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    expect_equal("in another order", scored(fitted, x[order]), whole[order])
    inside = ~trial.usual.ood
    expect_equal("without the OOD images", scored(fitted, x[inside]), whole[inside])
    many = torch.arange(MANY) % len(x)
    expect_equal(f"among {MANY:,} images", scored(fitted, x[many])[: len(x)], whole)


def _class_order(trial: Trial) -> None:
    for seed in (0, 1):
        moved = trial.usual.changed(lambda x, seed=seed: permuted(x, seed))  # type: ignore[misc]
        expect_equal("with the classes in another order", scored(trial.fit(moved), moved.x), trial.scores)


def _huge_logits(trial: Trial) -> None:
    problems, needs = [trial.usual], trial.scorer.needs
    if not any(word.startswith(("zero_shot", "text:")) for word in needs):
        problems.append(trial.problem(also="linear_head"))
    for problem in problems:
        fitted, large = trial.fit(problem), problem.changed(huge)
        expect_finite(scored(fitted, large.x), "logits 1e4 times as large as in fit")
        expect_finite(scored(trial.fit(large), large.x), "logits 1e4 times as large as usual, fit included")


def _repeatability(trial: Trial) -> None:
    expect_equal("when asked again", scored(trial.fitted, trial.usual.x), trial.scores)
    expect_equal("after the same fit again", scored(trial.fit(trial.usual), trial.usual.x), trial.scores)


def _refit(trial: Trial) -> None:
    scorer, usual = trial.fit(trial.problem(seed=2)), trial.usual
    given: Any = (usual.val, usual.train)
    expect(scorer.fit(*given) is scorer, "fit to return self", "something else")
    expect_equal("after an earlier fit on other data", scored(scorer, usual.x), trial.scores)


def _parameters(trial: Trial) -> None:
    before, scorer = snapshot(trial.scorer), trial.scorer.clone()
    expect_same("a clone to have", snapshot(scorer), before)
    fitted_on(scorer, trial.usual)
    expect_same("fit to leave", snapshot(scorer), before)
    scorer.score(trial.usual.x)
    expect_same("score to leave", snapshot(scorer), before)
    from ood_toolkit.api.registry import get_registry

    registry = get_registry()
    if scorer.name in registry.names("scorers") and registry.get("scorers", scorer.name) is type(scorer):
        back = registry.scorer(scorer.spec)
        expect_same(f"spec {scorer.spec!r} to parse back to", snapshot(back), before)


def _unfitted(trial: Trial) -> None:
    learned = ", ".join(sorted(trial.fitted.learned()))
    try:
        got = scored(trial.scorer.clone(), trial.usual.x)
    except NotFittedError as error:
        expect(bool(learned), "no NotFittedError, as fit sets nothing that ends in _", error)
        return
    expect(not learned, f"NotFittedError before fit, which sets {learned}", "scores")
    expect_equal("before fit, which sets nothing that ends in _", got, trial.scores)


def _state(trial: Trial) -> None:
    fitted = trial.fitted
    if not _savable(fitted):
        try:
            fitted.state()
        except NotSavableError:
            return
        raise BreachError("expected state() to raise NotSavableError, as savable is False, got a state")
    state = fitted.state()
    found = foreign(state, "state")
    expect(found is None, "only arrays, strings, numbers, lists and dicts, or savable = False", found)
    restored = type(fitted).from_state(copy.deepcopy(state), **fitted.parameters())
    expect_equal("after from_state(state())", scored(restored, trial.usual.x), trial.scores)


def _input(trial: Trial) -> None:
    problem = trial.problem()
    before = {name: held(getattr(problem, name)) for name in ("val", "train", "x")}
    trial.fit(problem).score(problem.x)
    for name, arrays in before.items():
        now = held(getattr(problem, name))
        changed = ", ".join(array for array in arrays if not torch.equal(now[array], arrays[array]))
        expect(not changed, f"the arrays of {name} to stay as they are", f"other values in {changed}")


def _one_image(trial: Trial) -> None:
    got = torch.as_tensor(trial.fitted.score(trial.usual.x[0]))
    expect(got.ndim > 0 and got.numel() == 1, "scores of shape (1,) for one image", tuple(got.shape))
    expect_finite(got, "one image")


def _two_classes(trial: Trial) -> None:
    problem = trial.problem(classes=2)
    expect_finite(scored(trial.fit(problem), problem.x), "two classes")


Check: TypeAlias = Callable[[Trial], None]
OPEN: Mapping[str, Check] = {
    check.__name__.strip("_").replace("_", "-"): check
    for check in (
        *(
            _declaration,
            _needs,
            _shape,
            _dtype,
            _sign,
            _finiteness,
            _bounds,
            _batch_independence,
            _class_order,
        ),
        *(
            _huge_logits,
            _repeatability,
            _refit,
            _parameters,
            _unfitted,
            _state,
            _input,
            _one_image,
            _two_classes,
        ),
    )
}
CHECKS: Mapping[str, Check] = {**OPEN, **TRAPS}
"""Every check by the name that `exempt` uses."""


# -- what the checks share -----------------------------------------------------------------------------------


def _savable(component: Component) -> bool:
    inner = [value for value in component.parameters().values() if isinstance(value, Component)]
    return component.savable and all(map(_savable, inner))
