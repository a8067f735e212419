"""`ImportedSets`: arrays that somebody imported under one model label."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ood_toolkit.api.scorer import Prompts
from ood_toolkit.encode.banks import mined
from ood_toolkit.encode.labels import Labelled, labels_among
from ood_toolkit.encode.sets import Sets
from ood_toolkit.errors import DataError, OutputsError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Bank, Head
from ood_toolkit.outputs.outputs import SOURCE_LABELS
from ood_toolkit.store.imports import Imports
from ood_toolkit.store.npz import head_of, outputs_of

__all__ = ["ImportedSets"]

CANDIDATES = "candidates"
"""The bank of imported texts that negatives are mined from."""


class ImportedSets(Sets):
    """Arrays that somebody imported under one model label."""

    def __init__(self, imports: Imports, label: str, device: str = "cpu") -> None:
        self.imports, self.label, self.device = imports, label, device
        self._trained: set[str] = set()
        self._notes: dict[str, None] = {}
        self._opened: dict[tuple[str, str], dict[str, np.ndarray]] = {}

    @property
    def store(self) -> Path:
        """Where the arrays lie."""
        return self.imports.folder

    def has(self, name: str, split: str, *, download: bool = False) -> bool:
        """Tell whether a split is in the store."""
        return self.imports.find(name, self.label, split) is not None

    def head(self, name: str, prompts: Prompts | None) -> Head | None:
        """Give the head that came with any split of the set, with negatives mined from its candidates."""
        for split in ("test", "val", "train"):
            if self.has(name, split) and (head := head_of(self.arrays(name, split))) is not None:
                return self._with_negatives(head, prompts)
        return None

    def _with_negatives(self, head: Head, prompts: Prompts | None) -> Head:
        """Mine the bank `candidates`, as one kind of word, for every bank that prompts want mined."""
        if CANDIDATES not in head.banks:
            return head
        about = {"model": self.label, "words": "imported", "templates": [], "recipe": ""}
        candidates, classes = replace(head.bank(CANDIDATES), about=about), Bank(head.weight, head.class_names)
        asked = prompts.banks if prompts else ()
        wanted = {bank.name: bank.mining for bank in asked if bank.mining and bank.name not in head.banks}
        found = {
            name: mined(candidates, len(candidates.rows), classes, mining, self.imports.folder, about)
            for name, mining in wanted.items()
        }
        return head.with_banks({CANDIDATES: candidates, **found})

    def ood(self, name: str, head: Head | None, split: str = "test") -> Outputs:
        """Wrap the memory maps of an OOD set; its labels, which may index classes that nobody named, are its own."""
        arrays = self.arrays(name, split)
        own = [arrays.pop(key) for key in ("source_names", "labels") if key in arrays]
        arrays |= {SOURCE_LABELS: own[0]} if own else {}
        return self._outputs(name, arrays, head)

    def outputs(self, name: str, split: str, head: Head | None, *, own: bool = True) -> Outputs:
        """Wrap the memory maps of a split."""
        arrays = self.arrays(name, split)
        labels, names = _told(arrays)
        known = (
            head.class_names if head is not None else tuple(arrays["classes"].tolist()) if "classes" in arrays else None
        )
        if known is None and "source_names" in arrays and own:
            self._notes[
                f"{name}: its labels are names, but its logits have no class names: accuracy and misclassification are "
                "left out; import classes beside them"
            ] = None
        if labels is not None and names is not None and known is not None:
            found, note = Labelled(name, labels, names).among(known, head is None or head.has_names, own=own)
            arrays.pop("labels", None)
            arrays |= {} if found is None else {"labels": found}
            self._notes |= {note: None} if note else {}
        return self._outputs(name, arrays, head)

    def notes(self) -> list[str]:
        """Say which labels are no classes of anything."""
        return list(self._notes)

    def about(self) -> dict[str, Any]:
        """Give the hashes of the arrays that were opened, by set and split."""
        found = {(name, split): self.imports.find(name, self.label, split) for name, split in self._opened}
        return {"imported": {f"{name}/{split}": entry.key for (name, split), entry in found.items() if entry}}

    def shifted(self, name: str, of: str, head: Head | None) -> Outputs:
        """Wrap the memory maps of a covariate-shifted set; labels without class names number the ID set's classes."""
        arrays = self.arrays(name, "test")
        known: np.ndarray | None = self.arrays(of, "test").get("classes")
        known = known if head is None else np.array(head.class_names)
        labels, names = _told(arrays)
        arrays.pop("classes", None)
        if labels is not None and names is not None:
            if known is None:
                raise DataError(f"{name}: expected {of} to have class names as {name} has; import it with classes")
            arrays["labels"] = labels_among(known.tolist(), labels, names, name)
        return self._outputs(name, arrays | ({} if known is None else {"classes": known}), head)

    def classes(self, name: str) -> tuple[str, ...]:
        """Name the classes that came with any split of the set; by number where only labels did."""
        held = [self.arrays(name, split) for split in ("train", "val", "test") if self.has(name, split)]
        for arrays in held:
            if "classes" in arrays:
                return tuple(arrays["classes"].tolist())
        most = max((int(arrays["labels"].max()) for arrays in held if "labels" in arrays), default=-1)
        return tuple(str(label) for label in range(most + 1))

    def bare(self, name: str, split: str) -> Outputs:
        """Wrap the memory maps of a split's features, with its labels."""
        arrays = self.arrays(name, split)
        lacking = [part for part in ("features", "labels") if part not in arrays]
        if lacking:
            raise DataError(f"{name}: its {split} arrays have no {lacking[0]}; import embeddings and labels together")
        known = self.classes(name)
        labels, names = _told(arrays)
        labels = arrays["labels"] if labels is None or names is None else labels_among(known, labels, names, name)
        x = Outputs(features=arrays["features"], labels=labels, ids=arrays.get("ids"), class_names=known)
        return x.to(self.device)

    def train_hint(self, name: str) -> str:
        """Give the command that imports one."""
        return f"oodkit import {name} FILE.npz --split train --model {self.label}"

    def take_trained(self, head: Head) -> None:
        """Remember a trained head, before which logits that were imported beside the features go."""
        self._trained.add(head.fingerprint)

    def _outputs(self, name: str, arrays: dict[str, np.ndarray], head: Head | None) -> Outputs:
        if head is not None and head.fingerprint in self._trained:
            if "features" not in arrays:
                raise DataError(f"{name}: --head needs embeddings; only logits were imported under {self.label!r}")
            arrays.pop("logits", None)
        if "scores" in arrays:
            raise DataError(
                f"{name}: only ready scores were imported under model {self.label!r}; import embeddings too"
            )
        if head is None and "logits" not in arrays:
            raise DataError(
                f"{name}: embeddings without texts or weights give no logits; import the ID set with --text or --head"
            )
        try:
            return outputs_of(arrays, head).to(self.device)
        except (DataError, OutputsError) as error:
            raise DataError(f"{name}: {error}") from None

    def templates(self, name: str) -> tuple[str, ...]:
        """Give none: imported texts were made elsewhere."""
        return ()

    def arrays(self, name: str, split: str) -> dict[str, np.ndarray]:
        """Open the arrays of a split; they stay those of the first time, whatever is imported meanwhile."""
        if (name, split) not in self._opened:
            found = self.imports.arrays_of(name, self.label, split)
            if found is None:
                raise DataError(f"{name}: model {self.label!r} has no {split} arrays; oodkit import brings them")
            self._opened[name, split] = found
        return dict(self._opened[name, split])


def _told(arrays: dict[str, np.ndarray]) -> tuple[np.ndarray | None, tuple[str, ...] | None]:
    """Give the labels (n,) of a set and the names that they number, None where they have none.

    Labels that were given as names, and are not all known already, number these names.
    """
    labels, names, given = (arrays.get(key) for key in ("labels", "classes", "source_names"))
    if given is None or (labels is not None and not ((np.asarray(labels) < 0) & (given != "")).any()):
        return None if labels is None else np.asarray(labels), None if names is None else tuple(names.tolist())
    found, places = np.unique(given, return_inverse=True)
    nameless = int(found[0] == "")  # the empty name, which stands first, is of no class
    return places - nameless, tuple(found[nameless:].tolist())
