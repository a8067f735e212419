"""`oodkit new`."""

from __future__ import annotations

from pathlib import Path

import click

from ood_toolkit.cli.choice import Choice
from ood_toolkit.cli.place import Place
from ood_toolkit.cli.streams import print_line


@click.command("new")
@click.argument("kind", type=Choice(["scorer"]))
@click.argument("name")
@click.option("--output", type=Place(file_okay=False), default=Path(), help="Where its folder goes.")
def command(kind: str, name: str, output: Path) -> None:
    """Write a plugin with one scorer called NAME, and a test of it that passes, into a new folder oodkit-NAME."""
    from ood_toolkit.testing.starter import write_scorer

    folder = write_scorer(name, output)
    print_line(f"{folder}: a {kind}; run `python -m pytest` there, then `pip install .`")
