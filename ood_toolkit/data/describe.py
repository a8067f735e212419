"""What is to be said of one data set: its facts with their sources, what of it is here and how to get the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ood_toolkit.api.dataset import DataSet
from ood_toolkit.data.catalogue.entry import unsourced
from ood_toolkit.errors import DataError

__all__ = ["describe"]


def describe(dataset: DataSet, root: Path) -> dict[str, Any]:
    """Give the facts of a set, ready for JSON; each split is looked for below `root`, no picture is decoded.

    A split has `published` and `here` counts (None: unknown, or not here), the `notes` of its pictures, and
    `missing`, the message that says what is not here and how to get it.
    """
    splits = {split: {"published": count, **_present(dataset, split, root)} for split, count in dataset.counts.items()}
    return {
        "name": dataset.name,
        "description": dataset.description,
        "splits": splits,
        "class_count": len(dataset.classes) or dataset.class_count,
        "label_space": dataset.label_space,
        "templates": list(dataset.templates),
        "licence": dataset.licence,
        "source": dataset.source,
        "sources": dict(dataset.sources),
        "unsourced": [] if dataset.embedded else unsourced(dataset),
        "layout": list(dataset.layout),
        "embedded": dataset.embedded,
        "downloadable": dataset.download is not None,
        "notes": list(dataset.notes),
    }


def _present(dataset: DataSet, split: str, root: Path) -> dict[str, Any]:
    try:
        pictures = dataset.open(split, root)
    except DataError as error:
        return {"here": None, "notes": [], "missing": str(error)}
    return {"here": len(pictures), "notes": list(pictures.notes), "missing": None}
