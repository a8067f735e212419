"""`Labelled`: labels of one set as labels of the classes of a head, by the names of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ood_toolkit.api.spec import nearest
from ood_toolkit.encode.wordnet_ids import WordNetIds
from ood_toolkit.errors import DataError
from ood_toolkit.outputs.class_names import ClassNames, first_few, is_wordnet_id
from ood_toolkit.outputs.head import Head

__all__ = ["IMAGENET", "Labelled", "labels_among"]

IMAGENET = "imagenet-1k"
"""The numbering of classes that WordNet ids are looked up in."""


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
        return (self.labels, "") if head is None else self.among(head.class_names, head.has_names, own=own)

    def among(self, known: Sequence[str], have_names: bool, *, own: bool) -> tuple[np.ndarray | None, str]:
        """Give labels (n,) of these classes, and a note, as `under` does for those of a head."""
        if self.classes == tuple(known):
            return self.labels, ""
        places = self.places(known)
        renumbered: np.ndarray = places[self.labels]
        lacking = [self.classes[label] for label in self._used if places[label] < 0]
        if not lacking or not own:
            return renumbered, ""
        if not have_names:
            return None, (
                f"{self.name}: the {len(known)} classes of the head have no names, so its labels cannot be matched: "
                "accuracy and misclassification are left out; give the names with classes=FILE"
            )
        raise DataError(self._unknown(lacking, known))

    @property
    def _used(self) -> list[int]:
        """The labels that images have, in order."""
        return [int(label) for label in np.unique(self.labels) if label >= 0]

    def places(self, known: Sequence[str]) -> np.ndarray:
        """Give the place of each class (k + 1,) among known ones, -1 for none, and last that of label -1."""
        names, places = ClassNames(known), np.full(len(self.classes) + 1, -1, dtype=np.int64)
        ids = WordNetIds(known, in_order=self.ids_of == IMAGENET)
        for label in self._used:
            name = self.classes[label]
            place = names.place(name, self.name)
            places[label] = ids.place(name, self.name) if place < 0 and not self.why_no_ids else place
        return places

    def _unknown(self, lacking: list[str], known: Sequence[str]) -> str:
        """Say which classes the head does not know, and which it does."""
        close = nearest(lacking[0], known)
        hint = close if close.startswith("did") else "give the set or the head the names of the other"
        if self.why_no_ids and is_wordnet_id(lacking[0]):
            hint = self.why_no_ids
        which = "class" if len(lacking) == 1 else "classes"
        return (
            f"{self.name}: the {which} {first_few(lacking)} of its images: expected names of the head's "
            f"{len(known):,} classes, {first_few(known)}; {hint}"
        )


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
