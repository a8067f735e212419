"""Mean probability: the mean softmax of several classifiers of one ID set, as in COOkeD, arXiv 2507.22576."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ood_toolkit.api.combiner import PROBABILITIES, Combiner, Scored, check_aligned
from ood_toolkit.errors import OutputsError, ScorerError
from ood_toolkit.scorers.thresholds import threshold

SCORES = ("entropy", "max")


@dataclass
class MeanProbability(Combiner):
    """Mean of the members' softmax, (n, k); predicts its largest, and its negative entropy in nats is the score.

    The members are classifiers of the same classes, in any order. It decides at the threshold that accepts a share of
    validation.
    """

    score: str = "entropy"
    """`entropy`, the negative entropy of the mean, or `max`, its largest probability."""
    target: float = 0.95
    """Share of validation that is accepted."""

    name = "mean-probability"
    needs = frozenset({PROBABILITIES})

    def fit(self, val: Sequence[Scored]) -> MeanProbability:
        """Learn the threshold on the mean of what the members say of validation."""
        if self.score not in SCORES:
            raise ScorerError(f"{self.name}: score: expected {' or '.join(SCORES)}, got {self.score!r}")
        self.threshold_, _ = threshold("tpr", self._merged(val)[2], target=self.target)
        self.members_ = len(val)
        return self

    def combine(self, parts: Sequence[Scored]) -> Scored:
        """Average the probabilities for each image."""
        prediction, confidence, score = self._merged(parts, self.members_)
        return Scored(prediction, confidence, score, score - self.threshold_)

    def _merged(self, parts: Sequence[Scored], members: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Give the prediction, the largest probability and the score (n,) of the mean."""
        from scipy.special import entr

        check_aligned(parts, members)
        classes, mean = _mean(parts)
        top = mean.argmax(axis=1)
        mean[np.arange(len(mean)), top] = 0
        rest = mean.sum(axis=1)  # of probability 1 it is this that tells sure images apart
        largest = 1 - rest
        entropy = entr(mean).sum(axis=1) - largest * np.log1p(-rest)
        return classes[top], largest, -entropy if self.score == "entropy" else largest


def _mean(parts: Sequence[Scored]) -> tuple[np.ndarray, np.ndarray]:
    """Give the class names (k,) of the first member and the mean probabilities (n, k) in their order."""
    first = parts[0].classes
    total = np.zeros(1)
    for part in parts:
        if first is None or part.classes is None or part.probabilities is None:
            raise OutputsError("expected probabilities of all classes from every member, got a member without")
        total = total + part.probabilities[:, _columns(part.classes, first)].astype(np.float64)
    assert first is not None
    return first, total / len(parts)


def _columns(names: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Give the column of each wanted class; `OutputsError` unless the names are the same ones, each once."""
    places = {name: place for place, name in enumerate(names.tolist())}
    strange = [name for name in wanted.tolist() if name not in places]
    if strange or not len(places) == len(names) == len(wanted):
        what = f"one lacks {strange[0]!r}" if strange else f"got {len(names)} and {len(wanted)}"
        raise OutputsError(f"expected members of the same classes, each named once, {what}")
    return np.array([places[name] for name in wanted.tolist()], dtype=np.intp)
