"""`oodkit negatives`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ood_toolkit.cli import options
from ood_toolkit.cli.listing import as_json, print_rows
from ood_toolkit.cli.streams import print_form, print_json
from ood_toolkit.outputs.class_names import first_few
from ood_toolkit.report.cells import plain


@click.command("negatives")
@click.argument("key", required=False)
@as_json
@options.store
def command(key: str | None, as_json: bool, store: Path | None) -> None:
    """List the negative labels that were mined; with KEY, or its start, print the words of one list.

    The words are in the order in which they were chosen, the least similar to the classes first, nouns before
    adjectives, each with the similarity that decided.
    """
    from ood_toolkit.store.files import default_store
    from ood_toolkit.store.negatives import Negatives

    kept = Negatives(store or default_store())
    if key is None:
        print_rows([_row(*found) for found in kept.all()], as_json)
        return
    _, found = kept.read(key)
    if as_json:
        print_json(found)
        return
    for row in found["negatives"]:
        print_form(f"{row['similarity']:.4f}\t{plain(row['word'])}")


def _row(key: str, found: dict[str, Any]) -> dict[str, Any]:
    classes = found.get("classes", [])
    named = first_few(classes, 4, str, counts=True)
    what = f"{len(found['negatives']):,} of {found.get('candidates', 0):,} words ({found.get('words')}), for {named}"
    return {"name": key[:12], "what": what, "model": found.get("model"), "share": found.get("share"),
            "templates": found.get("templates")}  # fmt: skip
