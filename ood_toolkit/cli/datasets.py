"""`oodkit datasets`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ood_toolkit.api.registry import get_registry
from ood_toolkit.cli import options
from ood_toolkit.cli.listing import Column, as_json, listing, print_facts, print_rows
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
    print_facts(describe(dataset, data_root or default_data_root()), as_json)


@command.command("check")  # type: ignore[untyped-decorator]
@click.option("--preset", required=True, metavar="NAME", help="The benchmark whose models and data sets are wanted.")
@options.of("models")
@options.data_root
@options.store
@as_json
def check(preset: str, models: tuple[str, ...], data_root: Path | None, store: Path | None, as_json: bool) -> int:
    """Tell which weights and data sets of a preset are here, and how to get the rest; exit code 1 where some lack."""
    from ood_toolkit.benchmark.preflight import looked_for
    from ood_toolkit.benchmark.presets import find_preset
    from ood_toolkit.benchmark.presets.applied import Benchmark
    from ood_toolkit.benchmark.run import checked

    benchmark = Benchmark(find_preset(preset), get_registry())
    settings = options.settings_of(models=models, data_root=data_root, store=store)
    settings = checked(benchmark.filled(settings, {"models"} if models else set()), get_registry())
    found = looked_for(settings, get_registry(), benchmark.models())
    print_rows([one.flat() for one in found], as_json)
    return 0 if all(one.here for one in found) else 1
