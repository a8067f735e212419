"""Mean score: the mean of the members' scores, each standardised on its member's own validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ood_toolkit.api.combiner import Combiner, Scored, check_aligned
from ood_toolkit.combiners.max_confidence import MaxConfidence
from ood_toolkit.combiners.standard import spread
from ood_toolkit.scorers.thresholds import threshold

APART = "each member has scored its own validation only, so its share of accepted ID is no promise"


@dataclass
class MeanScore(Combiner):
    """Mean of standardised scores; decides at the threshold that accepts a share of the combined validation.

    The combined validation is the mean score of all members' validation images where every member has scored them,
    else the pooled standardised scores that each member gave its own; of a member whose scorer learns from validation
    they are the cross-fitted ones. The prediction is that of the most confident member.
    """

    target: float = 0.95
    """Share of the combined validation that is accepted."""

    name = "mean-score"

    def fit(self, val: Sequence[Scored]) -> MeanScore:
        """Learn each member's mean and spread, and the threshold."""
        self.centre_, self.spread_ = spread([part.of_own_set(part.score) for part in val])
        standard = self._standardise([part.fresh for part in val])
        shared = len({len(part) for part in val}) == 1 and not all(part.is_own_set for part in val)
        combined = np.mean(standard, axis=0) if shared else np.concatenate(standard)
        self.threshold_, _ = threshold("tpr", combined, target=self.target)
        self.notes_ = [] if shared else [APART]
        return self

    def combine(self, parts: Sequence[Scored]) -> Scored:
        """Average the standardised scores for each image."""
        check_aligned(parts, len(self.centre_))
        score = np.mean(self._standardise([part.score for part in parts]), axis=0)
        adopted = MaxConfidence().combine(parts)
        return Scored(adopted.prediction, adopted.confidence, score=score, margin=score - self.threshold_)

    def _standardise(self, scores: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [(each - c) / s for each, c, s in zip(scores, self.centre_, self.spread_, strict=True)]
