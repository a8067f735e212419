"""How far a reader walks: which source files and functions of the package one command enters.

    python benchmarks/walk.py [--list] [COMMAND ...]

Without a command: `bench --scorers classwise,grid --id digits --ood letters`. The command runs once to fill a store of
its own, then again in a fresh process that counts. A function is entered when it is called, from whatever thread; the
body of a module, of a class and of a comprehension is not one, a lambda is. Files are those that entered functions lie
in. Imports alone count for nothing.
"""

from __future__ import annotations

import inspect
import json
import os
import runpy
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from pathlib import Path
from types import FrameType
from typing import Any

import click

import ood_toolkit

PACKAGE = f"{Path(ood_toolkit.__file__).parent}{os.sep}"
COMMAND = ("bench", "--scorers", "classwise,grid", "--id", "digits", "--ood", "letters")
FOUND = "OODKIT_WALK"
"""Names, in the process that counts, the file that it writes to."""
INNER = {"<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>"}


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--list", "listed", is_flag=True, help="Name each file with its functions.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def main(listed: bool, command: tuple[str, ...]) -> None:
    """Print the figures of a command with a warm store."""
    entered = walked(command or COMMAND)
    if listed:
        for file, names in entered.items():
            print(f"{file}: {', '.join(names)}")
    print(f"{len(entered)} files, {sum(map(len, entered.values()))} functions")


def walked(command: tuple[str, ...]) -> dict[str, list[str]]:
    """Run a command twice over one store; give the functions that the second run enters, by file."""
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "entered.json"
        env = os.environ | {"OODKIT_STORE": folder, "OODKIT_NO_PLUGINS": "1"}
        for program in (["-m", "ood_toolkit"], [__file__]):
            line = [sys.executable, *program, *command]
            subprocess.run(line, env=env | {FOUND: str(found)}, check=True, stdout=subprocess.DEVNULL)
        result: dict[str, list[str]] = json.loads(found.read_text())
        return result


def counted(file: Path) -> None:
    """Run the command that was typed in this process, and write down the functions that it enters."""
    entered: dict[str, set[tuple[int, str]]] = defaultdict(set)

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE) and code.co_flags & inspect.CO_OPTIMIZED:
            entered[code.co_filename].add((code.co_firstlineno, code.co_qualname))

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        runpy.run_module("ood_toolkit", run_name="__main__")
    finally:
        sys.setprofile(None)
        names = {path: functions([name for _, name in sorted(found)]) for path, found in sorted(entered.items())}
        file.write_text(json.dumps({path.removeprefix(PACKAGE): found for path, found in names.items() if found}))


def functions(names: list[str]) -> list[str]:
    """Leave the bodies of comprehensions out, which are functions in some versions of Python only."""
    return [name for name in names if name.rpartition(".")[2] not in INNER]


if __name__ == "__main__":
    if FOUND in os.environ:
        counted(Path(os.environ[FOUND]))
    else:
        main()
