"""`Labelled`: labels of one set as labels of the classes of a head, by the names of the classes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ood_toolkit.api.spec import nearest
from ood_toolkit.errors import DataError
from ood_toolkit.outputs.class_names import ClassNames, shown
from ood_toolkit.outputs.head import Head

__all__ = ["IMAGENET", "Labelled", "is_wordnet_id", "labels_among"]

IMAGENET = "imagenet-1k"
"""The numbering of classes that WordNet ids are looked up in."""
WORDNET_ID = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class Labelled:
    """What a set says of its images, and whose classes its labels are to become."""

    name: str
    """Of the set, for messages."""
    labels: np.ndarray
    """(n,) int64 indices into `classes`, -1 for none of them."""
    classes: tuple[str, ...]
    ids_of: str = ""
    """The label space of the head, in which WordNet ids have a place; "" for none."""
    why_no_ids: str = ""
    """Why WordNet ids have no place in it although it may be ImageNet's."""

    def under(self, head: Head | None, *, own: bool) -> tuple[np.ndarray | None, str]:
        """Give labels (n,) of a head's classes, and a note; None where the head's classes have no names.

        `own` says that the set is in-distribution: a class that the head does not know is an error. Otherwise its
        images get -1. Raises `DataError` also for a name that fits two classes.
        """
        if head is None or self.classes == head.class_names:
            return self.labels, ""
        places = self.places(head.class_names)
        renumbered: np.ndarray = places[self.labels]
        lacking = [self.classes[label] for label in self._used if places[label] < 0]
        if not lacking or not own:
            return renumbered, ""
        if not head.has_names:
            return None, (
                f"{self.name}: the {head.classes} classes of the head have no names, so its labels cannot be matched: "
                "accuracy and misclassification are left out; give the names with classes=FILE"
            )
        raise DataError(self._unknown(lacking, head.class_names))

    @property
    def _used(self) -> list[int]:
        """The labels that images have, in order."""
        return [int(label) for label in np.unique(self.labels) if label >= 0]

    def places(self, known: Sequence[str]) -> np.ndarray:
        """Give the place of each class (k + 1,) among known ones, -1 for none, and last that of label -1."""
        names, places = ClassNames(known), np.full(len(self.classes) + 1, -1, dtype=np.int64)
        ids = self._ids()
        for label in self._used:
            name = self.classes[label]
            place = names.place(name, self.name)
            places[label] = ids.get(name, -1) if place < 0 else place
        return places

    def _ids(self) -> dict[str, int]:
        """Give the places of WordNet ids where the head's classes are ImageNet's."""
        if self.ids_of != IMAGENET or not any(map(is_wordnet_id, self.classes)):
            return {}
        from ood_toolkit.data.catalogue.imagenet import imagenet_wnids

        return {wnid: place for place, wnid in enumerate(imagenet_wnids())}

    def _unknown(self, lacking: list[str], known: Sequence[str]) -> str:
        """Say which classes the head does not know, and which it does."""
        close = nearest(lacking[0], known)
        hint = close if close.startswith("did") else "give the set or the head the names of the other"
        if self.why_no_ids and is_wordnet_id(lacking[0]):
            hint = self.why_no_ids
        which = "class" if len(lacking) == 1 else "classes"
        return (
            f"{self.name}: the {which} {shown(lacking)} of its images: expected names of the head's "
            f"{len(known):,} classes, {shown(known)}; {hint}"
        )


def is_wordnet_id(name: str) -> bool:
    """Tell a WordNet id, such as n01440764, from a name."""
    return WORDNET_ID.fullmatch(name) is not None


def labels_among(
    known: Sequence[str], labels: np.ndarray, classes: Sequence[str], name: str = "", ids_of: str = ""
) -> np.ndarray:
    """Renumber labels (n,) of some classes by name to the known ones; -1 for a class that is not among them.

    Raises `DataError` for a name that fits two classes. See `Labelled` for the other arguments.
    """
    if tuple(classes) == tuple(known):
        return labels
    renumbered: np.ndarray = Labelled(name, labels, tuple(classes), ids_of).places(known)[labels]
    return renumbered
