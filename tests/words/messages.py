"""Every message of the package that a test provokes, and whether it holds words of the system or of a library."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ood_toolkit.errors import OodkitError

FOREIGN = re.compile(
    r"\[Errno|\[WinError|No such file or directory|Permission denied|Is a directory|Not a directory|File exists"
    r"|No space left on device|Read-only file system|File name too long"  # of the system
    r"|could not be broadcast|setting an array element|inhomogeneous|cannot reshape array|out of bounds for axis"
    r"|allow_pickle|matmul: |zero-size array|all the input array|could not convert string"  # of numpy
    r"|tensor a \(|mat1 and mat2|size mismatch for|loading state_dict|Expected all tensors|Dimension out of range"
    r"|expected scalar type|PytorchStreamReader|is invalid for input of size|must match the size of"  # of torch
    r"|object has no attribute|object is not|NoneType|invalid literal|codec can't|not enough values to unpack"
    r"|list index out of range|Expecting value|unhashable type"  # of Python
)
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


def foreign(said: list[str]) -> list[str]:
    """Give the messages that hold words which are not ours."""
    return [one for one in said if FOREIGN.search(one)]


def _recording(self: OodkitError, *args: object, **more: object) -> None:
    Exception.__init__(self, *args, **more)
    record(str(self))


OodkitError.__init__ = _recording  # type: ignore[method-assign]
