"""What to do next: five lines for who types `oodkit` alone, and one after the first run."""

from __future__ import annotations

import sys
from pathlib import Path

from ood_toolkit.cli.streams import QUIET, print_line, print_message, terminal_width, volume

__all__ = ["FIRST", "NEXT", "show_first", "show_next"]

FIRST = {
    "oodkit bench": "compare scores on digits, no download",
    "oodkit bench --id folder:A --ood folder:B": "on your own pictures",
    "oodkit import NAME FILE.npz": "bring vectors, logits or scores",
    "oodkit fit msp --id digits -o FILE": "make a detector that decides",
    "oodkit doctor": "what is here; oodkit --help lists all",
}
"""Commands, and what they do."""
NEXT = "next: oodkit bench --id folder:A --ood folder:B runs on your own pictures; oodkit scorers lists the scores"


def show_first() -> None:
    """Print the five lines."""
    wide = max(map(len, FIRST))
    for command, said in FIRST.items():
        print_line(f"{command:<{wide}}  {said}")


def show_next(store: Path, data_root: Path) -> None:
    """Say what to try next after a run on embedded sets, where there is nothing else yet and somebody looks."""
    from ood_toolkit.store.imports import Imports

    if volume() == QUIET or terminal_width(sys.stderr) is None or data_root.exists() or Imports(store).entries():
        return
    print_message(NEXT)
