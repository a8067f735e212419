"""`CheckReport` and `ConformanceError`: what came of checks that were run one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ood_toolkit.errors import OodkitError
from ood_toolkit.testing.expectations import BreachError

__all__ = ["CheckReport", "ConformanceError", "outcome"]


class ConformanceError(OodkitError, AssertionError):
    """A component breaks its contract; one line for each failed check says what was expected and what came."""

    def __init__(
        self,
        name: str,
        failures: Mapping[str, str],
        of: int,
        passed: Sequence[str] = (),
        exempted: Mapping[str, str] | None = None,
    ) -> None:
        self.failures = dict(failures)
        """What went wrong, by the name of the check."""
        self.passed = tuple(passed)
        self.exempted = dict(exempted or {})
        lines = [f"  {check}: {text}" for check, text in failures.items()]
        super().__init__("\n".join([f"{name}: {len(failures)} of {of} checks failed", *lines]))


@dataclass(frozen=True)
class CheckReport:
    """What was found on a component that passed."""

    scorer: str
    """Its spec, or the name of a data set or model."""
    passed: tuple[str, ...]
    exempted: Mapping[str, str]
    """Checks that a scorer declares not to apply, with its reasons; of a data set, splits that are not here."""


def outcome(label: str, checks: Mapping[str, Callable[[], None]], exempted: Mapping[str, str]) -> CheckReport:
    """Run every check that is not exempted; `ConformanceError` lists every one that failed."""
    failures: dict[str, str] = {}
    cause: Exception | None = None
    for name, check in checks.items():
        if name not in exempted:
            try:
                check()
            except BreachError as breach:
                failures[name] = str(breach)
            except Exception as error:
                failures[name] = f"expected no error, got {type(error).__name__}: {error}"
                cause = cause or error
    ran = tuple(name for name in checks if name not in exempted)
    if failures:
        passed = [name for name in ran if name not in failures]
        raise ConformanceError(label, failures, len(ran), passed, exempted) from cause
    return CheckReport(label, ran, exempted)
