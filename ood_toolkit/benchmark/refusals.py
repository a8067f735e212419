"""`Refusals`: what is wrong with a request, gathered so that all of it is said at once."""

from __future__ import annotations

from types import TracebackType

from ood_toolkit.errors import OodkitError, UsageError

__all__ = ["Refusals"]


class Refusals:
    """Holds the errors of checks that were made under it, as in `with refusals: check(...)`."""

    def __init__(self) -> None:
        self.errors: list[OodkitError] = []

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Keep an error of ours and go on behind the block; any other passes."""
        if not isinstance(error, OodkitError):
            return False
        self.errors.append(error)
        return True

    def raise_all(self) -> None:
        """Raise what was gathered: one error as it is, several as one whose message has a line or more for each.

        It is a `UsageError` where one of them is, else of the first one's type.
        """
        said = {str(error): error for error in self.errors}
        if not said:
            return
        first = next((error for error in self.errors if isinstance(error, UsageError)), self.errors[0])
        raise first if len(said) == 1 else type(first)("\n  ".join(said))
