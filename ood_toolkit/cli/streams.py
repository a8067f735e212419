"""What is printed: nothing from data reaches a terminal as a command, and a stream that is gone ends no work.

Every command prints with these functions alone: `print_line`, `print_form` and `print_json` on stdout,
`print_message` on stderr.
"""

from __future__ import annotations

import codecs
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from ood_toolkit.report.cells import json_text, plain
from ood_toolkit.report.folding import folded, width_of

__all__ = [
    "QUIET",
    "USUAL",
    "VERBOSE",
    "lines_of",
    "lost_output",
    "print_command",
    "print_form",
    "print_json",
    "print_line",
    "print_message",
    "rewrite",
    "set_volume",
    "shape",
    "steady_streams",
    "terminal_width",
    "volume",
]

DRAWN = {"─": "-", "…": "...", "±": "+-", "–": "-", "—": "-", "×": "x", "≥": ">=", "≤": "<=", "→": "->"}
"""What stands for our own signs where the encoding of a stream lacks them."""
BELOW = re.compile(r"\n(?=  )")
ERRORS = "ood_toolkit.drawn"
STANDARD = 3
"""Descriptors below this are stdin, stdout and stderr."""
QUIET, USUAL, VERBOSE = -1, 0, 1
_volume = {"now": USUAL}
"""How much is said of work that goes on: nothing, a line that is rewritten, or a line for each step."""
_line = {"stands": False}
"""Whether a line of progress stands on the terminal that stderr is."""
_lost: list[OSError] = []
"""Why something that was printed on stdout did not arrive."""


def volume() -> int:
    """Give how much is to be said of work that goes on: `QUIET`, `USUAL` or `VERBOSE`."""
    return _volume["now"]


def set_volume(now: int) -> None:
    """Choose how much is said, for this command."""
    _volume["now"] = now


def print_line(text: object = "") -> None:
    """Print a line on stdout, folded on a terminal; what data put into it does no harm, and ends no line."""
    print_form("\n".join(_folded([plain(text)], sys.stdout)))


def print_form(text: str, end: str = "\n") -> None:
    """Print on stdout what has its form already, as it is."""
    try:
        _write(sys.stdout, text + end)
    except OSError as error:
        _lost.append(error)
        _silence(sys.stdout)


def print_command(text: str) -> None:
    """Print a command to copy; where a terminal is not wide enough its lines end as a shell goes on."""
    line, width, made = plain(text), terminal_width(sys.stdout), [""]
    for word in line.split(" "):
        if width is not None and made[-1] and width_of(f"{made[-1]} {word}") > width - 2:
            made.append("")
        made[-1] += f" {word}" if made[-1] else word
    print_form(" \\\n".join(made))


def print_json(value: Any) -> None:
    """Print JSON on stdout."""
    print_form(json_text(value))


def print_message(text: object) -> None:
    """Print a message on stderr, folded on a terminal; where there is no stderr it is lost, and nothing else is.

    What stands below its first line begins with two blanks. Any other end of a line is one of a name, and is shown.
    """
    try:
        _write(sys.stderr, "\n".join(_folded(lines_of(text), sys.stderr)) + "\n")
    except OSError:
        _silence(sys.stderr)


def lines_of(text: object) -> list[str]:
    """Give the lines of a message, each fit to print."""
    return [plain(line) for line in BELOW.split(str(text))]


def rewrite(line: str) -> None:
    """Put a line of progress in the place of the one before; whatever is printed next takes it away first."""
    if sys.stderr is None or sys.stderr.closed:
        return
    try:
        sys.stderr.write(f"\r\x1b[2K{line}")
        sys.stderr.flush()
    except OSError:
        return  # nobody reads it; the work goes on
    _line["stands"] = bool(line)


def terminal_width(stream: TextIO | None) -> int | None:
    """Give the columns of the terminal that a stream is, `COLUMNS` where that says otherwise; None for no terminal."""
    if stream is None or stream.closed or not stream.isatty():
        return None
    if columns := _columns():
        return columns
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def shape() -> tuple[int | None, bool]:
    """Give the columns that tables on stdout have room in, and whether they may be coloured.

    They are those of the terminal; where stdout is none, what `COLUMNS` asks for, else None: nothing is folded.
    """
    width = terminal_width(sys.stdout)
    return width or _columns(), width is not None and not os.environ.get("NO_COLOR")


def _columns() -> int | None:
    said = os.environ.get("COLUMNS", "")
    return int(said) if said.isdecimal() and int(said) else None


def lost_output() -> OSError | None:
    """Give the error for which what was printed on stdout did not arrive, None where it did."""
    try:
        if sys.stdout is not None and not sys.stdout.closed:
            sys.stdout.flush()
    except OSError as error:
        _lost.append(error)
        _silence(sys.stdout)
    return _lost[0] if _lost else None


@contextmanager
def steady_streams() -> Iterator[None]:
    """Let stdout and stderr take any text, whatever their encoding, for the time of a command.

    Where a standard stream is missing, its descriptor is taken by the null device, so that no file that is opened
    later receives what a library prints.
    """
    _lost.clear()
    if None in (sys.__stdin__, sys.__stdout__, sys.__stderr__):
        _fill_standard()
    before = [(stream, stream.errors) for stream in (sys.stdout, sys.stderr) if hasattr(stream, "reconfigure")]
    for stream, _ in before:
        stream.reconfigure(errors=ERRORS)
    try:
        yield
    finally:
        for stream, errors in before:
            if not stream.closed:
                stream.reconfigure(errors=errors)


def _folded(lines: Iterable[str], stream: TextIO | None) -> Iterator[str]:
    """Give lines, folded on a terminal that is not wide enough."""
    width = terminal_width(stream)
    for line in lines:
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        yield from [line] if width is None else folded(line, width, indent if width > 2 * len(indent) else "")


def _write(stream: TextIO | None, text: str) -> None:
    if _line["stands"]:
        rewrite("")
    if stream is not None and not stream.closed:
        stream.write(text)
        stream.flush()


def _silence(stream: TextIO) -> None:
    """Point a stream that takes nothing any more at the null device, so that what it still holds raises nothing."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, number)
    os.close(null)


def _fill_standard() -> None:
    while (number := os.open(os.devnull, os.O_RDWR)) < STANDARD:
        os.set_inheritable(number, True)
    os.close(number)


def _drawn(error: UnicodeError) -> tuple[str, int]:
    """Write what an encoding lacks in signs that all have."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(DRAWN.get(c, c.encode("unicode_escape").decode()) for c in lacking), error.end


codecs.register_error(ERRORS, _drawn)
