"""`--debug`: the tracebacks of what plugins raised, of which messages quote a line."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quoted_shown"]

LOG = logging.getLogger("ood_toolkit")


class _Once(logging.Handler):
    """Prints the traceback of each error on stderr, once for each place and text."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._seen: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        from ood_toolkit.cli.streams import print_message

        if record.exc_info is None or record.exc_info[1] is None:
            return
        known = f"{record.getMessage()} {record.exc_info[1]!r}"
        if known not in self._seen:
            self._seen.add(known)
            for line in logging.Formatter().formatException(record.exc_info).splitlines():
                print_message(line)


@contextmanager
def quoted_shown(wanted: bool) -> Iterator[None]:
    """Show tracebacks while a command runs, where that is wanted."""
    if not wanted:
        yield
        return
    handler, level, passes = _Once(), LOG.level, LOG.propagate
    LOG.addHandler(handler)
    LOG.setLevel(logging.DEBUG)
    LOG.propagate = False
    try:
        yield
    finally:
        LOG.removeHandler(handler)
        LOG.setLevel(level)
        LOG.propagate = passes
