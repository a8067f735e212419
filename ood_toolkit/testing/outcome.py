"""`CheckReport` and `ConformanceError`: what came of checks that were run one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ood_toolkit.errors import OodkitError, place
from ood_toolkit.testing.expectations import BreachError

__all__ = ["CheckReport", "ConformanceError", "outcome", "reasons"]


class ConformanceError(OodkitError, AssertionError):
    """A component breaks its contract; one line for each reason says what was expected and what came."""

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
        lines = [f"  {line}" for line in reasons(failures)]
        super().__init__("\n".join([f"{name}: {len(failures)} of {of} checks failed", *lines]))


@dataclass(frozen=True)
class CheckReport:
    """What was found on a component that passed."""

    scorer: str
    """Its spec, or the name of a data set or model."""
    passed: tuple[str, ...]
    """The checks that hold."""
    exempted: Mapping[str, str]
    """Checks that a scorer declares not to apply, with its reasons; of a data set, splits that are not here."""


def reasons(failures: Mapping[str, str]) -> list[str]:
    """Give a line for each failed check, and one for those that failed for the same reason, the most first."""
    by_reason: dict[str, list[str]] = {}
    for check, why in failures.items():
        by_reason.setdefault(why, []).append(check)
    return [
        f"{checks[0]}: {why}" if len(checks) == 1 else f"{len(checks)} checks failed for one reason: {why}"
        for why, checks in sorted(by_reason.items(), key=lambda found: -len(found[1]))
    ]


def outcome(
    label: str, checks: Mapping[str, Callable[[], None]], exempted: Mapping[str, str], module: str = ""
) -> CheckReport:
    """Run every check that is not exempted; `ConformanceError` lists every one that failed.

    `module` is that of what is checked: an error that it raises is told with the place in it.
    """
    failures: dict[str, str] = {}
    cause: Exception | None = None
    for name, check in checks.items():
        if name not in exempted:
            try:
                check()
            except BreachError as breach:
                failures[name] = str(breach)
            except Exception as error:
                failures[name] = f"expected no error, got {type(error).__name__}: {error}{place(error, module)}"
                cause = cause or error
    ran = tuple(name for name in checks if name not in exempted)
    if failures:
        passed = [name for name in ran if name not in failures]
        raise ConformanceError(label, failures, len(ran), passed, exempted) from cause
    return CheckReport(label, ran, exempted)
