"""`Sets`: what one model put out for named sets, and where pictures and their encodings lie."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ood_toolkit.api.dataset import Pictures
from ood_toolkit.api.scorer import Prompts
from ood_toolkit.encode.options import Effort
from ood_toolkit.errors import DataError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head

__all__ = ["Place", "Sets", "drawn"]


@dataclass(frozen=True)
class Place:
    """Where pictures and their encodings lie, and how encoding is gone about."""

    store: Path
    data_root: Path
    effort: Effort = field(default_factory=Effort)
    download: bool = False
    """Whether what is missing may be downloaded."""
    limit: int | None = None
    """At most so many images of each split, drawn with the seed."""
    seed: int = 0
    needs_pictures: bool = False
    """Whether a set whose pictures are gone is an error although the store has its rows."""


class Sets(ABC):
    """What one model put out for named sets."""

    label: str
    fingerprint: str | None = None

    @property
    def store(self) -> Path | None:
        """The folder of the store that the outputs are kept in; None where they are kept nowhere."""
        return None

    @abstractmethod
    def has(self, name: str, split: str, *, download: bool = False) -> bool:
        """Tell whether a split of a set is here; with `download` it may be fetched, if that was asked for at all."""

    def keys(self, name: str, split: str) -> np.ndarray | None:
        """Give the row keys (n, 32) of a split's outputs, by which copies are known; None for imported arrays."""
        return None

    def pictures_of(self, name: str) -> Pictures | None:
        """Give the pictures of a set's test split; None where there are none, as for imported arrays."""
        return None

    @abstractmethod
    def head(self, name: str, prompts: Prompts | None) -> Head | None:
        """Give the head of an ID set under its own prompts, or under these."""

    @abstractmethod
    def outputs(self, name: str, split: str, head: Head | None, *, own: bool = True) -> Outputs:
        """Give a split of a set under a head, its labels by class name those of the head.

        A class that the head does not know is a `DataError` where the head is the set's `own`; under another set's head
        its images get -1. Where the head's classes have no names there are no labels, and `notes` says so.
        """

    def ood(self, name: str, head: Head | None, split: str = "test") -> Outputs:
        """Give a split of an OOD set, whose labels are no classes of the head and are never matched with them."""
        return self.outputs(name, split, head).without_labels()

    @abstractmethod
    def shifted(self, name: str, of: str, head: Head | None) -> Outputs:
        """Give the test split of a covariate-shifted set, labels by class name those of the ID set `of`, else -1."""

    @abstractmethod
    def templates(self, name: str) -> tuple[str, ...]:
        """Give all of the set's own prompt templates, the default first."""

    def default_templates(self, name: str) -> tuple[str, ...]:
        """Give the templates that are used where the user gives none."""
        return self.templates(name)[:1]

    def classes(self, name: str) -> tuple[str, ...]:
        """Name the classes of a set, in the order in which the labels of `bare` count them; none where unknown."""
        return ()

    def bare(self, name: str, split: str) -> Outputs:
        """Give features and labels of a split under no head, the labels counting `classes(name)`."""
        return self.outputs(name, split, None)

    def origin(self) -> dict[str, Any]:
        """Say which encoder the features are of: its name and, where it is known, all that decides what it gives."""
        return {"model": self.label}

    def train_hint(self, name: str) -> str:
        """Say where a train split of a set could come from."""
        return "name a set that has one"

    def take_trained(self, head: Head) -> None:
        """Remember a head that was trained here: logits of another one that came with the features go before it."""
        return

    def take_local_under(self, head: Head | None, local: Head) -> None:
        """Take `extra:local` of outputs under `head` with the texts of another head; before any outputs are given."""
        return

    def has_text_tower(self) -> bool:
        """Tell whether heads can be made of other prompts."""
        return False

    def encodes_words(self) -> bool:
        """Tell whether further texts can be encoded, be it under a prompt of ours or under a learned one."""
        return self.has_text_tower()

    def look_for(self, names: Sequence[str], *splits: str) -> None:
        """Raise `DataError` where the test split of a set, or these, is not here, before work on others begins."""
        for name in names:
            for split in splits or ("test",):
                if not self.has(name, split):
                    raise DataError(f"{name}: model {self.label!r} has no {split} split of it")

    def notes(self) -> list[str]:
        """Say what a reader of a result should know of the model and of labels that were left out."""
        return []

    def about(self) -> dict[str, Any]:
        """Say how the outputs came about, for the header of a result."""
        return {}


def drawn(count: int, limit: int | None, seed: int) -> np.ndarray | None:
    """Draw at most `limit` of `count` rows, in order; None for all of them."""
    if limit is None or limit >= count:
        return None
    return np.sort(np.random.default_rng(seed).choice(count, limit, replace=False))
