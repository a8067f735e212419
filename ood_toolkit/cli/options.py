"""Options that several commands have, and how a listing is printed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ood_toolkit.store.folder import default_store

if TYPE_CHECKING:
    from ood_toolkit.sources import Request, Sets

__all__ = ["device", "limit", "listing", "model", "opened", "prompts", "seed", "show_progress", "stdout_width", "store"]

model = click.option("--model", help="Model name, or the label of imported arrays; by default the one that fits.")
prompts = click.option(
    "--prompts",
    multiple=True,
    metavar="TEMPLATE|FILE",
    help='Prompt template with {}, such as "a photo of a {}", or a file with one a line; repeat it for an ensemble. '
    "By default the set's own, and each scorer's own where its paper has one.",
)
seed = click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of every random choice.")
limit = click.option("--limit", type=click.IntRange(1), help="Use at most so many images of each set.")
device = click.option("--device", default="cpu", show_default=True, help="Torch device to compute on, such as cuda.")
store = click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of encoded and imported arrays; by default OODKIT_STORE, else the user's cache folder.",
)


def listing(kind: str) -> Callable[[Callable[..., Sequence[dict[str, Any]]]], click.Command]:
    """Make a command of a function that gives the rows of a listing: `name`, `what` it is, and more by key.

    A function that looks into the store takes its folder.
    """

    def wrap(function: Callable[..., Sequence[dict[str, Any]]]) -> click.Command:
        looks = bool(signature(function).parameters)

        @click.command(kind, help=function.__doc__)
        @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
        def command(as_json: bool, store: Path | None = None) -> None:
            rows = function(store or default_store()) if looks else function()
            if as_json:
                click.echo(json.dumps(list(rows), indent=1))
            else:
                _print_rows(rows)

        return store(command) if looks else command

    return wrap


def read_prompts(given: Sequence[str]) -> tuple[str, ...]:
    """Give the templates of `--prompts`, reading files."""
    from ood_toolkit.errors import DataError

    templates: list[str] = []
    for text in given:
        if "{}" in text:
            templates.append(text)
        elif Path(text).is_file():
            lines = _lines(Path(text))
            if not lines:
                raise DataError(f"--prompts: expected a template on each line of {text}, got an empty file")
            templates += lines
        else:
            raise DataError(f"--prompts: expected a template with {{}} or a file with one a line, got {text!r}")
    for template in templates:
        if template.count("{}") != 1:
            raise DataError(f"--prompts: expected {{}} once in each template, got {template!r}")
    return tuple(templates)


def _lines(file: Path) -> list[str]:
    from ood_toolkit.errors import DataError

    try:
        return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise DataError(f"--prompts: expected {file} to be text in UTF-8") from None


def check_device(name: str) -> str:
    """Refuse a device that torch does not know or that is not there."""
    import torch

    from ood_toolkit.errors import ModelError

    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"--device: {name!r} cannot be used here: {str(error).splitlines()[0]}") from None
    return name


def show_progress(what: str, done: int = 0, of: int = 0) -> None:
    """Rewrite one line on a terminal's stderr; nothing elsewhere."""
    if sys.stderr.isatty():
        count = f" {done}/{of}" if of else ""
        sys.stderr.write(f"\r\x1b[2K{what}{count}" if what else "\r\x1b[2K")
        sys.stderr.flush()


def opened(
    ids: tuple[str, ...],
    groups: dict[str, tuple[str, ...]],
    *,
    model: str | None,
    prompts: Sequence[str],
    val_split: float | None,
    seed: int,
    limit: int | None,
    device: str,
    store: Path | None,
) -> tuple[Request, Sets]:
    """Turn what a command asks for into a request, and open the sets of the model that answers for them."""
    from ood_toolkit.plugins import get_registry
    from ood_toolkit.sources import Request, open_sets

    templates = read_prompts(prompts)
    request = Request(ids, groups, model, templates, val_split, seed, limit, check_device(device))
    folder, names = store or default_store(), [*ids, *request.ood]
    return request, open_sets(get_registry(), folder, model, names, device, show_progress)


def stdout_width() -> int:
    """Give the width of the terminal, or of COLUMNS, else 100."""
    from shutil import get_terminal_size

    return get_terminal_size((100, 24)).columns


def use_color() -> bool:
    """Tell whether stdout is a terminal that wants colour."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _print_rows(rows: Sequence[dict[str, Any]]) -> None:
    """Print each row as its name, what it is, and a dim line of all else that is known of it."""
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
    Console(width=stdout_width(), highlight=False).print(table)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_cell(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
