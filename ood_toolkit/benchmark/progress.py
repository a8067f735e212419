"""`Say`: how long work tells what it does, how far it is, and who is at work; taken from callers of either form."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Say", "spoken"]


class Say(Protocol):
    """Is told what is done now; may be called often, with the same text while a step goes on."""

    def __call__(self, what: str, done: int = 0, of: int = 0, each: str = "images", at: str = "") -> None:
        """Take the step, how much of it is done, of how much of what, and which scorer is at work."""


def spoken(progress: Callable[..., None] | None) -> Say:
    """Give what can be told everything, of a function that takes it all, or a text alone, or of nothing.

    One that takes a text is told each step once.
    """
    if progress is None:
        return _nothing
    try:
        inspect.signature(progress).bind("", 0, 0, "", "")
    except (TypeError, ValueError):
        return _steps(progress)
    return progress


def _nothing(what: str, done: int = 0, of: int = 0, each: str = "images", at: str = "") -> None:
    """Say nothing."""


def _steps(progress: Callable[[str], Any]) -> Say:
    """Tell a function of a text each step when it begins."""
    last = ""

    def say(what: str, done: int = 0, of: int = 0, each: str = "images", at: str = "") -> None:
        nonlocal last
        if what != last:
            last = what
            progress(what)

    return say
