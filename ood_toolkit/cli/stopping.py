"""Ctrl-C, and a system that asks a run to end: one line, after all that was half written is taken away."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["ended", "heeded", "was_stopped"]

ASKED = ("SIGTERM", "SIGHUP")
_heard: list[int] = []


@contextmanager
def heeded() -> Iterator[None]:
    """Let signals that ask a run to end stop it as Ctrl-C does; the second one ends it at once."""
    before: dict[int, Any] = {}
    _heard.clear()
    if threading.current_thread() is threading.main_thread():
        for number in (getattr(signal, name) for name in ASKED if hasattr(signal, name)):
            if signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, _stop)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            before[signal.SIGINT] = signal.signal(signal.SIGINT, _stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def was_stopped() -> bool:
    """Tell whether a signal stopped the run: a library may have made another error of it."""
    return bool(_heard)


def ended(code: int) -> int:
    """Give the exit code of a run that ended with `code`, unless a signal stopped it."""
    return 128 + _heard[0] if _heard else code


def _stop(number: int, frame: FrameType | None) -> None:
    _heard.append(number)
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    raise KeyboardInterrupt
