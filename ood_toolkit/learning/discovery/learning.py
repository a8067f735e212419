"""A new head on the known classes and clusters that were accepted, and what it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ood_toolkit import metrics
from ood_toolkit.api.scorer import Scorer
from ood_toolkit.detectors.detector import Detector
from ood_toolkit.errors import OodkitError, one_line
from ood_toolkit.learning.discovery.space import Space
from ood_toolkit.learning.heads.train import RECIPES, TrainedHead, train_head
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.arrays import to_numpy
from ood_toolkit.outputs.head import Head

__all__ = ["Lesson", "detection", "id_accuracy", "learnt", "predicted"]

Progress = Callable[..., None]


@dataclass(frozen=True, eq=False)
class Lesson:
    """Rows that a head learns from."""

    features: np.ndarray
    """(n, d) as the model emitted them."""
    labels: np.ndarray
    """(n,) indices into the names."""
    names: tuple[str, ...]

    def outputs(self, head: Head) -> Outputs:
        """Give the rows under a head that has these classes."""
        return Outputs(torch.from_numpy(self.features), labels=torch.from_numpy(self.labels), head=head)


def learnt(lesson: Lesson, space: Space, seed: int, progress: Progress) -> tuple[Head, TrainedHead]:
    """Train the default linear head on rows of a space, and give it as one on embeddings, with how it came about.

    Weight decay then holds all directions down alike, not those most in which known classes do not differ.
    """
    bare = Outputs(torch.from_numpy(lesson.features))
    rows = torch.from_numpy(space.white(to_numpy(bare.embeddings)).astype(np.float32))
    recipe = replace(RECIPES["default"], input="features", seed=seed)
    x = Outputs(rows, labels=torch.from_numpy(lesson.labels))
    trained = train_head(recipe, x, class_names=lesson.names, progress=progress)
    return space.folded(trained.head), trained


def id_accuracy(head: Head, test: Outputs, names: Sequence[str]) -> float:
    """Give the share of ID test images that a head puts into their class; a cluster is never the right one."""
    if test.labels is None or test.features is None:
        raise OodkitError("id_accuracy: expected features and labels")
    truth = np.array([*names, ""], dtype=object)[to_numpy(test.labels)]
    return float(np.mean(predicted(head, test) == truth))


def predicted(head: Head, x: Outputs) -> np.ndarray:
    """Give the class names (n,) that a head puts images into."""
    names = np.array(head.class_names, dtype=object)
    said: np.ndarray = names[to_numpy(x.with_head(head).prediction)]
    return said


def detection(
    scorer: Scorer, head: Head | None, val: Outputs, train: Outputs, known: dict[str, Outputs], ood: dict[str, Outputs]
) -> dict[str, Any]:
    """Fit a scorer under a head and compare each of the known sets with each OOD set: AUROC, FPR95(ID) and rates.

    Where the scorer cannot run under this head, such as one of text embeddings under a linear one, `note` says so.
    """

    def under(x: Outputs) -> Outputs:
        return x if head is None else x.with_head(head)

    try:
        detector = Detector.fit(scorer, under(val), under(train))
        scores = {name: detector.score(under(x)) for name, x in {**known, **ood}.items()}
    except OodkitError as error:
        return {"note": one_line(error)}
    found: dict[str, Any] = {"threshold": detector.threshold}
    for name in known:
        found[name] = {"accepted": float(np.mean(scores[name] >= detector.threshold))}
        for other in ood:
            found[name][other] = {
                "auroc": metrics.auroc(scores[name], scores[other]),
                "fpr95_id": metrics.fpr95_id(scores[name], scores[other]),
                "detected": float(np.mean(scores[other] < detector.threshold)),
            }
    return found
