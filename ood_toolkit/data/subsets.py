"""Parts of a data set by class: `only:NAME:A+B` and `without:NAME:A+B`, as if the other classes did not exist.

Classes are named as everywhere: as they are, else by the name that equals theirs in the form that is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ood_toolkit.api.dataset import DataSet, Pictures
from ood_toolkit.api.spec import nearest
from ood_toolkit.data.by_path import check_class_folders
from ood_toolkit.errors import DataError
from ood_toolkit.outputs.class_names import ClassNames

__all__ = ["PARTS", "part_of", "split_part"]

PARTS = ("only", "without")
"""What the names of parts begin with."""
Find = Callable[[str], DataSet | None]


def split_part(text: str) -> tuple[str, str, tuple[str, ...]] | None:
    """Take `only:NAME:A+B` apart; None for a name that is none of a part. `DataError` where something is missing."""
    prefix, sign, rest = text.partition(":")
    if not sign or prefix not in PARTS:
        return None
    name, sign, listed = rest.rpartition(":")
    classes = tuple(dict.fromkeys(one.strip() for one in listed.split("+") if one.strip()))
    if not name or not classes:
        raise DataError(f"{text}: expected {prefix}:NAME:CLASS+CLASS, such as {prefix}:digits:one+seven")
    return prefix, name, classes


def part_of(text: str, find: Find) -> DataSet | None:
    """Make the part of a set that a name means; None where it means none, or the whole set is unknown."""
    found = split_part(text)
    if found is None:
        return None
    prefix, name, listed = found
    check_class_folders(name, listed)  # a disk is not walked to say no
    whole = find(name)
    if whole is None:
        return None

    def kept_of(classes: Sequence[str]) -> tuple[str, ...]:
        known = ClassNames(classes)
        places = [known.place(one, text) for one in listed]
        if unknown := [one for one, place in zip(listed, places, strict=True) if place < 0]:
            raise DataError(f"{text}: {name} has no class {unknown[0]!r}; {nearest(unknown[0], classes)}")
        meant = {classes[place] for place in places}
        kept = tuple(one for one in classes if (one in meant) == (prefix == "only"))
        if not kept:
            raise DataError(f"{text}: no class of {name} is left")
        return kept

    def open_part(split: str, root: Path) -> Pictures:
        pictures = whole.open(split, root)
        if pictures.labels is None:
            raise DataError(f"{text}: its images have no labels, so no classes can be chosen")
        return _chosen(pictures, kept_of(pictures.classes))

    classes = kept_of(whole.classes) if whole.classes else ()
    return replace(
        whole,
        name=text,
        description=f"{whole.description} Classes: {prefix} {', '.join(listed)}.",
        open=open_part,
        counts=dict.fromkeys(whole.counts),
        classes=classes,
        class_count=len(classes),
        label_space="",
        notes=(*whole.notes, f"A part of {name}: {prefix} {', '.join(listed)}."),
    )


def _chosen(pictures: Pictures, kept: tuple[str, ...]) -> Pictures:
    """Leave the pictures of some classes, their labels renumbered."""
    import numpy as np

    assert pictures.labels is not None  # refused before
    places = np.array([kept.index(name) if name in kept else -1 for name in pictures.classes] + [-1])
    labels = places[pictures.labels]
    rows = np.flatnonzero(labels >= 0).tolist()
    return replace(
        pictures,
        items=[pictures.items[row] for row in rows],
        ids=tuple(pictures.ids[row] for row in rows),
        labels=labels[rows],
        classes=kept,
    )
