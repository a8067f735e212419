"""The conformance kit: `check_scorer(instance)`, or pytest tests with `parametrize_with_checks([...])`.

`check_combiner`, `check_dataset` and `check_model` do the same for the other things that a plugin may provide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from ood_toolkit.api.scorer import Scorer
from ood_toolkit.api.spec import nearest
from ood_toolkit.api.stream import AnyScorer, StreamScorer
from ood_toolkit.errors import ScorerError
from ood_toolkit.testing.checks import ALWAYS, CHECKS
from ood_toolkit.testing.combiners import check_combiner
from ood_toolkit.testing.datasets import check_dataset
from ood_toolkit.testing.expectations import BreachError
from ood_toolkit.testing.models import check_model
from ood_toolkit.testing.outcome import CheckReport, ConformanceError, outcome
from ood_toolkit.testing.problem import Problem, ProblemMaker, make_problem
from ood_toolkit.testing.streams import STREAM_ALWAYS, STREAM_CHECKS, StreamTrial
from ood_toolkit.testing.trial import Trial

if TYPE_CHECKING:
    import pytest

__all__ = [
    "CHECKS",
    "STREAM_CHECKS",
    "CheckReport",
    "ConformanceError",
    "Problem",
    "check_combiner",
    "check_dataset",
    "check_model",
    "check_scorer",
    "make_problem",
    "parametrize_with_checks",
    "run_check",
]


def check_scorer(scorer: AnyScorer | str, problem: ProblemMaker = make_problem) -> CheckReport:
    """Run every check on clones of a scorer, an instance or a spec; it is itself left as it is.

    A scorer that needs arrays or banks of a special form brings its own `problem`: a function of needs,
    number of classes and seed that gives a `Problem`, mostly that of `make_problem` with something replaced.
    A scorer of streams is run over the rows as they come; it has checks of its memory in place of those of `fit`.
    Raises `ConformanceError`, which lists every failed check, and `ScorerError` for what is no scorer.
    """
    made = _instance(scorer)
    checks, exempted = _checks(made, problem), _exempted(made)
    return outcome(_label(made), checks, exempted, type(made).__module__)


def run_check(name: str, scorer: AnyScorer | str, problem: ProblemMaker = make_problem) -> None:
    """Run one check by name, exempt or not; `problem` is as for `check_scorer`.

    Raises `ConformanceError` where it finds a breach, `ScorerError` for an unknown name and for what is no scorer; what
    the scorer itself raises comes as it is.
    """
    made = _instance(scorer)
    checks = _checks(made, problem)
    if name not in checks:
        raise ScorerError(f"unknown check {name!r}; {nearest(name, checks)}")
    try:
        checks[name]()
    except BreachError as breach:
        raise ConformanceError(_label(made), {name: str(breach)}, 1) from breach.__cause__


def parametrize_with_checks(
    scorers: Iterable[AnyScorer | str], problem: ProblemMaker = make_problem
) -> pytest.MarkDecorator:
    """Make one pytest test for each of `scorers` and check; exempted ones are skipped with their reason.

    Decorates `def test_contract(scorer, check): check(scorer)`; pytest shows ids such as `knn:k=5-sign`.
    `problem` is as for `check_scorer`. Raises `ScorerError` for what is no scorer.
    """
    import pytest

    cases = []
    for scorer in map(_instance, scorers):
        exempted = _exempted(scorer)
        for name in _checks(scorer, problem):
            marks = [pytest.mark.skip(reason=f"exempt: {exempted[name]}")] if name in exempted else []
            check = partial(run_check, name, problem=problem)
            cases.append(pytest.param(scorer, check, id=f"{_label(scorer)}-{name}", marks=marks))
    return pytest.mark.parametrize(("scorer", "check"), cases)


def _checks(scorer: AnyScorer, problem: ProblemMaker) -> dict[str, Callable[[], None]]:
    """Give the checks that are for such a scorer, to be called."""
    if isinstance(scorer, StreamScorer):
        stream = StreamTrial(scorer, problem)
        return {name: partial(check, stream) for name, check in STREAM_CHECKS.items()}
    trial = Trial(scorer, problem)
    return {name: partial(check, trial) for name, check in CHECKS.items()}


def _instance(scorer: AnyScorer | str) -> AnyScorer:
    if isinstance(scorer, str):
        from ood_toolkit.api.registry import get_registry

        return get_registry().scorer(scorer)
    if not isinstance(scorer, Scorer | StreamScorer):
        raise ScorerError(f"expected a scorer or its spec, got {scorer!r}; call the class to make an instance")
    return scorer


def _label(scorer: AnyScorer) -> str:
    return scorer.spec if hasattr(type(scorer), "name") else type(scorer).__name__


def _exempted(scorer: AnyScorer) -> dict[str, str]:
    stream = isinstance(scorer, StreamScorer)
    names, always = (STREAM_CHECKS, STREAM_ALWAYS) if stream else (CHECKS, ALWAYS)
    return {name: why for name, why in scorer.exempt.items() if name in names and name not in always}
