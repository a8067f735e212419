"""What all readers of foreign files share: which files are opened, how much is read, and how faults are reported."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from ood_toolkit.errors import DataError, OodkitError, refusal

__all__ = [
    "DAMAGED",
    "LIMIT",
    "MIB",
    "guarded",
    "in_file",
    "open_regular",
    "quoted",
    "read_bytes",
    "reason",
    "room",
    "shown",
    "too_large",
]

MIB = 1 << 20
LIMIT = "OODKIT_READ_LIMIT"
"""Environment variable: MiB that one read may take where a reader's own limit is smaller."""
PANIC = "PanicException"
"""What libraries written in Rust raise where they should not; it derives from `BaseException` alone."""
UNKNOWN_ENTRY = re.compile(r"unexpected keyword argument '(\w+)'")
PYTHON = re.compile(
    r"object (is not|has no|does not|cannot)|NoneType|invalid literal|(index|indices) out of range|unhashable type"
    r"|not enough values|too many values|could not convert string|(positional|keyword) argument|unsupported operand"
    r"|^(an integer is|expected (str|bytes|string|int)|cannot convert)"
    r"|must be (str|int|a string|an integer|real number)"
    r"|cannot reshape array|zero-size array|inhomogeneous|setting an array element|allow_pickle|all the input array"
    r"|not supported between|cannot unpack|unpack requires|dictionary update sequence|did not contain a loop"
    r"|integer string conversion|int too large|buffer (length|size)"
    r"|mat1 and mat2|is invalid for input of size|could not be broadcast|must match the size of|size mismatch"
)
"""What Python, numpy and torch say of a value that is otherwise than the code takes it to be; it tells a reader
nothing."""
LIBRARIES = frozenset(
    {
        "ast",
        "bz2",
        "gzip",
        "lzma",
        "numpy",
        "pickle",
        "pyarrow",
        "struct",
        "tarfile",
        "tokenize",
        "torch",
        "zipfile",
        "zlib",
    }
)
"""What reads the bytes of a file for us; what these say of damage tells nobody what to do."""
DAMAGED = "a damaged one: it was cut short or changed; get it again"
LONGEST = 200
"""Letters of another library's message that ours takes over."""


def room(least: int) -> int:
    """Return how many bytes a reader may take: its own limit, or `OODKIT_READ_LIMIT` in MiB where that is more."""
    given = os.environ.get(LIMIT, "")
    return max(least, int(given) * MIB) if given.isascii() and given.isdecimal() and len(given) < 12 else least


@contextmanager
def guarded(where: str, expected: str, raises: type[OodkitError] = DataError) -> Iterator[None]:
    """Turn whatever a damaged or hostile file makes fail into one line: where, what was expected, what was got.

    Errors of this package pass unchanged.
    """
    try:
        yield
    except OodkitError:
        raise
    except FileNotFoundError:
        raise raises(f"{where}: no such file; expected {expected}") from None
    except Exception as error:
        raise raises(f"{where}: expected {expected}, got {reason(error)}") from None
    except BaseException as error:
        if type(error).__name__ != PANIC:
            raise
        raise raises(f"{where}: expected {expected}, got a file that its reader cannot take") from None


@contextmanager
def in_file(file: os.PathLike[str] | str, raises: type[OodkitError] = DataError) -> Iterator[None]:
    """Put the name of a file in front of errors about what it holds, where it is not there already."""
    try:
        yield
    except OodkitError as error:
        if str(file) in str(error):
            raise
        raise raises(f"{file}: {error}") from None


def reason(error: BaseException) -> str:
    """Describe a fault of another library in one short line."""
    if isinstance(error, MemoryError):
        return "more than there is memory for"
    if isinstance(error, RecursionError):
        return "contents that are nested too deeply"
    if isinstance(error, KeyError):
        return f"nothing under {shown(error.args[0] if error.args else '')}"
    if isinstance(error, OSError) and error.errno == errno.EINVAL and error.filename is None:
        return DAMAGED  # it names places that it does not have
    if isinstance(error, OSError) and (why := refusal(error)):
        return why
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    if isinstance(error, UnicodeDecodeError):
        return f"bytes that are no text in {error.encoding.upper()}"
    if isinstance(error, UnicodeEncodeError):
        return f"text that {error.encoding.upper()} does not have"
    if isinstance(error, json.JSONDecodeError):
        return f"text that is no JSON (line {error.lineno}, column {error.colno})"
    if type(error).__name__ == "SafetensorError":
        return "no safetensors file, or a damaged one"
    if _raised_in(error) in LIBRARIES:
        return "a compression or encoding that is not read here" if isinstance(error, NotImplementedError) else DAMAGED
    said = " ".join(str(error).split())
    if entry := UNKNOWN_ENTRY.search(said):
        return f"an entry {shown(entry[1])} that is not known"
    if PYTHON.search(said):
        return "contents of another form"
    return shown(said) if said else "contents of another form"


def _raised_in(error: BaseException) -> str:
    """Name the package whose code raised an error."""
    trace, module = error.__traceback__, ""
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
    return module.partition(".")[0]


def shown(value: object, most: int = LONGEST) -> str:
    """Write a value from a file as a short text without control characters."""
    text = value if isinstance(value, str) else ascii_escapes(value)
    text = text if len(text) <= most else f"{text[:most]}..."
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def quoted(value: object, most: int = LONGEST) -> str:
    """Write a value from a file as Python writes it, short and without control characters."""
    return shown(ascii_escapes(value), most)


def ascii_escapes(value: object) -> str:
    """Return the `repr` of a value, or its type where that cannot be written, as of a whole number of 5,000 digits."""
    try:
        return repr(value)
    except Exception:
        return f"<{type(value).__name__}>"


def open_regular(file: os.PathLike[str] | str) -> BinaryIO:
    """Open a regular file to read its bytes; `OSError` for a folder, a pipe, a device or a link to one.

    Nothing waits: opening a pipe would, until somebody writes to it.
    """
    try:
        handle = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except ValueError as error:  # a NUL in the name
        raise OSError(str(error)) from None
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(f"it is {'a folder' if stat.S_ISDIR(mode) else 'a pipe or device'}, not a file")
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_bytes(file: os.PathLike[str] | str, most: int | None = None) -> bytes:
    """Read a whole regular file, of at most so many bytes; `OSError` where it is longer or no such file."""
    if most is None:
        with open_regular(file) as handle:
            return handle.read()
    most = room(most)
    with open_regular(file) as handle:
        size = os.fstat(handle.fileno()).st_size
        if size > most:
            raise OSError(too_large(size, most))
        content = handle.read(size + 1)
    if len(content) > most:
        raise OSError(too_large(len(content), most))
    return content


def too_large(size: int, most: int, what: str = "a file of") -> str:
    """Say that something is over a limit, and how to lift it."""
    return f"{what} {size:,} bytes, over the limit of {most:,}; {LIMIT}={-(-size // MIB)} (MiB) lifts it"
