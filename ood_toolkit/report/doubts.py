"""What makes a number doubtful, found in what was said of the images of a run: one note each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ood_toolkit.report.results import TEST, Answers

__all__ = ["CONSTANT", "doubts_of", "is_constant"]

CONSTANT = "the score is the same for every image, so it tells nothing apart"
WITHHELD = "no label is a class (all are -1): accuracy and misclassification are left out"


def doubts_of(sets: Mapping[str, Answers], classes: int = 0) -> list[str]:
    """Say what is doubtful about an ID set and the sets beside it, for a model of so many classes (0: not known)."""
    test = sets[TEST]
    notes = [*_of_classes(test, classes)]
    for key, said in sets.items():
        if len(said) > 1 and bool((said.ids == said.ids[0]).all()):
            name = key.removeprefix("ood:").removeprefix("csid:")
            notes.append(
                f"all {len(said):,} ids of {name} are {str(said.ids[0])!r}, so no image can be told from another"
            )
    return notes


def _of_classes(test: Answers, classes: int) -> list[str]:
    notes = []
    if classes == 1:
        notes.append("the model has one class: its probability is 1 for every image")
    if test.truth is not None and not test.known.any():
        return [*notes, WITHHELD]
    if test.right is None or test.truth is None:
        return notes
    right, truth = test.right[test.known], test.truth[test.known]
    if classes > 1 and len(right) > 1 and bool((truth == truth[0]).all()):
        notes.append(f"all test images with a label are of one class, {str(truth[0])!r}")
    if classes > 1 and right.mean() <= 1 / classes:
        notes.append(
            f"the accuracy is no better than chance ({100 / classes:.2f} % with {classes:,} classes): do its labels "
            "belong to the classes of the model?"
        )
    return notes


def is_constant(id_scores: np.ndarray, ood_scores: np.ndarray) -> bool:
    """Tell whether all scores of an ID and an OOD set are one number."""
    first = id_scores[0]
    return bool((id_scores == first).all() and (ood_scores == first).all())
