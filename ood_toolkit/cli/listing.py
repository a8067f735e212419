"""How listings and facts are printed, as text or JSON, and on what kind of terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import click

from ood_toolkit.cli import options
from ood_toolkit.cli.streams import print_form, print_json, print_line, shape
from ood_toolkit.report.cells import plain
from ood_toolkit.report.table import described, said
from ood_toolkit.store.files import default_store

__all__ = ["as_json", "fact_lines", "listing", "print_facts", "print_rows"]

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
        print_json(facts)
        return
    print_line("\n".join(fact_lines(facts)))


def fact_lines(facts: Mapping[str, Any], indent: str = "") -> list[str]:
    """Give facts as lines, each fit to print; nested ones are indented."""
    lines: list[str] = []
    for key, value in facts.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}{plain(key)}:", *fact_lines(value, indent + "  ")] if value else []
        elif isinstance(value, list | tuple) and len(value) and (len(value) > 3 or len(str(value)) > 80):
            lines += [f"{indent}{plain(key)}:", *(f"{indent}  {plain(part)}" for part in value)]
        elif value not in (None, "", [], ()):
            lines.append(f"{indent}{plain(key)}: {plain(said(value))}")
    return lines


def print_rows(rows: Sequence[dict[str, Any]], as_json: bool) -> None:
    """Print each row as its name, what it is, and a dim line of all else that is known of it."""
    if as_json:
        print_json(list(rows))
        return
    width, color = shape()
    print_form(described(rows, width, color))
