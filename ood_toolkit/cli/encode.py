"""`oodkit encode`."""

from __future__ import annotations

import time
from typing import Any

import click

from ood_toolkit.cli import options


@click.command("encode")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@options.model
@click.option(
    "--split",
    "splits",
    multiple=True,
    type=click.Choice(["train", "val", "test", "all"]),
    default=["test"],
    show_default=True,
    help="Split to encode; repeat it for several.",
)
@options.keep
@click.option("--texts-of", metavar="NAME", help="Data set whose class texts `--keep local` compares patches with.")
@options.prompts
@options.seed
@options.limit
@options.encoding
@options.store
def command(names: tuple[str, ...], splits: tuple[str, ...], texts_of: str | None, **where: Any) -> None:
    """Encode the images of data sets into the store, those that it lacks; `oodkit bench` then encodes none.

    A run that is stopped goes on where it was.
    """
    from ood_toolkit.cli.progress import clear, encoded

    if "local" in where["keep"] and texts_of is None:
        raise click.UsageError("--keep local: name the data set whose classes are meant with --texts-of")
    request, sets = options.opened((*names, *([texts_of] if texts_of else ())), {}, **where)
    from ood_toolkit.sets import EncodedSets
    from ood_toolkit.sources import head_for

    if not isinstance(sets, EncodedSets):
        raise click.UsageError(f"--model: {sets.label!r} is the label of imported arrays, which need no encoding")
    start = time.monotonic()
    head = head_for(request, sets, texts_of) if texts_of else None
    for name in names:
        wanted = sets.splits(name) if "all" in splits else splits
        for split in dict.fromkeys(wanted):
            sets.encoded(name, split, "features", head)
    clear()
    encoded(sets.about(), time.monotonic() - start)
    for name, counts in sets.about()["encoding"].items():
        read = counts["images"] - len(counts["unreadable"])
        click.echo(f"{name}: {read} images of model {sets.label}, {counts['encoded']} encoded now")
        for note in counts["notes"]:
            click.echo(f"  {note}")
