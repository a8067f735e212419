"""Named sets to `Outputs`: which model answers for them, which of their images are for what, under which head."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ood_toolkit.data.dataset import DataSet
from ood_toolkit.encode import encode_set, zero_shot_head
from ood_toolkit.errors import DataError
from ood_toolkit.head import Head
from ood_toolkit.members import Member
from ood_toolkit.models.model import Model
from ood_toolkit.outputs import Outputs
from ood_toolkit.plugins import Registry
from ood_toolkit.scorer import Prompts
from ood_toolkit.spec import nearest
from ood_toolkit.store.imports import SPLITS, Imports
from ood_toolkit.store.npz import head_of, outputs_of

__all__ = ["Gathered", "Request", "gather", "open_sets", "ready_scores"]

EMBEDDED_MODEL = "digits-clip"
VAL_SHARE = 0.2
"""Share of the ID test images that become validation where a set has none of its own."""


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    ids: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """OOD sets by group; the group "" is unnamed."""
    model: str | None = None
    prompts: tuple[str, ...] = ()
    """Templates in place of the set's own and the scorers' own."""
    val_split: float | None = None
    """Share of the ID test for validation; None: the set's own validation, else 0.2; 0: none."""
    seed: int = 0
    limit: int | None = None
    """At most so many images of each set."""
    device: str = "cpu"

    @property
    def ood(self) -> tuple[str, ...]:
        """All OOD sets, each once."""
        return tuple(dict.fromkeys(name for names in self.groups.values() for name in names))


@dataclass(frozen=True, eq=False)
class Gathered:
    """Everything that `bench` needs, from names."""

    members: dict[str, Member]
    groups: dict[str, tuple[str, ...]]
    about: dict[str, Any]


class Sets(ABC):
    """What one model put out for named sets."""

    label: str
    fingerprint: str | None = None

    @abstractmethod
    def splits(self, name: str) -> tuple[str, ...]:
        """Name the splits of a set; none if the set is not here."""

    @abstractmethod
    def head(self, name: str, prompts: Prompts | None) -> Head | None:
        """Give the head of an ID set under its own prompts, or under these."""

    @abstractmethod
    def outputs(self, name: str, split: str, head: Head | None) -> Outputs:
        """Give a split of a set under a head; labels of classes that the head knows by name."""

    def ood(self, name: str, head: Head | None) -> Outputs:
        """Give the test split of an OOD set, whose labels are no classes of the head."""
        return self.outputs(name, "test", head).without_labels()

    @abstractmethod
    def templates(self, name: str) -> tuple[str, ...]:
        """Give the set's own prompt templates."""

    def has_text_tower(self) -> bool:
        """Tell whether heads can be made of other prompts."""
        return False


class EncodedSets(Sets):
    """Data sets with pictures, each encoded once."""

    def __init__(
        self, model: Model, registry: Registry, device: str, progress: Callable[[str, int, int], None]
    ) -> None:
        self.model, self.registry, self.device, self.progress = model.to(device), registry, device, progress
        self.label, self.fingerprint = model.name, model.fingerprint
        self._features: dict[tuple[str, str], Any] = {}
        self._heads: dict[tuple[tuple[str, ...], Prompts], Head] = {}

    def splits(self, name: str) -> tuple[str, ...]:
        """Name the splits of a data set."""
        return tuple(self._dataset(name).counts) if name in self.registry.names("datasets") else ()

    def head(self, name: str, prompts: Prompts | None) -> Head:
        """Encode the classes of a data set under its own prompts, or under these."""
        dataset = self._dataset(name)
        if not dataset.classes:
            raise DataError(f"{name}: has no classes, so it can only be an OOD set; name another after --id")
        key = (dataset.classes, prompts or Prompts(dataset.templates[:1]))
        if key not in self._heads:
            self._heads[key] = zero_shot_head(self.model, *key)
        return self._heads[key]

    def outputs(self, name: str, split: str, head: Head | None) -> Outputs:
        """Encode a split, or take it from the memory of this run."""
        dataset = self._dataset(name)
        if (name, split) not in self._features:
            told = lambda done, of: self.progress(f"encoding {name} {split}", done, of)  # noqa: E731
            self._features[name, split] = encode_set(self.model, dataset, split, self.device, told)
        features, pictures = self._features[name, split]
        labels = None if pictures.labels is None else _labels_under(head, pictures.labels, dataset.classes)
        extras = {} if pictures.labels is None else {"source_labels": pictures.labels}
        return Outputs(features=features, labels=labels, ids=pictures.ids, extras=extras, head=head)

    def templates(self, name: str) -> tuple[str, ...]:
        """Give the first template of a data set, its default."""
        return self._dataset(name).templates[:1]

    def has_text_tower(self) -> bool:
        """Say yes: every model that encodes has one."""
        return True

    def _dataset(self, name: str) -> DataSet:
        dataset: DataSet = self.registry.get("datasets", name)
        return dataset


class ImportedSets(Sets):
    """Arrays that somebody imported under one model label."""

    def __init__(self, imports: Imports, label: str, device: str = "cpu") -> None:
        self.imports, self.label, self.device = imports, label, device

    def splits(self, name: str) -> tuple[str, ...]:
        """Name the splits that are in the store."""
        return tuple(split for split in SPLITS if self.imports.find(name, self.label, split) is not None)

    def head(self, name: str, prompts: Prompts | None) -> Head | None:
        """Give the head that came with any split of the set."""
        for split in ("test", "val", "train"):
            if split in self.splits(name) and (head := head_of(self.arrays(name, split))) is not None:
                return head
        return None

    def ood(self, name: str, head: Head | None) -> Outputs:
        """Wrap the memory maps of an OOD set; its labels may index classes that nobody named."""
        return self._outputs(name, "test", head, labelled=False)

    def outputs(self, name: str, split: str, head: Head | None) -> Outputs:
        """Wrap the memory maps of a split."""
        return self._outputs(name, split, head, labelled=True)

    def _outputs(self, name: str, split: str, head: Head | None, *, labelled: bool) -> Outputs:
        arrays = self.arrays(name, split)
        if not labelled:
            arrays.pop("labels", None)
        if "scores" in arrays:
            raise DataError(
                f"{name}: only ready scores were imported under model {self.label!r}; import embeddings too"
            )
        if head is None and "logits" not in arrays:
            raise DataError(
                f"{name}: embeddings without texts or weights give no logits; import the ID set with --text or --head"
            )
        names = arrays.get("classes")
        labels = arrays.get("labels")
        if labels is not None and head is not None and names is not None:
            labels = _labels_under(head, labels, tuple(names.tolist()))
        return outputs_of(arrays, head, labels).to(self.device)

    def templates(self, name: str) -> tuple[str, ...]:
        """Give none: imported texts were made elsewhere."""
        return ()

    def arrays(self, name: str, split: str) -> dict[str, np.ndarray]:
        """Open the arrays of a split."""
        entry = self.imports.find(name, self.label, split)
        if entry is None:
            raise DataError(_absent([name], self.label, self.imports, ()))
        return self.imports.read(entry)


def open_sets(
    registry: Registry,
    store: Path,
    model: str | None,
    names: Sequence[str],
    device: str = "cpu",
    progress: Callable[[str, int, int], None] = lambda what, done, of: None,
) -> Sets:
    """Choose what answers for these sets.

    Without a model: the one label under which the store holds all of them, else `digits-clip` if all are embedded.
    """
    imports, embedded = Imports(store), registry.names("datasets")
    label = model
    if label is None:
        held = imports.models_of(names)
        if len(held) > 1:
            raise DataError(
                f"the store holds {', '.join(names)} of several models; name one with --model: {', '.join(held)}"
            )
        label = held[0] if held else EMBEDDED_MODEL if all(name in embedded for name in names) else None
    if label is not None and label in registry.names("models") and not imports.models_of(names).count(label):
        absent = [name for name in names if name not in embedded]
        if absent:
            raise DataError(_absent(absent, label, imports, embedded))
        return EncodedSets(registry.get("models", label).load(), registry, device, progress)
    if label is None or label not in imports.models_of(names):
        known = {e.model for e in imports.entries()} | set(registry.names("models"))
        if label is not None and label not in known:
            raise DataError(f"unknown model {label!r}; {nearest(label, known)}")
        here = {e.name for e in imports.entries() if label in (None, e.model) and e.split == "test"}
        if label is None and not here & set(names):
            here = set(embedded)
        absent = [name for name in names if name not in here | set(embedded)]
        if label is None and not absent:
            homes = [f"{name} is held of {_home(name, imports)}" for name in names]
            raise DataError(f"no one model has all of these sets: {'; '.join(homes)}; import them under one --model")
        raise DataError(_absent(absent or [n for n in names if n not in here], label, imports, embedded))
    return ImportedSets(imports, label, device)


def gather(request: Request, sets: Sets, *, with_train: bool) -> Gathered:
    """Open every set of a request under the head of each ID set."""
    plans = {name: _plan(sets, name, request) for name in request.ids}
    members = {}
    for name in request.ids:
        prompts = Prompts(request.prompts) if request.prompts else None
        if prompts is not None and not sets.has_text_tower():
            raise DataError(f"--prompts: model {sets.label!r} has no text tower here; its texts were imported")
        head = sets.head(name, prompts)

        def chosen(part: str, other: str, head: Head | None = head) -> Outputs:
            split, index = plans[other].parts[part]
            x = _with_ids(sets.outputs(other, split, head), other, split)
            return x if index is None else x[index]

        validated = all("val" in plan.parts for plan in plans.values())
        train = "train" in sets.splits(name) and with_train
        members[name] = Member(
            val={other: chosen("val", other) for other in plans} if validated else None,
            tests={other: chosen("test", other) for other in plans},
            ood={ood: _limited(_with_ids(sets.ood(ood, head), ood, "test"), request) for ood in request.ood},
            train=_limited(_with_ids(sets.outputs(name, "train", head), name, "train"), request) if train else None,
            heads=_heads(sets, name, head if prompts else None) if sets.has_text_tower() else None,
        )
    templates = {name: list(request.prompts or sets.templates(name)) for name in request.ids}
    about = {
        "model": sets.label,
        "weights": sets.fingerprint,
        "prompts": "; ".join(dict.fromkeys(f'"{t}"' for named in templates.values() for t in named)),
        "validation": {name: plan.where for name, plan in plans.items()},
        "val_split": request.val_split,
        "seed": request.seed,
        "limit": request.limit,
    }
    return Gathered(members, {k: v for k, v in request.groups.items() if k}, about)


def ready_scores(sets: Sets, names: Iterable[str]) -> dict[str, dict[str, np.ndarray]] | None:
    """Give the arrays of sets of which only ready scores were imported, by name; None where none is such a set."""
    if not isinstance(sets, ImportedSets):
        return None
    found = {name: sets.arrays(name, "test") for name in names}
    with_scores = [name for name, arrays in found.items() if "scores" in arrays]
    if not with_scores:
        return None
    if len(with_scores) < len(found):
        other = next(name for name in found if name not in with_scores)
        raise DataError(f"{with_scores[0]} holds ready scores but {other} does not; import both the same way")
    return found


# -- which images are for what ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Plan:
    parts: dict[str, tuple[str, np.ndarray | None]]
    """Split and rows (None: all) of the parts test and val."""
    where: str


def _plan(sets: Sets, name: str, request: Request) -> _Plan:
    """Say which images of an ID set are for testing and which for validation; no image is for both."""
    head = sets.head(name, None)
    x = sets.outputs(name, "test", head)
    rows = _rows(len(x), request)
    if request.val_split is None and "val" in sets.splits(name):
        val = sets.outputs(name, "val", head)
        return _Plan({"test": ("test", rows), "val": ("val", _rows(len(val), request))}, "the set's own split")
    share = VAL_SHARE if request.val_split is None else request.val_split
    if share == 0:
        return _Plan({"test": ("test", rows)}, "none")
    strata = np.zeros(len(x), dtype=int) if x.labels is None else x.labels.cpu().numpy()
    used = np.arange(len(x)) if rows is None else rows
    val_rows = used[stratified(strata[used], share, request.seed)]
    test_rows = np.setdiff1d(used, val_rows)
    if not len(val_rows) or not len(test_rows):
        raise DataError(f"{name}: {len(used)} images are too few to split {share} of them off for validation")
    how = "stratified " if x.labels is not None else ""
    where = f"{how}{100 * share:g} % of the test split, seed {request.seed}"
    return _Plan({"test": ("test", test_rows), "val": ("test", val_rows)}, where)


def stratified(strata: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Choose rows at random so that each stratum gives its share, rounded; at least one row stays in each."""
    rng = np.random.default_rng(seed)
    chosen = []
    for value in np.unique(strata):
        rows = rng.permutation(np.flatnonzero(strata == value))
        chosen.append(rows[: min(int(share * len(rows) + 0.5), len(rows) - 1)])
    return np.sort(np.concatenate(chosen))


def _rows(count: int, request: Request) -> np.ndarray | None:
    if request.limit is None or request.limit >= count:
        return None
    return np.sort(np.random.default_rng(request.seed).choice(count, request.limit, replace=False))


def _limited(x: Outputs, request: Request) -> Outputs:
    rows = _rows(len(x), request)
    return x if rows is None else x[rows]


def _with_ids(x: Outputs, name: str, split: str) -> Outputs:
    """Name nameless rows by their place, so that a row of the results says which image it was."""
    return x if x.ids is not None else x.named([f"{name}/{split}/{i}" for i in range(len(x))])


def _heads(sets: Sets, name: str, fixed: Head | None) -> Callable[[Prompts], Head]:
    def make(prompts: Prompts) -> Head:
        head = fixed if fixed is not None else sets.head(name, prompts)
        if head is None:
            raise DataError(f"{name}: there is no text tower to encode prompts with")
        return head

    return make


def _labels_under(head: Head | None, labels: np.ndarray, classes: Sequence[str]) -> np.ndarray | None:
    if head is None:
        return labels
    if tuple(classes) == head.class_names:
        return labels
    places = {name: place for place, name in reversed(list(enumerate(head.class_names)))}
    return np.append([places.get(name, -1) for name in classes], -1)[labels]


def _home(name: str, imports: Imports) -> str:
    """Name the models that a set is held of; an embedded set without arrays is the embedded model's."""
    return ", ".join(sorted({e.model for e in imports.entries() if e.name == name})) or EMBEDDED_MODEL


def _absent(names: Sequence[str], label: str | None, imports: Imports, embedded: Sequence[str]) -> str:
    """Say in one message what is missing, where it belongs, and the command that brings it."""
    under = f" --model {label}" if label is not None and label not in ("imported", EMBEDDED_MODEL) else ""
    held = sorted({f"{e.name} ({e.model})" for e in imports.entries()})
    known = {e.name for e in imports.entries()} | set(embedded)
    close = [hint for name in names if (hint := nearest(name, known - set(names))).startswith("did you mean")]
    said = ". ".join([f"not here: {', '.join(names)}", *(hint[0].upper() + hint[1:] for hint in close)])
    lines = [f"{said}{'' if close else '.'} Bring their arrays into the store {imports.folder} with"]
    lines += [f"oodkit import {name} FILE.npz [--text TEXT.npz]{under}" for name in names]
    lines.append(
        f"(keys: embeddings | features | logits, labels, classes). Here: {', '.join([*held, *embedded]) or 'nothing'}"
    )
    return "\n  ".join(lines)
