"""What clusters are worth where the true classes are known; nothing here is looked at by clustering or training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

__all__ = ["agreement", "majorities", "new_accuracy"]


def majorities(labels: np.ndarray, truth: np.ndarray) -> dict[int, str]:
    """Give the most frequent true class of each cluster, by name, of labels (n,) and truth (n,); -1 is no cluster."""
    found = {}
    for cluster in np.unique(labels[labels >= 0]).tolist():
        counts = Counter(truth[labels == cluster].tolist())
        found[cluster] = min(counts, key=lambda name: (-counts[name], name))
    return found


def agreement(labels: np.ndarray, truth: np.ndarray, new: np.ndarray) -> dict[str, float | int]:
    """Compare clusters (n,) with true classes (n,), on the images that a cluster has; `new` (n,): whose class is new.

    purity: share of these images that are of their cluster's majority class; nmi: normalised mutual information,
    arithmetic mean; ari: adjusted Rand index; clustered: share of all n images that a cluster has; classes_found: new
    classes that are the majority of a cluster; strangers: clustered images that are of known classes.
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    inside = labels >= 0
    if not inside.any():
        return {"images": 0, "clustered": 0.0, "classes_found": 0, "strangers": 0}
    owners = majorities(labels, truth)
    right = np.array([owners.get(label, "") for label in labels.tolist()], dtype=object) == truth
    return {
        "images": int(inside.sum()),
        "clustered": float(inside.mean()),
        "purity": float(right[inside].mean()),
        "nmi": float(normalized_mutual_info_score(truth[inside].astype(str), labels[inside])),
        "ari": float(adjusted_rand_score(truth[inside].astype(str), labels[inside])),
        "classes_found": len({name for name in owners.values() if new[truth == name].any()}),
        "strangers": int((inside & ~new).sum()),
    }


def new_accuracy(predicted: Sequence[str] | np.ndarray, truth: np.ndarray, owners: Mapping[str, str]) -> float:
    """Give the share of images (n,) put into a cluster whose majority class, `owners` by its name, is the true one."""
    return float(np.mean([owners.get(said) == true for said, true in zip(predicted, truth, strict=True)]))
