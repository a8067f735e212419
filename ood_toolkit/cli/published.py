"""`oodkit published`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from ood_toolkit.benchmark.checks import SEMINAR
from ood_toolkit.cli.listing import as_json, print_rows
from ood_toolkit.cli.streams import print_form, print_json, shape

if TYPE_CHECKING:
    from ood_toolkit.benchmark.presets import Preset


@click.command("published")
@click.argument("preset", required=False)
@click.option("--method", metavar="TEXT", help="Only methods, models and scorers whose name holds this.")
@as_json
def command(preset: str | None, method: str | None, as_json: bool) -> None:
    """Show what others published of a benchmark, with sources and conventions; without PRESET list the presets.

    PRESET is a name, or the path of a file that ends in .toml. `oodkit bench --preset PRESET` measures it.
    """
    from ood_toolkit.benchmark.presets import find_preset, preset_names

    if preset is None:
        if method is not None:
            raise click.UsageError("--method: goes with a PRESET")
        print_rows([*(_listed(find_preset(name)) for name in preset_names()), _seminar()], as_json)
        return
    if preset == SEMINAR:
        _print_seminar(method, as_json)
        return
    found = find_preset(preset)
    if method is not None:
        found = _only(found, method)
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    from ood_toolkit.benchmark.presets.published import published_text

    print_form(published_text(found, *shape()))


def _seminar() -> dict[str, Any]:
    from ood_toolkit.learning.seminar.figures import published

    figures = published()
    names = [part.name for part in figures.sets]
    rows = len(figures.uncertainty) + len(figures.detection)
    return {
        "name": SEMINAR,
        "id": names[0],
        "ood": names[1:],
        "protocol": "native",
        "published rows": rows,
        "what": figures.description,
    }


def _print_seminar(method: str | None, as_json: bool) -> None:
    """Show what the seminar printed, which is rates and no methods."""
    from ood_toolkit.learning.seminar.figures import published
    from ood_toolkit.learning.seminar.text import printed_text

    if method is not None:
        raise click.UsageError(f"--method: {SEMINAR} has tables of its own; leave it out")
    held = dataclasses.asdict(published())
    if as_json:
        print_json(held)
    else:
        print_form(printed_text(held, *shape()))


def _listed(preset: Preset) -> dict[str, Any]:
    return {
        "name": preset.name,
        "id": preset.id.name,
        "ood": [part.name for part in preset.ood],
        "protocol": preset.protocol,
        "published rows": len(preset.published),
        "what": preset.description,
    }


def _only(preset: Preset, method: str) -> Preset:
    """Keep the rows that a text names; `DataError` where there are none."""
    from ood_toolkit.errors import DataError

    rows = tuple(
        row for row in preset.published if method.lower() in f"{row.method}\n{row.model}\n{row.scorer}".lower()
    )
    if not rows:
        known = ", ".join(dict.fromkeys(row.method for row in preset.published)) or "none"
        raise DataError(f"preset {preset.name}: no published row names {method!r}; it has {known}")
    return dataclasses.replace(preset, published=rows)
