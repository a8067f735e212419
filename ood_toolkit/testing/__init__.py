"""The conformance kit: `check_scorer(instance)`, or pytest tests with `parametrize_with_checks([...])`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ood_toolkit.errors import OodkitError, ScorerError
from ood_toolkit.scorer import Scorer
from ood_toolkit.spec import nearest
from ood_toolkit.testing.checks import ALWAYS, CHECKS, BreachError, Trial
from ood_toolkit.testing.problem import Problem, ProblemMaker, make_problem

if TYPE_CHECKING:
    import pytest

__all__ = [
    "CHECKS",
    "CheckReport",
    "ConformanceError",
    "Problem",
    "check_scorer",
    "make_problem",
    "parametrize_with_checks",
    "run_check",
]


class ConformanceError(OodkitError, AssertionError):
    """A scorer breaks its contract; one line for each failed check says what was expected and what came."""

    def __init__(self, scorer: str, failures: Mapping[str, str], of: int) -> None:
        self.failures = dict(failures)
        """What went wrong, by the name of the check."""
        lines = [f"  {check}: {text}" for check, text in failures.items()]
        super().__init__("\n".join([f"{scorer}: {len(failures)} of {of} checks failed", *lines]))


@dataclass(frozen=True)
class CheckReport:
    """What `check_scorer` found on a scorer that passed."""

    scorer: str
    """Its spec."""
    passed: tuple[str, ...]
    exempted: Mapping[str, str]
    """Checks that the scorer declares not to apply, with its reasons."""


def check_scorer(scorer: Scorer | str, problem: ProblemMaker = make_problem) -> CheckReport:
    """Run every check on clones of a scorer, an instance or a spec; it is itself left as it is.

    A scorer that needs arrays or banks of a special form brings its own `problem`: a function of needs,
    number of classes and seed that gives a `Problem`, mostly that of `make_problem` with something replaced.
    Raises `ConformanceError`, which lists every failed check.
    """
    trial = Trial(_instance(scorer), problem)
    exempted = _exempted(trial.scorer)
    failures: dict[str, str] = {}
    cause: Exception | None = None
    for name in CHECKS:
        if name not in exempted:
            try:
                CHECKS[name](trial)
            except BreachError as breach:
                failures[name] = str(breach)
            except Exception as error:
                failures[name] = f"expected no error, got {type(error).__name__}: {error}"
                cause = cause or error
    label, ran = _label(trial.scorer), tuple(name for name in CHECKS if name not in exempted)
    if failures:
        raise ConformanceError(label, failures, len(ran)) from cause
    return CheckReport(label, ran, exempted)


def run_check(name: str, scorer: Scorer | str, problem: ProblemMaker = make_problem) -> None:
    """Run one check by name, exempt or not.

    Raises `ConformanceError` where it finds a breach; what the scorer itself raises comes as it is.
    """
    if name not in CHECKS:
        raise ScorerError(f"unknown check {name!r}; {nearest(name, CHECKS)}")
    trial = Trial(_instance(scorer), problem)
    try:
        CHECKS[name](trial)
    except BreachError as breach:
        raise ConformanceError(_label(trial.scorer), {name: str(breach)}, 1) from breach.__cause__


def parametrize_with_checks(
    scorers: Iterable[Scorer | str], problem: ProblemMaker = make_problem
) -> pytest.MarkDecorator:
    """Make one pytest test for each scorer and check; exempted ones are skipped with their reason.

    Decorates `def test_contract(scorer, check): check(scorer)`; pytest shows ids such as `knn:k=5-sign`.
    """
    import pytest

    cases = []
    for scorer in map(_instance, scorers):
        exempted = _exempted(scorer)
        for name in CHECKS:
            marks = [pytest.mark.skip(reason=f"exempt: {exempted[name]}")] if name in exempted else []
            check = partial(run_check, name, problem=problem)
            cases.append(pytest.param(scorer, check, id=f"{_label(scorer)}-{name}", marks=marks))
    return pytest.mark.parametrize(("scorer", "check"), cases)


def _instance(scorer: Scorer | str) -> Scorer:
    if isinstance(scorer, str):
        from ood_toolkit.plugins import get_registry

        return get_registry().scorer(scorer)
    if not isinstance(scorer, Scorer):
        raise ScorerError(f"expected a scorer or its spec, got {scorer!r}; call the class to make an instance")
    return scorer


def _label(scorer: Scorer) -> str:
    return scorer.spec if hasattr(type(scorer), "name") else type(scorer).__name__


def _exempted(scorer: Scorer) -> dict[str, str]:
    return {name: why for name, why in scorer.exempt.items() if name in CHECKS and name not in ALWAYS}
