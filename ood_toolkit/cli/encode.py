"""`oodkit encode`."""

from __future__ import annotations

import time
from typing import Any

import click

from ood_toolkit.cli import options
from ood_toolkit.cli.choice import Choice


@click.command("encode")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@options.model
@click.option(
    "--split",
    "splits",
    multiple=True,
    type=Choice(["train", "val", "test", "all"]),
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
def command(names: tuple[str, ...], splits: tuple[str, ...], texts_of: str | None, **where: Any) -> int:
    """Encode the images of data sets into the store, those that it lacks; `oodkit bench` then encodes none.

    A run that is stopped goes on where it was.
    """
    from ood_toolkit.cli.progress import clear

    if "local" in where["keep"] and texts_of is None:
        raise click.UsageError("--keep local: name the data set whose classes are meant with --texts-of")
    if where["prompts"] and texts_of is None:
        raise click.UsageError("--prompts: name the data set whose classes are meant with --texts-of")
    all_names = (*names, *([texts_of] if texts_of else ()))
    settings = options.settings_of(ids=all_names, **where)
    sets = options.open_sets(settings, needs_pictures=True)
    from ood_toolkit.benchmark.heads import head_for
    from ood_toolkit.encode.encoded_sets import EncodedSets

    if not isinstance(sets, EncodedSets):
        raise click.UsageError(f"--model: {sets.label!r} is the label of imported arrays, which need no encoding")
    start = time.monotonic()
    wanted = {name: sets.splits(name) if "all" in splits else tuple(dict.fromkeys(splits)) for name in names}
    sets.look_for([name for name in names if "all" not in splits], *splits)
    head = head_for(settings, sets, texts_of) if texts_of else None
    for name, split in [(name, split) for name, of_name in wanted.items() for split in of_name]:
        sets.encoded(name, split, "features", head)
    clear()
    return _told(sets.label, sets.about(), time.monotonic() - start)


def _told(label: str, about: dict[str, Any], seconds: float) -> int:
    """Print what is encoded now; exit code 1 where not one image of a split could be read."""
    from ood_toolkit.cli.progress import encoded
    from ood_toolkit.cli.streams import print_line

    encoded(about, seconds)
    empty = 0
    for name, counts in about["encoding"].items():
        read = counts["images"] - len(counts["unreadable"])
        empty += not read
        print_line(f"{name}: {read:,} images of model {label}, {counts['encoded']:,} encoded now")
        for note in counts["notes"]:
            print_line(f"  {note}")
    return 1 if empty else 0
