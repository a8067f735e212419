"""How listings and facts are printed, as text or JSON, and on what kind of terminal."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import click

from ood_toolkit.cli import options
from ood_toolkit.store.files import default_store

__all__ = ["as_json", "listing", "print_facts", "print_rows", "stdout_width", "use_color"]

Command = Callable[..., Any]

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def listing(
    kind: str, make: Callable[..., Callable[[Command], Any]] = click.command, **given: Any
) -> Callable[[Callable[..., Sequence[dict[str, Any]]]], Any]:
    """Make a command of a function that gives the rows of a listing: `name`, `what` it is, and more by key.

    A function that looks into the store takes its folder. With `make=click.group` others can stand below it.
    """

    def wrap(function: Callable[..., Sequence[dict[str, Any]]]) -> Any:
        looks = bool(signature(function).parameters)

        @make(kind, help=function.__doc__, **given)
        @as_json
        def command(as_json: bool, store: Path | None = None) -> None:
            context = click.get_current_context()
            if context.invoked_subcommand is not None:
                return
            print_rows(function(store or default_store()) if looks else function(), as_json)

        return options.store(command) if looks else command

    return wrap


def print_facts(facts: Mapping[str, Any], as_json: bool) -> None:
    """Print what is known of one thing, a fact a line; nested facts are indented."""
    if as_json:
        click.echo(json.dumps(facts, indent=1))
        return
    for line in _fact_lines(facts, ""):
        click.echo(line)


def _fact_lines(facts: Mapping[str, Any], indent: str) -> list[str]:
    lines = []
    for key, value in facts.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}{key}:", *_fact_lines(value, indent + "  ")] if value else []
        elif isinstance(value, list | tuple) and len(value) and (len(value) > 3 or len(str(value)) > 80):
            lines += [f"{indent}{key}:", *(f"{indent}  {part}" for part in value)]
        elif value not in (None, "", [], ()):
            lines.append(f"{indent}{key}: {_cell(value)}")
    return lines


def stdout_width() -> int:
    """Give the width of the terminal, or of COLUMNS, else 100."""
    from shutil import get_terminal_size

    return get_terminal_size((100, 24)).columns


def use_color() -> bool:
    """Tell whether stdout is a terminal that wants colour."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def print_rows(rows: Sequence[dict[str, Any]], as_json: bool) -> None:
    """Print each row as its name, what it is, and a dim line of all else that is known of it."""
    if as_json:
        click.echo(json.dumps(list(rows), indent=1))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    for row in rows:
        rest = [f"{key} {_cell(value)}" for key, value in row.items() if key not in ("name", "what") and value]
        said = Text(_cell(row["what"])).append("\n" if rest else "").append("; ".join(rest), style="dim")
        table.add_row(Text(row["name"], style="bold"), said)
    console = Console(file=io.StringIO(), width=stdout_width(), highlight=False, force_terminal=use_color())
    console.print(table)
    for line in console.file.getvalue().splitlines():  # type: ignore[attr-defined]
        click.echo(line.rstrip())


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_cell(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
