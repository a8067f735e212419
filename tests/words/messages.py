"""Every message of the package that a test provokes."""

from __future__ import annotations

import os
from pathlib import Path

from foreign import FOREIGN, foreign

from ood_toolkit.errors import OodkitError

__all__ = ["FOREIGN", "foreign", "record", "taken"]

_seen: list[str] = []


def record(text: str) -> None:
    """Remember a message of the test that runs."""
    _seen.append(text)


def taken() -> list[str]:
    """Give the messages since this was asked last; `OODKIT_TEST_MESSAGES` names a file that gathers them."""
    said, _seen[:] = list(dict.fromkeys(_seen)), []
    if said and (file := os.environ.get("OODKIT_TEST_MESSAGES")):
        with Path(file).open("a", encoding="utf-8", errors="backslashreplace") as gathered:
            gathered.writelines(f"{os.environ.get('PYTEST_CURRENT_TEST', '')}\t{one!r}\n" for one in said)
    return said


def _recording(self: OodkitError, *args: object, **more: object) -> None:
    Exception.__init__(self, *args, **more)
    record(str(self))


OodkitError.__init__ = _recording  # type: ignore[method-assign]
