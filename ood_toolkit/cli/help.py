"""Help as wide as the terminal, and not wider, of every command."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from ood_toolkit.cli.streams import terminal_width
from ood_toolkit.report.folding import folded, width_of

__all__ = ["Group", "Grouped", "with_help"]

WIDEST = 100
"""Columns of help where there is more room, or no terminal."""


class Help(click.HelpFormatter):
    """Lays help out in the columns that there are, be they few; what click leaves wider is folded."""

    def __init__(self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None) -> None:
        room = min(terminal_width(sys.stdout) or WIDEST, WIDEST)
        super().__init__(indent_increment, width or max(room - 2, 20), max_width)
        self.room = room

    def write_dl(self, rows: Any, col_max: int = 30, col_spacing: int = 2) -> None:
        """Write terms beside what they mean; few columns leave less of them to the terms."""
        super().write_dl(rows, min(col_max, max(self.width // 3, 8)), col_spacing)

    def getvalue(self) -> str:
        """Give the text; no line is wider than the room."""
        lines: list[str] = []
        for line in super().getvalue().split("\n"):
            indent = line[: len(line) - len(line.lstrip())]
            fits = width_of(line) <= self.room
            lines += [line] if fits else folded(line, self.room, indent if 2 * len(indent) < self.room else "")
        return "\n".join(lines)


class Group(click.Group):
    """A group whose help gives the first sentence of each command, whole."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with what each does."""
        made = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl([(name, _sentence(found.help)) for name, found in made.items() if found is not None])


class Grouped(click.Command):
    """A command whose help has its options under headings; those under none come last."""

    def __init__(self, *args: Any, headings: Mapping[str, Sequence[str]], **more: Any) -> None:
        super().__init__(*args, **more)
        self.headings = headings

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, a section for each heading."""
        records = {one.name: found for one in self.get_params(ctx) if (found := one.get_help_record(ctx)) is not None}
        placed = {name for names in self.headings.values() for name in names}
        other = [name for name in records if name not in placed]
        for heading, names in {**self.headings, "Other options": other}.items():
            if shown := [records[name] for name in names if name in records]:
                with formatter.section(heading):
                    formatter.write_dl(shown)


def _sentence(text: str | None) -> str:
    paragraph = " ".join((text or "").split("\n\n")[0].split())
    return re.split(r"(?<=\.) ", paragraph)[0]


class _Context(click.Context):
    formatter_class = Help


def with_help(command: click.Command) -> click.Command:
    """Let a command, and those below it, lay out their help so."""
    command.context_class = _Context
    command.context_settings.setdefault("help_option_names", ["-h", "--help"])  # also where nothing is above it
    if isinstance(command, click.Group):
        for part in command.commands.values():
            with_help(part)
    return command
