"""The checks of the conformance kit, each a function of a scorer under test; `testing` runs them."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ood_toolkit.component import Component
from ood_toolkit.errors import NotFittedError, NotSavableError, OutputsError
from ood_toolkit.outputs import PER_IMAGE, Outputs
from ood_toolkit.scorer import Scorer
from ood_toolkit.spec import nearest
from ood_toolkit.testing.problem import Problem, ProblemMaker, bare, huge, permuted

__all__ = ["ALWAYS", "CHECKS", "BreachError", "Trial"]

ALWAYS = frozenset({"declaration", "sign", "finiteness", "refit"})
"""Checks that no scorer can be exempt from."""
TOLERANCE = 1e-5
"""How far scores that should be equal may lie apart, relative to their size and spread."""
METHODS = frozenset({"parameters", "spec", "clone", "learned", "state", "from_state", "to", "fit", "score"})
WORDS = (
    *("logits", "features", "nonnegative_features", "head", "zero_shot", "linear_head"),
    *("val", "val_labels", "train", "train_labels"),
)


class BreachError(Exception):
    """A check found something other than the contract says."""


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
        return _fit(self.scorer.clone(), problem)

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
        return _scores(self.fitted, self.usual.x)


# -- the checks, in the order they run -----------------------------------------------------------------------


def _declaration(trial: Trial) -> None:
    scorer, name = trial.scorer, getattr(type(trial.scorer), "name", None)
    _expect(dataclasses.is_dataclass(scorer), "a class under @dataclass", type(scorer).__name__)
    hidden = sorted(METHODS & set(getattr(scorer, "__dataclass_fields__", ())))
    _expect(not hidden, "fields not to hide the scorer's own methods", ", ".join(hidden))
    slug = isinstance(name, str) and re.fullmatch(r"[a-z0-9]+([-_.][a-z0-9]+)*", name) is not None
    _expect(slug, "name to be a slug such as my-score", repr(name))
    for check, reason in scorer.exempt.items():
        _expect(check in CHECKS, f"exempt to name checks ({nearest(check, CHECKS)})", repr(check))
        _expect(check not in ALWAYS, "sign, finiteness and refit to apply always", f"an exemption from {check}")
        _expect(isinstance(reason, str) and reason.strip() != "", f"a reason for exempt[{check!r}]", repr(reason))


def _needs(trial: Trial) -> None:
    needs = frozenset(trial.scorer.needs)
    for word in needs:
        known = word in WORDS or word.startswith(("text:", "extra:"))
        near = nearest(word, [*WORDS, "text:<bank>", "extra:<name>"])
        _expect(known, f"needs to use its own words ({near})", repr(word))
    _expect(not {"zero_shot", "linear_head"} <= needs, "one kind of head", "both zero_shot and linear_head")
    for problem in bare(trial.usual, needs):
        held = ", ".join(sorted(problem.x.provides))
        try:
            _scores(trial.fit(problem), problem.x)
        except BreachError:
            raise
        except Exception as error:
            got = f"{type(error).__name__}: {error}"
            raise BreachError(f"expected needs to suffice (x held only {held}), got {got}") from error


def _shape(trial: Trial) -> None:
    x = trial.usual.x
    got = trial.fitted.score(x)
    _expect(isinstance(got, Tensor), "a torch tensor", type(got).__name__)
    _expect(got.shape == (len(x),), f"scores of shape ({len(x)},)", tuple(got.shape))
    _expect(got.device == x.device, f"scores on the device of the outputs, {x.device}", got.device)


def _dtype(trial: Trial) -> None:
    got = trial.fitted.score(trial.usual.x)
    dtype = getattr(got, "dtype", type(got).__name__)
    _expect(dtype in (torch.float32, torch.float64), "a float32 or float64 tensor", dtype)


def _sign(trial: Trial) -> None:
    _expect_sign(trial.scores, trial.usual)
    other = trial.problem(seed=1)
    _expect_sign(_scores(trial.fit(other), other.x), other)


def _finiteness(trial: Trial) -> None:
    _expect_finite(trial.scores, "ID and OOD images")
    edges = _scores(trial.fitted, trial.usual.edges)
    _expect_finite(edges, "equal logits, a tie, a class text, a training image, a tiny length")


def _bounds(trial: Trial) -> None:
    least, most = trial.scorer.bounds or (-float("inf"), float("inf"))
    low, high = float(trial.scores.min()), float(trial.scores.max())
    _expect(low >= least and high <= most, f"scores within bounds [{least}, {most}]", f"{low:.6g} to {high:.6g}")


def _batch_independence(trial: Trial) -> None:
    x, fitted, whole = trial.usual.x, trial.fitted, trial.scores
    _expect_equal("seven at a time", torch.cat([_scores(fitted, part) for part in x.chunks(7)]), whole)
    some = torch.arange(0, len(x), 8)
    _expect_equal("one by one", torch.cat([_scores(fitted, x[int(i)]) for i in some]), whole[some])
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    _expect_equal("in another order", _scores(fitted, x[order]), whole[order])
    inside = ~trial.usual.ood
    _expect_equal("without the OOD images", _scores(fitted, x[inside]), whole[inside])


def _class_order(trial: Trial) -> None:
    moved = trial.usual.changed(permuted)
    _expect_equal("with the classes in another order", _scores(trial.fit(moved), moved.x), trial.scores)


def _huge_logits(trial: Trial) -> None:
    problems, needs = [trial.usual], trial.scorer.needs
    if not any(word.startswith(("zero_shot", "text:")) for word in needs):
        problems.append(trial.problem(also="linear_head"))
    for problem in problems:
        fitted, large = trial.fit(problem), problem.changed(huge)
        _expect_finite(_scores(fitted, large.x), "logits 1e4 times as large as in fit")
        _expect_finite(_scores(trial.fit(large), large.x), "logits 1e4 times as large as usual, fit included")


def _repeatability(trial: Trial) -> None:
    _expect_equal("when asked again", _scores(trial.fitted, trial.usual.x), trial.scores)
    _expect_equal("after the same fit again", _scores(trial.fit(trial.usual), trial.usual.x), trial.scores)


def _refit(trial: Trial) -> None:
    scorer, usual = trial.fit(trial.problem(seed=2)), trial.usual
    given: Any = (usual.val, usual.train)
    _expect(scorer.fit(*given) is scorer, "fit to return self", "something else")
    _expect_equal("after an earlier fit on other data", _scores(scorer, usual.x), trial.scores)


def _parameters(trial: Trial) -> None:
    before, scorer = _snapshot(trial.scorer), trial.scorer.clone()
    _expect_same("a clone to have", _snapshot(scorer), before)
    _fit(scorer, trial.usual)
    _expect_same("fit to leave", _snapshot(scorer), before)
    scorer.score(trial.usual.x)
    _expect_same("score to leave", _snapshot(scorer), before)
    from ood_toolkit.plugins import get_registry

    registry = get_registry()
    if scorer.name in registry.names("scorers") and registry.get("scorers", scorer.name) is type(scorer):
        back = registry.scorer(scorer.spec)
        _expect_same(f"spec {scorer.spec!r} to parse back to", _snapshot(back), before)


def _unfitted(trial: Trial) -> None:
    learned = ", ".join(sorted(trial.fitted.learned()))
    try:
        got = _scores(trial.scorer.clone(), trial.usual.x)
    except NotFittedError as error:
        _expect(bool(learned), "no NotFittedError, as fit sets nothing that ends in _", error)
        return
    _expect(not learned, f"NotFittedError before fit, which sets {learned}", "scores")
    _expect_equal("before fit, which sets nothing that ends in _", got, trial.scores)


def _state(trial: Trial) -> None:
    fitted = trial.fitted
    if not _savable(fitted):
        try:
            fitted.state()
        except NotSavableError:
            return
        raise BreachError("expected state() to raise NotSavableError, as savable is False, got a state")
    state = fitted.state()
    foreign = _foreign(state, "state")
    _expect(foreign is None, "only arrays, strings, numbers, lists and dicts, or savable = False", foreign)
    restored = type(fitted).from_state(copy.deepcopy(state), **fitted.parameters())
    _expect_equal("after from_state(state())", _scores(restored, trial.usual.x), trial.scores)


def _input(trial: Trial) -> None:
    problem = trial.problem()
    before = {name: _held(getattr(problem, name)) for name in ("val", "train", "x")}
    trial.fit(problem).score(problem.x)
    for name, arrays in before.items():
        now = _held(getattr(problem, name))
        changed = ", ".join(array for array in arrays if not torch.equal(now[array], arrays[array]))
        _expect(not changed, f"the arrays of {name} to stay as they are", f"other values in {changed}")


def _one_image(trial: Trial) -> None:
    got = torch.as_tensor(trial.fitted.score(trial.usual.x[0]))
    _expect(got.ndim > 0 and got.numel() == 1, "scores of shape (1,) for one image", tuple(got.shape))
    _expect_finite(got, "one image")


def _two_classes(trial: Trial) -> None:
    problem = trial.problem(classes=2)
    _expect_finite(_scores(trial.fit(problem), problem.x), "two classes")


Check: TypeAlias = Callable[[Trial], None]
CHECKS: Mapping[str, Check] = {
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
"""Every check by the name that `exempt` uses."""


# -- what the checks share -----------------------------------------------------------------------------------


def _fit(scorer: Scorer, problem: Problem) -> Scorer:
    given: Any = (problem.val, problem.train)
    scorer.fit(*given)
    return scorer


def _scores(scorer: Scorer, x: Outputs) -> Tensor:
    """Give the scores as (n,) float64 in whatever form they come; a fault of form fails its own check."""
    got = torch.as_tensor(scorer.score(x)).detach().cpu().double()
    _expect(got.numel() == len(x), f"{len(x)} scores, one an image", f"shape {tuple(got.shape)}")
    return got.reshape(len(x)).clone()


def _expect(met: bool, expected: str, got: object) -> None:
    if not met:
        raise BreachError(f"expected {expected}, got {got}")


def _expect_finite(scores: Tensor, what: str) -> None:
    bad = scores[~scores.isfinite()]
    _expect(not len(bad), f"finite scores for {what}", f"{bad[:1].tolist()} and {len(bad)} such in {len(scores)}")


def _expect_sign(scores: Tensor, problem: Problem) -> None:
    inside, outside = scores[~problem.ood, None], scores[None, problem.ood]
    auroc = float((inside > outside).double().mean() + (inside == outside).double().mean() / 2)
    got = f"{auroc:.3f}" + ("; turn the sign" if auroc < 0.2 else "")
    _expect(auroc > 0.5, "AUROC of clear ID against clear OOD above 0.5 (higher = more in-distribution)", got)


def _expect_equal(when: str, got: Tensor, want: Tensor) -> None:
    # A score near zero has no digits of its own: it is as exact as the spread of the scores around it.
    finite = want[want.isfinite()]
    spread = (finite - finite.median()).abs().quantile(0.75) if len(finite) else 0.0
    same = ((got - want).abs() <= TOLERANCE * (want.abs() + spread)) | (got == want)
    same |= got.isnan() & want.isnan()
    if not bool(same.all()):
        row = int((~same).nonzero()[0])
        apart = f"{got[row]:.9g} for {want[row]:.9g} in row {row}"
        raise BreachError(f"expected equal scores {when}, got {apart} ({int((~same).sum())} of {len(want)} differ)")


def _expect_same(what: str, got: Mapping[str, str], want: Mapping[str, str]) -> None:
    for name in sorted({*got, *want}):
        here, there = got.get(name, "nothing"), want.get(name, "nothing")
        _expect(here == there, f"{what} {name} = {there}", here)


def _snapshot(component: Component) -> dict[str, str]:
    """Write down the parameters, and what an inner component learned: only a clone of it may be fitted."""
    said = {name: repr(value) for name, value in component.parameters().items()} | {"spec": component.spec}
    for name, value in component.parameters().items():
        if isinstance(value, Component):
            said |= {f"{name}.{key}": text for key, text in _snapshot(value).items()}
            said |= {f"{name}.{key}": "learned" for key in value.learned()}
    return said


def _savable(component: Component) -> bool:
    inner = [value for value in component.parameters().values() if isinstance(value, Component)]
    return component.savable and all(map(_savable, inner))


def _foreign(value: object, place: str) -> str | None:
    """Name the first thing in a state that cannot be written without pickle."""
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        found = [_foreign(item, f"{place}[{key!r}]") for key, item in value.items()]
    elif isinstance(value, list | tuple):
        found = [_foreign(item, f"{place}[{i}]") for i, item in enumerate(value)]
    else:
        array = isinstance(value, np.ndarray) and value.dtype.kind != "O"
        plain = value is None or isinstance(value, Tensor | str | int | float | np.number | np.bool_)
        return None if array or plain else f"{place}: {type(value).__name__}"
    return next((name for name in found if name is not None), None)


def _held(x: Outputs | None) -> dict[str, Tensor]:
    """Copy every array that outputs hold, and those they derive, which other scorers share."""
    if x is None:
        return {}
    held: dict[str, Any] = {"features": x.features, "labels": x.labels}
    held |= {f"extra:{name}": array for name, array in x.extras.items() if isinstance(array, Tensor)}
    if x.head is not None:
        held |= {"head.weight": x.head.weight, "head.bias": x.head.bias}
        held |= {f"text:{name}": bank.embeddings for name, bank in x.head.banks.items()}
    for name in ("embeddings", "cosine", "logits", "no_logits", "probs", *PER_IMAGE):
        try:
            held[name] = getattr(x, name)
        except OutputsError:
            continue
    return {name: array.clone() for name, array in held.items() if array is not None}
