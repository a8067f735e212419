"""The place of an output, taken before the work begins: another run that wants it is told at once."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ood_toolkit.errors import StoreError, refusal
from ood_toolkit.store.foreign.guard import open_regular
from ood_toolkit.store.locks import OWNER, State, lock, owner, state_of
from ood_toolkit.store.partial import sweep
from ood_toolkit.store.room import check_writable, room_in

__all__ = ["reserved"]

START = ".oodkit-output."
NAME = re.compile(rf"{re.escape(START)}[0-9a-f]{{16}}")
HOLDER = re.compile(rf"({OWNER}) (\d+)\n")
TRIES, WAIT = 3, 0.05
LONGEST = 200
"""Bytes of a file that says whose a reservation is."""


@contextmanager
def reserved(output: Path) -> Iterator[None]:
    """Keep a file or folder that is to be written for this process, and take away what killed runs left beside it.

    `StoreError` where another process has it; one on another machine, which cannot be asked, counts as running. What
    is there already, in a folder that may not be written, is not kept: nothing can be put beside it.
    """
    place = Path(os.path.realpath(output))
    check_writable(place, output)
    if place.exists() and not os.access(place.parent, os.W_OK):
        yield
        return
    made = _made(place.parent)
    path = place.parent / f"{START}{hashlib.sha256(os.fsencode(place.name)).hexdigest()[:16]}"
    try:
        try:
            with room_in(place.parent):
                handle = _taken(path, output)
        except OSError as error:
            raise StoreError(f"cannot write {output}: {refusal(error) or 'the system does not allow it'}") from None
        try:
            for folder in (place.parent, place):
                sweep(folder)
            _sweep_reservations(place.parent)
            yield
        finally:
            path.unlink(missing_ok=True)
            os.close(handle)
    finally:
        for folder in made:
            with suppress(OSError):  # something lies in it, so it stays
                folder.rmdir()


def _made(folder: Path) -> list[Path]:
    """Make a folder with those around it; give the new ones, the innermost first."""
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    with room_in(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return new


def _taken(path: Path, output: Path) -> int:
    """Lock the file of a reservation, and say in it whose it is."""
    handle = lock(path)
    for _ in range(TRIES):  # another run may be looking whether this one is over
        if handle is None:
            time.sleep(WAIT)
            handle = lock(path)
    if handle is None:
        raise StoreError(f"{output}: another run{_who(path)} is going to write it; name another with --output")
    holder = _holder(path)
    if holder is not None and holder[0] != owner():
        os.close(handle)
        raise StoreError(
            f"{output}: a run{_who(path)} may be going to write it, which cannot be checked from here; if that is "
            f"over, delete {path}, or name another with --output"
        )
    os.truncate(handle, 0)
    os.pwrite(handle, f"{owner()} {os.getpid()}\n".encode(), 0)
    return handle


def _holder(path: Path) -> tuple[str, str] | None:
    """Read whose a reservation is."""
    try:
        with open_regular(path) as file:
            found = HOLDER.match(file.read(LONGEST).decode("ascii", "replace"))
    except OSError:
        return None
    return None if found is None else (found[1], found[2])


def _who(path: Path) -> str:
    holder = _holder(path)
    return "" if holder is None else f", process {holder[1]} on {holder[0].rpartition('-')[0]},"


def _sweep_reservations(folder: Path) -> None:
    """Take away the reservations of runs of this machine that were killed."""
    for path in folder.glob(f"{START}*"):
        holder = _holder(path) if NAME.fullmatch(path.name) else None
        if holder is not None and state_of(path, holder[0]) is State.DEAD:
            path.unlink(missing_ok=True)
