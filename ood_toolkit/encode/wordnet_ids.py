"""`WordNetIds`: which of some classes a WordNet id means, by the shipped list of ImageNet's classes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from ood_toolkit.data.catalogue.imagenet import imagenet_names, imagenet_wnids
from ood_toolkit.errors import DataError
from ood_toolkit.outputs.class_names import ClassNames, comparable, is_wordnet_id

__all__ = ["WordNetIds"]

COUNT = 1000


class WordNetIds:
    """Known classes, found by WordNet id where they have names of ImageNet, and by such a name where they have others.

    Names and ids meet by the shipped list of ImageNet's 1,000 classes. Where the known classes are these in their
    order, an id or a listed name is its place, whatever the class is called there.
    """

    def __init__(self, known: Sequence[str], *, in_order: bool = False) -> None:
        """Take the known classes; `in_order` says that they are ImageNet's 1,000, whatever they are called."""
        self.known, self.in_order = tuple(known), in_order

    def place(self, name: str, where: str = "") -> int:
        """Give the place of the class that an id, or a listed name, means; -1 for none.

        Raises `DataError` where it fits two classes.
        """
        if is_wordnet_id(name):
            listed = self._list.get(name)
            if listed is None:
                return -1
            return listed if self._are_in_order else self._names.place(self._called[listed], where)
        if not self._ids and not self._are_in_order:
            return -1
        alike = [at for at, called in enumerate(self._called) if comparable(called) == comparable(name)]
        if not self._are_in_order:
            alike = [self._ids[imagenet_wnids()[at]] for at in alike if imagenet_wnids()[at] in self._ids]
        if len(alike) > 1:
            first, second = (self.known[at] for at in alike[:2])
            raise DataError(f"{where}: the class name {name!r} fits {first!r} and {second!r}; write one of them")
        return alike[0] if alike else -1

    @cached_property
    def _ids(self) -> dict[str, int]:
        """The known classes that are WordNet ids, with their places."""
        return {name: place for place, name in enumerate(self.known) if is_wordnet_id(name)}

    @cached_property
    def _names(self) -> ClassNames:
        return ClassNames(self.known)

    @cached_property
    def _list(self) -> dict[str, int]:
        """The ids of ImageNet's classes with their places in its order."""
        return {wnid: place for place, wnid in enumerate(imagenet_wnids())}

    @cached_property
    def _called(self) -> tuple[str, ...]:
        """The names of ImageNet's classes in its order."""
        return imagenet_names()

    @cached_property
    def _are_in_order(self) -> bool:
        """Whether the known classes are ImageNet's: 1,000 of which most have, in its order, the listed name."""
        if self.in_order or len(self.known) != COUNT:
            return self.in_order
        same = sum(comparable(own) == comparable(listed) for own, listed in zip(self.known, self._called, strict=True))
        return 2 * same > len(self.known)
