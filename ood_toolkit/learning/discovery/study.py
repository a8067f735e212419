"""`Search`: from a detector's uncertain images to clusters, a head that knows them, and what all that is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ood_toolkit.api.registry import get_registry
from ood_toolkit.api.scorer import Scorer
from ood_toolkit.api.stream import each_alone
from ood_toolkit.benchmark.gather import gather
from ood_toolkit.benchmark.members import Member
from ood_toolkit.benchmark.settings import Settings
from ood_toolkit.detectors.detector import Detector
from ood_toolkit.encode.sets import Sets
from ood_toolkit.errors import DataError, ScorerError
from ood_toolkit.learning.discovery.clusters import Clustering, Clusters, by_size, grown
from ood_toolkit.learning.discovery.distances import angular_distances, shared_distances
from ood_toolkit.learning.discovery.measures import agreement, majorities
from ood_toolkit.learning.discovery.mixture import Mixture, keys_of, mixture
from ood_toolkit.learning.discovery.naming import centres, nearest_classes, nearest_words, word_bank
from ood_toolkit.learning.discovery.space import Space
from ood_toolkit.learning.heads.run import Material, material
from ood_toolkit.learning.record import data_fingerprint
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.arrays import to_numpy

__all__ = ["SCORER", "Findings", "Search", "Wishes", "cluster_names"]

SCORER = "mahalanobis-pp"
"""Discovery needs labelled training images in any case, for the head, and of the scores that use them this one finds
new classes best where it was measured (docs/discover.md)."""
FINER = "pre_projection"
"""What is clustered where the model has it: the projection keeps what known classes need, and loses other things."""
Progress = Callable[..., None]


@dataclass(frozen=True)
class Wishes:
    """What is asked of a search."""

    among: tuple[str, ...]
    splits: tuple[str, ...] = ("train", "val")
    """Splits of the sets of `among` that are looked through, those that a set has; the test split stays for testing."""
    scorer: str = SCORER
    clustering: Clustering = field(default_factory=Clustering)
    neighbours: int = 20
    """Nearest images whose sharing makes the distance of two."""
    share: float = 0.6
    """Of the nearest clustered images, those of one cluster that take in an image which no cluster has."""
    words: str | None = None
    target: float = 0.8
    """Share of the ID validation images that the detector takes for known; the less, the more is looked at."""


@dataclass(frozen=True, eq=False)
class Findings:
    """What a search found."""

    kept: np.ndarray
    """(m,) rows of the mixture that the detector finds uncertain."""
    threshold: float
    found: Clusters
    """Of the kept images, as the method found them."""
    labels: np.ndarray
    """(m,) the same with the images near to a cluster, without those that have a label of the ID set, numbered anew."""
    clusters: list[dict[str, Any]]
    """Of each: number, name, size, nearest class, words; with truth its majority class and purity."""
    figures: dict[str, Any]
    """Counts of what was looked at and kept, and how far clusters agree with the truth where it is known."""

    def rows(self, accepted: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Give the rows of the mixture that are of accepted clusters, from 0, and the place of each one's cluster."""
        places = np.array([accepted.index(one) if one in accepted else -1 for one in self.labels.tolist()])
        return self.kept[places >= 0], places[places >= 0]


def cluster_names(count: int) -> tuple[str, ...]:
    """Name clusters, as the folders that they are written to are read: `cluster 01`."""
    width = max(2, len(str(count)))
    return tuple(f"cluster {number:0{width}d}" for number in range(1, count + 1))


@dataclass(eq=False)
class Search:
    """Looks for new classes among unlabelled images; `DataError` where the ID set lacks training or validation images.

    Labels that the images may have are used for figures alone: never by detector, clusters or head.
    """

    settings: Settings
    sets: Sets
    wishes: Wishes
    progress: Progress = lambda *told: None

    def __post_init__(self) -> None:
        (self.name,) = self.settings.ids
        self.scorer: Scorer = each_alone(
            get_registry().scorer(self.wishes.scorer), "discovery needs a threshold"
        ).clone()
        self.material: Material = material(self.settings, self.sets, self.name)
        self.member: Member = gather(self.settings, self.sets, with_train=True).members[self.name]
        val = self.member.val
        known = val.get(self.name) if isinstance(val, Mapping) else val
        if known is None or self.member.train is None:
            raise DataError(f"{self.name}: expected validation images to find a threshold on; leave out --val-split 0")
        self.val, self.train = known, self.member.train
        self.classes = self.sets.classes(self.name)
        test, wishes = self.member.tests[self.name], self.wishes
        self.images: Mixture = mixture(
            self.sets, wishes.among, wishes.splits, test.head, self.settings.limit, self.settings.seed
        )
        train = self.material.train
        self.seen = FINER if FINER in train.extras and self.images.has(FINER) else ""
        """Which output of the model is clustered; "" for embeddings."""
        self.space = Space.of(to_numpy((train.with_features(self.seen) if self.seen else train).embeddings))
        self.learnt = np.isin(self.images.keys, self._keys("train"))
        """(n,) which images of the mixture are among the training images of the ID set."""
        self.labelled = self.learnt | np.isin(self.images.keys, self._keys("val"))
        """(n,) the same with its own validation images: what has a label of the ID set already."""

    def _keys(self, split: str) -> np.ndarray:
        if split not in self.material.data:
            return np.empty(0, dtype=object)
        return keys_of(self.sets, self.name, split, self.sets.bare(self.name, split))

    def under_scorer(self, x: Outputs) -> Outputs:
        """Put outputs under the head of the scorer's own prompts, where it has such and they can be made."""
        prompts, heads = self.scorer.prompts, self.member.heads
        return x if prompts is None or heads is None else x.with_head(heads(prompts))

    def run(self) -> Findings:
        """Keep what the detector finds uncertain, cluster it and describe the clusters."""
        detector = Detector.fit(
            self.scorer, self.under_scorer(self.val), self.under_scorer(self.train), target=self.wishes.target
        )
        scores = np.concatenate([detector.score(self.under_scorer(part)) for part in self.images.parts])
        kept = np.flatnonzero(scores < detector.threshold)
        if len(kept) < 2:
            raise ScorerError(
                f"{self.scorer.spec}: found {len(kept)} of {len(self.images):,} images uncertain; nothing to cluster"
            )
        self.progress("clustering", 0, 0)
        whole = self.images.seen_by(self.seen) if self.seen else self.images.embeddings
        rows = self.space.unit(whole[kept])
        distances = angular_distances(rows)
        found = self.wishes.clustering.find(shared_distances(distances, self.wishes.neighbours))
        labels = grown(found.labels, distances, self.wishes.share)
        # What the ID set has a label for is no part of a new class.
        labels = by_size(np.where(self.labelled[kept], -1, labels), self.wishes.clustering.min_size)
        clusters = self._described(kept, labels)
        figures = {"looked_at": self._counts(kept)}
        if self.images.truth is not None:
            figures |= self._against_truth(kept, found.labels, labels, clusters)
        return Findings(kept, detector.threshold, found, labels, clusters, figures)

    def _described(self, kept: np.ndarray, labels: np.ndarray) -> list[dict[str, Any]]:
        """Say of each cluster how large it is, and which known class and words are nearest."""
        count = int(labels.max(initial=-1)) + 1
        if not count:
            return []
        middles = centres(self.images.embeddings[kept], labels, count)
        truth = to_numpy(self.material.train.labels)
        shown = np.unique(truth)
        known = centres(to_numpy(self.material.train.embeddings), np.searchsorted(shown, truth), len(shown))
        near = nearest_classes(middles, known, [self.classes[one] for one in shown])
        bank = word_bank(self.settings, self.sets, self.name, self.train.head, self.wishes.words)
        words = nearest_words(middles, bank) if bank is not None else [[] for _ in range(count)]
        names = cluster_names(count)
        return [
            {
                "number": place + 1,
                "name": names[place],
                "size": int((labels == place).sum()),
                "nearest_class": near[place][0],
                "cosine": near[place][1],
                "words": words[place],
            }
            for place in range(count)
        ]

    def _counts(self, kept: np.ndarray) -> dict[str, Any]:
        """Count what was looked at and kept: training images, which the detector was fitted on, and others apart."""
        chosen = np.zeros(len(self.images), dtype=bool)
        chosen[kept] = True
        groups = {"training_images": self.learnt, "others": ~self.learnt}
        if self.images.truth is not None:
            new = self.new
            groups = {"new": new, "known_training": ~new & self.learnt, "known_others": ~new & ~self.learnt}
        said = {
            name: {"images": int(group.sum()), "kept": int((group & chosen).sum())} for name, group in groups.items()
        }
        return {"images": len(self.images), "kept": len(kept), **said}

    @property
    def new(self) -> np.ndarray:
        """Whether each image of the mixture (n,) is of a class that the ID set lacks; needs the truth."""
        return ~np.isin(np.asarray(self.images.truth, dtype=str), self.classes)

    def _against_truth(
        self, kept: np.ndarray, found: np.ndarray, labels: np.ndarray, clusters: list[dict[str, Any]]
    ) -> dict[str, Any]:
        truth = np.asarray(self.images.truth, dtype=object)[kept]
        new = self.new[kept]
        owners = majorities(labels, truth)
        for cluster in clusters:
            place = cluster["number"] - 1
            cluster["class"] = owners[place]
            cluster["purity"] = float(np.mean(truth[labels == place] == owners[place]))
        return {
            "new_classes": len(set(truth[new])),
            "clusters_found": agreement(found, truth, new),
            "clusters_written": agreement(labels, truth, new),
        }

    def data(self) -> dict[str, dict[str, Any]]:
        """Say what was learnt from and looked through, with fingerprints."""
        looked = {"set": ", ".join(self.images.names), "images": len(self.images)}
        return {**self.material.data, "among": {**looked, "fingerprint": data_fingerprint(self.images.keys)}}

    def result(self, findings: Findings, accepted: tuple[int, ...]) -> dict[str, Any]:
        """Say what was asked and what was found, for files and people."""
        return {
            "id": self.name,
            "known_classes": list(self.classes),
            "among": list(self.images.names),
            "model": self.sets.label,
            "scorer": self.scorer.spec,
            "threshold": findings.threshold,
            "method": self.wishes.clustering.method,
            "clustered": self.seen or "embeddings",
            "eps": findings.found.eps,
            "accepted": [place + 1 for place in accepted],
            **findings.figures,
        }
