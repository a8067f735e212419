"""What the commands that decide share: the options on what is decided on, its sources, and the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ood_toolkit.benchmark.settings import MODEL_HELP
from ood_toolkit.cli import options

if TYPE_CHECKING:
    from ood_toolkit.detectors.detector import Detector
    from ood_toolkit.detectors.gate import Gate
    from ood_toolkit.detectors.sources import Finder

__all__ = ["deciding", "finder_of", "gate_of"]

SHARED = (
    click.option("--split", default="test", show_default=True, help="Of a data set: the split to decide on."),
    click.option(
        "--column", metavar="NAME", help="Array of an .npz, or column of a Parquet file, that holds vectors."
    ),
    click.option("--model", metavar="NAME", help=f"Where the file's model lies elsewhere now. {MODEL_HELP}"),
    click.option(
        "--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Images in a forward pass."
    ),
    options.of("workers"),
    options.of("device"),
    options.of("download"),
    options.data_root,
    options.store,
)  # fmt: skip


def deciding(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options on where its images come from and how they are decided on."""
    for option in reversed(SHARED):
        command = option(command)
    return command


def gate_of(file: Path, detector: Detector, where: dict[str, Any]) -> Callable[[], Gate]:
    """Make what loads the model when it is first asked for, and once."""
    from functools import cache

    @cache
    def load() -> Gate:
        from ood_toolkit.api.registry import get_registry
        from ood_toolkit.cli.progress import progress
        from ood_toolkit.detectors.gate import Gate
        from ood_toolkit.models.names import find_model

        progress("loading the model")
        how = {"batch": where["batch_size"], "workers": where["workers"], "device": where["device"]}
        if where["model"] is None:
            return Gate.load(file, download=where["download"], **how)
        model = find_model(where["model"], get_registry(), download=where["download"]).load()
        return Gate(model, detector, **how)

    return load


def finder_of(detector: Detector, where: dict[str, Any]) -> Finder:
    """Make what opens data sets with pictures, and arrays that were imported under the detector's model."""
    from ood_toolkit.api.registry import get_registry
    from ood_toolkit.data.root import default_data_root
    from ood_toolkit.detectors.sources import Finder
    from ood_toolkit.encode.choice import find_dataset
    from ood_toolkit.store.files import default_store
    from ood_toolkit.store.imports import Imports

    registry, imports = get_registry(), Imports(where["store"] or default_store())
    root, split = where["data_root"] or default_data_root(), where["split"]

    def arrays(name: str) -> Any:
        entry = imports.find(name, str(detector.encoder.get("model")), split)
        return None if entry is None else imports.read(entry)

    def pictures(name: str) -> Any:
        found = find_dataset(registry, name)
        return None if found is None else found.open(split, root)

    def known() -> Iterable[str]:
        return [*registry.names("datasets"), *(entry.name for entry in imports.entries())]

    return Finder(pictures, arrays, known)
