"""`oodkit negatives`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ood_toolkit.cli import options
from ood_toolkit.cli.listing import as_json, print_rows
from ood_toolkit.cli.streams import print_form, print_json, print_message
from ood_toolkit.outputs.class_names import first_few
from ood_toolkit.report.cells import plain

COLUMNS = "similarity, word"


@click.command("negatives")
@click.argument("key", required=False)
@as_json
@options.store
def command(key: str | None, as_json: bool, store: Path | None) -> None:
    """List the negative labels that were mined; with KEY, or its start, print the words of one list.

    The words are in the order in which they were chosen, nouns before adjectives, each behind the values that decided;
    a line on stderr says by which rule, and what the values are.
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
    print_message(_rule(found))
    for row in found["negatives"]:
        print_form("\t".join([*(_cell(value) for name, value in row.items() if name != "word"), plain(row["word"])]))


def _cell(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else plain(str(value))


def _rule(found: dict[str, Any]) -> str:
    """Say why a text is in a list, and what stands before it."""
    if found.get("rule") == "inter":
        return (
            "kept: less similar to the mean training image of every class than the class's own text, by the mean gap; "
            "columns: mean gap, least gap, class of the least, word"
        )
    if found.get("rule") == "ends":
        return (
            f"kept: both ends, the least and the most similar to the classes, {found.get('count')} in all, by the "
            f"cosine of rank {found.get('rank')} with their texts, the least of fewer classes; columns: {COLUMNS}"
        )
    place, share, count = (found.get(name) for name in ("quantile", "share", "count"))
    what = f"the {100 * place:g} % quantile" if isinstance(place, float) else "a quantile"
    which = f"of each kind the {100 * share:g} %" if isinstance(share, float) else f"the {count}"
    return f"kept: {which} least similar to the classes, by {what} of the cosines with their texts; columns: {COLUMNS}"


def _row(key: str, found: dict[str, Any]) -> dict[str, Any]:
    classes = found.get("classes") or []
    named = first_few(classes, 4, str, counts=True)
    what = f"{len(found['negatives']):,} of {found.get('candidates') or 0:,} words ({found.get('words')}), for {named}"
    return {"name": key[:12], "what": what, "rule": found.get("rule", "quantile"), "model": found.get("model"),
            "share": found.get("share"), "templates": found.get("templates")}  # fmt: skip
