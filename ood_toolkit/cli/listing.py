"""How listings and facts are printed: tables that can be searched, what is known of one thing, or JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import click

from ood_toolkit.cli import options
from ood_toolkit.cli.help import Group
from ood_toolkit.cli.streams import print_form, print_json, print_line, print_message, shape
from ood_toolkit.report.cells import plain
from ood_toolkit.report.grid import Grid
from ood_toolkit.store.files import default_store

__all__ = ["Column", "as_json", "fact_lines", "listing", "print_explained", "print_facts", "print_rows"]

Command = Callable[..., Any]
Rows = Sequence[dict[str, Any]]
Column = Callable[[Mapping[str, Any]], str]
"""Writes the cell of a row."""
FIND = "find"

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_group = click.option("--group", metavar="NAME", help="Only those of this group: clip, classical, thresholds.")
_needs = click.option("--needs", metavar="WHAT", multiple=True, help="Only those that need this, such as train.")


class _Listing(Group):
    """A listing with commands below it; any other word searches in it."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name) or self.commands[FIND]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands:
            return FIND, self.commands[FIND], args
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in super().list_commands(ctx) if name != FIND]


def listing(
    kind: str,
    columns: Mapping[str, Column] | None = None,
    *,
    narrower: Sequence[Mapping[str, Column | None]] = (),
    by_needs: bool = False,
) -> Callable[[Callable[..., Rows]], Any]:
    """Make a command of a function that gives the rows of a listing: `name`, `what` it is, and more by key.

    A function that looks into the store takes its folder. `columns` makes a table of the rows, with a line for each,
    and a group that other commands stand below; a word after it leaves the rows that hold it. Where a
    terminal has no room for a line each, `narrower` are columns to write shorter, or to leave out, one after the other.
    `by_needs` adds `--group` and `--needs`.
    """

    def wrap(function: Callable[..., Rows]) -> Any:
        looks = bool(signature(function).parameters)

        def shown(words: Sequence[str], store: Path | None, wanted: bool, **only: Any) -> None:
            rows = function(store or default_store()) if looks else function()
            found = [row for row in rows if _holds(row, words) and _is_of(row, **only)]
            if not found and not wanted:
                print_message(f"none of the {len(rows)} {kind} fits")
            _print(kind, found, columns, narrower, wanted)

        def dressed(command: Command) -> Command:
            command = options.store(command) if looks else command
            command = _needs(_group(command)) if by_needs else command
            return as_json(command)

        make = _alone if columns is None else _searched
        return make(kind, function.__doc__ or "", dressed, shown)

    return wrap


def _alone(kind: str, said: str, dressed: Callable[[Command], Command], shown: Command) -> click.Command:
    """Make a listing without commands below it."""

    @click.command(kind, help=said)
    @dressed
    def command(as_json: bool, store: Path | None = None, **only: Any) -> None:
        shown((), store, as_json, **only)

    return command


def _searched(kind: str, said: str, dressed: Callable[[Command], Command], shown: Command) -> click.Group:
    """Make a listing that other commands stand below, and that is searched for any other word."""
    said = f"{said}\n\n`oodkit {kind} WORD` lists those that hold a word, `show NAME` says all of one."

    @click.group(kind, cls=_Listing, help=said, invoke_without_command=True)
    @dressed
    def command(as_json: bool, store: Path | None = None, **only: Any) -> None:
        if click.get_current_context().invoked_subcommand is None:
            shown((), store, as_json, **only)

    @command.command(FIND, help=f"List the {kind} that hold a word.", hidden=True)
    @click.argument("words", nargs=-1, required=True)
    @dressed
    def find(words: tuple[str, ...], as_json: bool, store: Path | None = None, **only: Any) -> None:
        above = click.get_current_context().parent
        given = above.params if above is not None else {}
        more = {key: value or given[key] for key, value in only.items()}
        shown(words, store or given.get("store"), as_json or given["as_json"], **more)

    return command


def _holds(row: Mapping[str, Any], words: Sequence[str]) -> bool:
    """Tell whether a row holds all words, in whatever case."""
    from ood_toolkit.report.table import said

    text = "\n".join(said(value) for value in row.values()).lower()
    return all(word.lower() in text for word in words)


def _is_of(row: Mapping[str, Any], group: str | None = None, needs: Sequence[str] = ()) -> bool:
    asked = row.get("needs", [])
    return (not group or row.get("group") == group) and all(
        any(need in (one, one.partition(":")[0]) for one in asked) for need in needs
    )


def _print(
    kind: str,
    rows: Rows,
    columns: Mapping[str, Column] | None,
    narrower: Sequence[Mapping[str, Column | None]],
    wanted: bool,
) -> None:
    """Print rows as JSON, or as the table that they have; those without its cells are said below."""
    if wanted or columns is None:
        print_rows(rows, wanted)
        return
    from ood_toolkit.report.table import laid_out, said, unfolded

    whole, (width, color) = [row for row in rows if _is_whole(row)], shape()
    tables = [_table(kind, whole, columns)] if whole else []
    shown: dict[str, Column | None] = dict(columns)
    for change in narrower:
        if tables and width is not None and unfolded(tables[0]) > width:
            shown |= change
            tables = [_table(kind, whole, {head: write for head, write in shown.items() if write is not None})]
    notes = [f"{row['name']}: {said(row['what'])}" for row in rows if not _is_whole(row)]
    if tables or notes:
        print_form(laid_out([], tables, notes, width, color).lstrip("\n"))


def _table(kind: str, rows: Rows, columns: Mapping[str, Column]) -> Grid:
    """Lay rows out, without columns that are empty."""
    made = {"name": [str(row["name"]) for row in rows]}
    made |= {head: [write(row) for row in rows] for head, write in columns.items()}
    made = {head: cells for head, cells in made.items() if any(cells)}
    texts = sum(not _are_numbers(cells) for cells in made.values())
    lines = [list(cells) for cells in zip(*made.values(), strict=True)]
    return Grid(kind.capitalize(), list(made), lines, [False] * len(lines), texts, kept=1)


def _are_numbers(cells: Sequence[str]) -> bool:
    """Tell whether a column, which then stands behind those of text, holds numbers alone."""
    return all(not cell or cell.replace(",", "").isdecimal() for cell in cells)


def _is_whole(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is of a thing that works: one out of service has its name and the reason alone."""
    return not row.keys() <= {"name", "what", "plugin"}


def print_facts(facts: Mapping[str, Any], as_json: bool) -> None:
    """Print what is known of one thing, a fact a line; nested facts are indented."""
    if as_json:
        print_json(facts)
        return
    for line in fact_lines(facts):
        print_line(line)


def fact_lines(facts: Mapping[str, Any], indent: str = "") -> list[str]:
    """Give facts as lines, each fit to print; nested ones are indented."""
    from ood_toolkit.report.table import said

    lines: list[str] = []
    for key, value in facts.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}{plain(key)}:", *fact_lines(value, indent + "  ")] if value else []
        elif isinstance(value, list | tuple) and len(value) and (len(value) > 3 or len(str(value)) > 80):
            lines += [f"{indent}{plain(key)}:", *(f"{indent}  {plain(part)}" for part in value)]
        elif value not in (None, "", [], ()):
            lines.append(f"{indent}{plain(key)}: {plain(said(value))}")
    return lines


def print_explained(about: Mapping[str, Any], as_json: bool) -> None:
    """Print all that is said of a scorer or combiner."""
    if as_json:
        print_json(about)
        return
    for line in _explained_lines(about):
        print_line(line)


def _explained_lines(about: Mapping[str, Any]) -> Iterator[str]:
    from ood_toolkit.report.table import said

    yield about["name"]
    for paragraph in about["text"].split("\n\n"):
        yield ""
        yield from _lines(paragraph)
    yield ""
    for key in ("group", "needs"):
        if about.get(key):
            yield f"{key}: {said(about[key])}"
    if about["parameters"]:
        yield "parameters:"
    for name, told in about["parameters"].items():
        default = "must be given" if told["default"] is None else f"= {told['default']}"
        yield f"  {name} {default}{'  ' if told['meaning'] else ''}{' '.join(told['meaning'].split())}"
    for name, values in about.get("grid", {}).items():
        yield f"grid: {name} = {said(values)}"
    yield f"source: {' '.join(about['source'].split())}"
    yield f"plugin: {about['plugin']}"


def _lines(paragraph: str) -> Iterator[str]:
    """Give an indented paragraph, such as a formula, as it stands, any other as one line."""
    if paragraph.startswith(" "):
        yield from paragraph.split("\n")
    else:
        yield " ".join(paragraph.split())


def print_rows(rows: Rows, as_json: bool) -> None:
    """Print each row as its name, what it is, and a dim line of all else that is known of it."""
    from ood_toolkit.report.table import described

    if as_json:
        print_json(list(rows))
        return
    width, color = shape()
    if rows:
        print_form(described(rows, width, color))
