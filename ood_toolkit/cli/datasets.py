"""`oodkit datasets`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ood_toolkit.api.registry import get_registry
from ood_toolkit.cli import options
from ood_toolkit.cli.listing import Column, as_json, listing, print_facts, print_rows
from ood_toolkit.cli.streams import print_message
from ood_toolkit.data.root import default_data_root
from ood_toolkit.report.table import said


def _count(split: str) -> Column:
    return lambda row: f"{count:,}" if (count := row.get("images", {}).get(split)) else ""


COLUMNS = {
    "held as": lambda row: row.get("held as", "").partition(" below")[0],
    "licence": lambda row: row.get("licence", "").partition(":")[0],
    **{split: _count(split) for split in ("train", "val", "test")},
    "classes": lambda row: said(row.get("classes") or None),
}


@listing("datasets", COLUMNS, narrower=({"licence": None},))
def command(store: Path) -> list[dict[str, Any]]:
    """List the data sets: those with pictures, embedded or below the data root, and imported arrays."""
    from ood_toolkit.store.imports import Imports

    known, broken = get_registry().listed("datasets")
    rows = [
        {
            "name": d.name,
            "images": {split: count for split, count in d.counts.items() if count is not None},
            "classes": len(d.classes) or d.class_count,
            "held as": "embedded" if d.embedded else "pictures below the data root",
            "licence": d.licence,
            "what": d.description,
        }
        for d in known
    ]
    imported: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in Imports(store).entries():
        row: dict[str, Any] = {"name": entry.name, "images": {}, "classes": None, "held as": f"arrays of {entry.model}"}
        held = imported.setdefault(
            (entry.model, entry.name), {**row, "licence": "unknown", "what": f"imported from {entry.source}"}
        )
        held["images"][entry.split] = entry.rows
    return [*rows, *broken, *imported.values()]


@command.command("show")  # type: ignore[untyped-decorator]
@click.argument("name")
@options.data_root
@as_json
def show(name: str, data_root: Path | None, as_json: bool) -> None:
    """Tell splits, counts, licence and sources of a data set, what of it is here, and how to get the rest.

    NAME may be a place, too: folder:PATH, imglist:FILE, npz:FILE, webdataset:PATH or hf:NAME.
    """
    from ood_toolkit.data.describe import describe
    from ood_toolkit.encode.choice import find_dataset
    from ood_toolkit.errors import DataError

    dataset = find_dataset(get_registry(), name)
    if dataset is None:
        raise DataError(f"unknown data set {name!r}; {get_registry().hint(name, 'datasets')}")
    facts = describe(dataset, data_root or default_data_root())
    print_facts(facts, as_json)
    if facts["downloadable"] and any(split["missing"] for split in facts["splits"].values()):
        _tell_download(f"encode {name}")


@command.command("check")  # type: ignore[untyped-decorator]
@click.argument("names", nargs=-1)
@click.option("--preset", metavar="NAME", help="The benchmark whose models and data sets are wanted.")
@options.of("models")
@options.data_root
@options.store
@as_json
def check(
    names: tuple[str, ...], preset: str | None, models: tuple[str, ...], as_json: bool, **places: Path | None
) -> int:
    """Tell which of some data sets are here, or which weights and data sets of a preset, and how to get the rest.

    Exit code 1 where some lack. Of several models with published values one is enough.
    """
    from ood_toolkit.benchmark.preflight import all_here, looked_for
    from ood_toolkit.benchmark.presets import find_preset
    from ood_toolkit.benchmark.presets.applied import Benchmark
    from ood_toolkit.benchmark.run import checked

    if bool(names) == (preset is not None):
        raise click.UsageError("expected names of data sets, or --preset NAME, and not both")
    registry = get_registry()
    suggested: tuple[str, ...] = ()
    if preset is None:
        settings = options.settings_of(models=models, groups=names, **places)
    else:
        benchmark, typed = Benchmark(find_preset(preset), registry), options.settings_of(models=models, **places)
        settings = checked(benchmark.filled(typed, {"models"} if models else set()), registry)
        suggested = benchmark.models()
    found = looked_for(settings, registry, suggested)
    print_rows([one.flat() for one in found], as_json)
    lacking = [one.name for one in found if "--download" in one.note]
    if lacking:
        sets = [name for name in lacking if name in settings.ood] or settings.ood
        what = f"bench --preset {preset}" if preset else f"encode {' '.join(sets)}"
        _tell_download(what, [*models, *suggested])
    return 0 if all_here(found) else 1


def _tell_download(what: str, models: Sequence[str] = ()) -> None:
    """Say which command downloads, since this one does not."""
    print_message(f"what --download gets: oodkit {what} --model {next(iter(models), 'MODEL')} --download")
