"""`taught`: the head that learns accepted clusters, and what it does to known, discovered and still unknown classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ood_toolkit.errors import DataError
from ood_toolkit.learning.discovery.learning import Lesson, detection, id_accuracy, learnt, predicted
from ood_toolkit.learning.discovery.measures import new_accuracy
from ood_toolkit.learning.discovery.mixture import mixture
from ood_toolkit.learning.discovery.space import Space
from ood_toolkit.learning.discovery.study import Findings, Search
from ood_toolkit.learning.heads.train import TrainedHead
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.arrays import to_numpy
from ood_toolkit.outputs.head import Head

__all__ = ["Taught", "accepted_clusters", "taught"]


@dataclass(frozen=True, eq=False)
class Taught:
    """The new head, how it came about, and what it does."""

    head: Head
    trained: TrainedHead
    figures: dict[str, Any]


def accepted_clusters(findings: Findings, wanted: tuple[int, ...] | None) -> tuple[int, ...]:
    """Give the places of the clusters that are to be learnt, from 0; `DataError` for a number that is none."""
    there = [cluster["number"] for cluster in findings.clusters]
    if unknown := [number for number in wanted or () if number not in there]:
        raise DataError(f"--accept: there is no cluster {unknown[0]}; there are {len(there)}, from 1")
    return tuple(number - 1 for number in there if wanted is None or number in wanted)


def taught(search: Search, findings: Findings, accepted: tuple[int, ...]) -> Taught:
    """Train a head on the known classes and accepted clusters, and one on the known classes alone, and compare them."""
    train, seed = search.material.train, search.settings.seed
    rows, places = findings.rows(accepted)
    names = {cluster["number"] - 1: cluster["name"] for cluster in findings.clusters}
    features, labels = to_numpy(train.features).astype(np.float32), to_numpy(train.labels)
    old = Lesson(features, labels, search.classes)
    new = Lesson(
        np.concatenate([features, search.images.features[rows].astype(np.float32)]),
        np.concatenate([labels, len(search.classes) + places]),
        (*search.classes, *(names[place] for place in accepted)),
    )
    space = Space.of(to_numpy(train.embeddings))
    before, _ = learnt(_with_val(search, old), space, seed, search.progress)
    head, trained = learnt(_with_val(search, new), space, seed, search.progress)
    return Taught(head, trained, _figures(search, findings, accepted, new, before, head))


def _with_val(search: Search, lesson: Lesson) -> Lesson:
    """Add the ID set's own validation images: what a head must not take for new is near to what it has not seen."""
    val = search.material.val
    if val is None:
        return lesson
    features = np.concatenate([lesson.features, to_numpy(val.features).astype(np.float32)])
    return Lesson(features, np.concatenate([lesson.labels, to_numpy(val.labels)]), lesson.names)


def _figures(
    search: Search, findings: Findings, accepted: tuple[int, ...], lesson: Lesson, before: Head, head: Head
) -> dict[str, Any]:
    test = search.member.tests[search.name]
    found: dict[str, Any] = {
        "id_accuracy": {
            "own_head": id_accuracy(test.head, test, search.classes) if test.head is not None else None,
            "old_classes_head": id_accuracy(before, test, search.classes),
            "new_head": id_accuracy(head, test, search.classes),
        }
    }
    fresh = _fresh(search)
    if fresh is not None:
        x, truth = fresh
        owners = {c["name"]: c["class"] for c in findings.clusters if c["number"] - 1 in accepted}
        found["new_images"] = len(x)
        found["new_accuracy"] = new_accuracy(predicted(head, x), truth, owners)
        found["new_accuracy_by_class"] = {
            one: new_accuracy(predicted(head, x)[truth == one], truth[truth == one], owners)
            for one in sorted(set(truth.tolist()))
        }
    found["detection"] = _detections(search, lesson, head, None if fresh is None else fresh[0])
    return found


def _detections(search: Search, lesson: Lesson, head: Head, fresh: Outputs | None) -> dict[str, Any]:
    """Compare known and still unknown images before and after; discovered classes are unknown before, known after."""
    test, ood = search.member.tests[search.name], dict(search.member.ood)
    if not ood and fresh is None:
        return {}
    discovered = {} if fresh is None else {"discovered": fresh}
    known = {"known": test}
    val, train = search.under_scorer(search.val), search.under_scorer(search.train)
    seen = {name: search.under_scorer(x) for name, x in {**known, **discovered, **ood}.items()}
    unknown = {name: x for name, x in seen.items() if name not in known}
    before = detection(search.scorer, None, val, train, {name: seen[name] for name in known}, unknown)
    after = detection(search.scorer, head, search.val, lesson.outputs(head), {**known, **discovered}, ood)
    return {"before": before, "after": after}


def _fresh(search: Search) -> tuple[Outputs, np.ndarray] | None:
    """Give test images of the new classes of which no copy was looked at, with their true classes; None without."""
    wishes = search.wishes
    names = [name for name in wishes.among if search.sets.has(name, "test")]
    if "test" in wishes.splits or not names:
        return None
    settings, head = search.settings, search.member.tests[search.name].head
    held = mixture(search.sets, names, ("test",), head, settings.limit, settings.seed)
    if held.truth is None or search.images.truth is None:
        return None
    new = set(np.asarray(search.images.truth)[search.new].tolist())
    rows = [r for r, one in enumerate(held.truth) if one in new and one and held.keys[r] not in set(search.images.keys)]
    if not rows:
        return None
    x = Outputs(torch.from_numpy(held.features), head=head) if head is not None else None
    return None if x is None else (x[rows], held.truth[rows])
