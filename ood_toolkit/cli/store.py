"""`oodkit store`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from ood_toolkit.cli import options
from ood_toolkit.cli.listing import as_json, print_facts, print_rows
from ood_toolkit.cli.streams import print_json, print_line, print_message
from ood_toolkit.store.files import default_store


@click.group("store")
def command() -> None:
    """Look after the folder of encoded and imported arrays."""


@command.command("path")
@options.store
def path(store: Path | None) -> None:
    """Print the folder of the store."""
    print_line(store or default_store())


@command.command("list")
@options.store
@as_json
def list_(store: Path | None, as_json: bool) -> None:
    """List what was encoded by which model, and what was imported."""
    from ood_toolkit.store.encodings import encodings
    from ood_toolkit.store.imports import Imports
    from ood_toolkit.store.inventory import held

    folder = store or default_store()
    known, imports = held(folder), Imports(folder)
    rows: list[dict[str, Any]] = [
        {
            "name": one.key[:12],
            "what": f"{one.about['model']}: {one.about['identity']['kind']} of {one.images:,} images",
            "size": _size(one.bytes),
            "precision": one.about["identity"]["precision"],
            "sets": {name: _share(*counts) for name, counts in one.sets.items()},
        }
        for one in known
    ]
    rows += [
        {"name": entry.key[:12], "what": f"{entry.model}: imported {entry.name}/{entry.split}, {entry.rows:,} images",
         "from": entry.source}
        for entry in imports.entries()
    ]  # fmt: skip
    print_rows(rows, as_json)
    if lost := len(encodings(folder)) - len(known) + len(list(imports.damaged())):
        print_message(f"{lost} passed over, being damaged; oodkit store verify names what is")
    elif not rows:
        print_message(f"the store {folder} {'is empty' if folder.is_dir() else 'does not exist'}")


@command.command("show")
@click.argument("key")
@options.store
@as_json
def show(key: str, store: Path | None, as_json: bool) -> None:
    """Tell all that the rows of one encoder depend on; KEY is the start of its name in the list, or a model."""
    from ood_toolkit.errors import StoreError
    from ood_toolkit.store.inventory import held

    known = held(store or default_store())
    found = [one for one in known if one.key.startswith(key) or one.about["model"] == key]
    if not found:
        names = ", ".join(f"{one.key[:12]} ({one.about['model']})" for one in known) or "nothing"
        raise StoreError(f"no encoder {key!r} in the store; it holds {names}")
    shown = []
    for one in found:
        sets = {name: _share(*counts) for name, counts in one.sets.items()}
        facts = {"key": one.key, "images": one.images, "shards": one.shards, "bytes": one.bytes, "sets": sets}
        shown.append({**facts, **one.about})
    if as_json:
        print_json(shown)
        return
    for facts in shown:
        print_facts(facts, as_json)


@command.command("verify")
@options.store
def verify(store: Path | None) -> int:
    """Read everything in the store and name what is damaged; exit code 1 if something is.

    Files in its folders that oodkit did not write are named too, and alone leave the exit code 0: everything else
    passes them over.
    """
    from ood_toolkit.store.ownership import foreign
    from ood_toolkit.store.verification import damaged

    folder, count, strange = store or default_store(), 0, 0
    for place, why in damaged(folder):
        count += 1
        print_line(f"{place.relative_to(folder)}: {why}")
    for place in foreign(folder):
        strange += 1
        print_line(f"{place.relative_to(folder)}: not of oodkit; it is passed over")
    passed = f"; {strange} passed over" if strange else ""
    print_message((f"{count} damaged" if count else "all is whole") + passed)
    return 1 if count else 0


@command.command("gc")
@click.option("--model", help="Also delete all that was encoded by this model.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@click.option("--yes", is_flag=True, help="Delete without asking.")
@options.store
def gc(model: str | None, dry_run: bool, yes: bool, store: Path | None) -> None:
    """Delete what nothing refers to: rows of no set, arrays without a name, leftovers of killed runs.

    It shows first what it would delete, and asks. Nothing is touched that oodkit did not write, nor what a running
    process works with, on this machine or another.
    """
    from ood_toolkit.errors import StoreError
    from ood_toolkit.store.garbage import collect, survey
    from ood_toolkit.store.inventory import held

    folder = store or default_store()
    found = survey(folder, model)
    known = sorted({str(one.about["model"]) for one in held(folder)})
    if model is not None and model not in known:
        raise StoreError(
            f"--model: nothing in the store was encoded by {model!r}; it holds {', '.join(known) or 'none'}"
        )
    sizes = {place: _bytes(place) for place in found.lost}
    for place, why in found.lost.items():
        print_line(f"{place.relative_to(folder)}: {why}")
    for place, why in found.kept.items():
        print_message(f"kept {place.relative_to(folder)}: {why}")
    size = _size(sum(sizes.values()))
    if dry_run or not found.lost:
        print_message(f"{size} could be freed")
        return
    if not yes:
        _ask(f"Delete these {len(sizes)}, {size}, in {folder}?")
    gone = list(collect(folder, found, model))
    print_message(f"{_size(sum(sizes[place] for place in gone))} were freed")
    if len(gone) < len(sizes):
        print_message(f"{len(sizes) - len(gone)} are in use since, or gone, and were left")


@command.command("remove")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--model", metavar="LABEL", help="Only arrays that were imported under this label.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--yes", is_flag=True, help="Remove without asking.")
@options.store
def remove(names: tuple[str, ...], model: str | None, dry_run: bool, yes: bool, store: Path | None) -> None:
    """Forget data sets by name: imported arrays, and the lists of what was encoded.

    It shows first what goes, and asks. No array or row is deleted: those that nothing refers to then are garbage, which
    oodkit store gc frees. Pictures and files that were imported stay where they are.
    """
    from ood_toolkit.api.spec import nearest
    from ood_toolkit.errors import StoreError
    from ood_toolkit.store import removal

    folder = store or default_store()
    found = removal.removable(folder, names, model)
    for name in removal.unknown(folder, names, model):
        under = "" if model is None else f" under the label {model!r}"
        known = removal.names_of(folder, model)
        raise StoreError(f"nothing in the store {folder} is named {name!r}{under}; {nearest(name, known)}")
    for what in found.lost.values():
        print_line(what)
    for why in found.kept.values():
        print_message(f"kept {why}")
    if dry_run or not found.lost:
        print_message(f"{len(found.lost)} would go")
        return
    if not yes:
        _ask(f"Forget these {len(found.lost)}, in {folder}?")
    gone = list(removal.remove(folder, found, names, model))
    print_message(f"{len(gone)} are gone; oodkit store gc frees what nothing refers to any more")
    if len(gone) < len(found.lost):
        print_message(f"{len(found.lost) - len(gone)} have changed since, and were left")


def _ask(question: str) -> None:
    """Have the user agree; where nobody can be asked, nothing is done and the exit code is 2."""
    if not sys.stdin or not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask at, so nothing was deleted; pass --yes to delete these")
    click.confirm(question, abort=True, err=True)


def _share(here: int, of: int) -> str:
    return f"{here:,}" if here == of else f"{here:,} of {of:,}"


def _bytes(place: Path) -> int:
    try:
        files = place.rglob("*") if place.is_dir() else [place]
        return sum(file.stat().st_size for file in files if file.is_file())
    except OSError:  # another process has just taken it away
        return 0


def _size(count: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
