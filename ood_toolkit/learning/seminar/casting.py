"""Who plays which part in the seminar: the catalogue's sets, the embedded ones, or vectors in a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ood_toolkit.encode.sets import Sets
from ood_toolkit.errors import DataError
from ood_toolkit.learning.seminar.subject import Subject, subject
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.store.foreign.arrays import listed, read_npz
from ood_toolkit.store.foreign.guard import guarded

__all__ = ["EMBEDDED", "EMBEDDED_MORE", "VECTORS_MODEL", "VECTORS_NOTE", "cast_sets", "cast_vectors"]

EMBEDDED: Mapping[str, str] = {
    "CIFAR-10": "only:digits:zero+one+two+three+four",
    "Food-101": "only:digits:five+six+seven+eight+nine",
    "Caltech-256": "letters",
}
"""Which embedded set plays which part."""
EMBEDDED_MORE = ("patches",)
"""OOD sets beside them."""
OBJECTS = ("bicycle", "flower")
"""Classes of the object photographs that CIFAR-10 has nothing of."""
VECTORS_MODEL = "openai_clip_vit_b32 vectors"
LENGTH = 10.0
"""What rows are brought to: files hold unit rows or rows as emitted, and of those the mean length is near 10."""
VECTORS_NOTE = f"every row is brought to length {LENGTH:g}: some files hold unit rows, others rows as CLIP emits them"


def cast_sets(
    sets: Sets, names: Mapping[str, str], more: Sequence[str], seed: int
) -> tuple[list[Subject], dict[str, Outputs]]:
    """Make the subjects of named sets, by role, and the outputs of further OOD sets; `DataError` where one is not here.

    Heads are of the model's own class texts; a model without a text tower is refused.
    """
    sets.look_for([*names.values(), *more])
    cast, first = [], None
    for role, name in names.items():
        head = sets.head(name, None)
        if head is None or head.kind != "zero_shot":
            raise DataError(f"{name}: expected class texts for the zero-shot part; take a model with a text tower")
        first = first or head
        here = [split for split in ("train", "val", "test") if sets.has(name, split, download=True)]
        splits = {split: sets.outputs(name, split, head) for split in here}
        cast.append(subject(role, name, head.class_names, splits, head, seed))
    return cast, {name: sets.ood(name, first) for name in more}


def cast_vectors(folder: Path, seed: int) -> list[Subject]:
    """Make the subjects of the OpenAI CLIP ViT-B/32 vectors in a folder; `DataError` says which file is missing.

    CIFAR-10 is its 500 test images, Food-101 ten classes with 2,000 and 500; Caltech-256 is played by the object
    photographs of the classes that CIFAR-10 has nothing of.
    """
    with guarded(str(folder), "vectors as they were published"):
        return _cast_vectors(folder, seed)


def _cast_vectors(folder: Path, seed: int) -> list[Subject]:
    cifar, cifar_head = _labelled(folder, "image_cifar10_test500", "text_cifar10_a")
    train, food_head = _labelled(folder, "image_food101_10classes_train2000", "text_food10_a")
    test, _ = _labelled(folder, "image_food101_10classes_test500", "text_food10_a")
    objects = _read(folder, "image_objects130", "embeddings", "labels")
    rows = np.flatnonzero(np.isin(objects["labels"], OBJECTS))
    labels = np.array([OBJECTS.index(name) for name in objects["labels"][rows]])
    photographs = _outputs(objects["embeddings"][rows], labels, OBJECTS)
    return [
        subject("CIFAR-10", "cifar10-test500", cifar_head.class_names, {"test": cifar}, cifar_head, seed),
        subject("Food-101", "food101-10", food_head.class_names, {"train": train, "test": test}, food_head, seed),
        subject("Caltech-256", "objects-2", OBJECTS, {"test": photographs}, None, seed),
    ]


def _labelled(folder: Path, images: str, texts: str) -> tuple[Outputs, Head]:
    held = _read(folder, images, "embeddings", "labels", "classes")
    words = _read(folder, texts, "embeddings", "names")
    names = [str(name) for name in held["classes"]]
    if names != [str(name) for name in words["names"]]:
        raise DataError(f"{folder}: expected {texts}.npz to have the classes of {images}.npz, in their order")
    head = Head.zero_shot(np.asarray(words["embeddings"], dtype=np.float32), names)
    return _outputs(held["embeddings"], held["labels"], names), head


def _outputs(rows: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> Outputs:
    features = np.asarray(rows, dtype=np.float32)
    features *= LENGTH / np.linalg.norm(features, axis=1, keepdims=True)
    return Outputs(features, labels=labels.astype(np.int64), class_names=tuple(names))


def _read(folder: Path, name: str, *keys: str) -> dict[str, Any]:
    file = folder / f"{name}.npz"
    if not file.is_file():
        raise DataError(f"{folder}: expected {file.name}; give the folder of the ViT-B/32 vectors, or embedded")
    held = read_npz(file)
    if absent := [key for key in keys if key not in held]:
        raise DataError(f"{file}: expected the arrays {', '.join(keys)}: {absent[0]} is not among {listed(held)}")
    return {key: held[key] for key in keys}
