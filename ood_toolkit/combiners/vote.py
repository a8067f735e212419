"""Vote: the share of members that decide "in-distribution"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ood_toolkit.api.combiner import Combiner, Scored, check_aligned
from ood_toolkit.combiners.max_confidence import MaxConfidence
from ood_toolkit.combiners.standard import spread


@dataclass
class Vote(Combiner):
    """Share of members that decide "in-distribution", which it is at a share of one half or more.

    Equal shares are ranked by the mean of the margins, each standardised on its member's own validation. The
    prediction is that of the most confident member.
    """

    name = "vote"

    def fit(self, val: Sequence[Scored]) -> Vote:
        """Learn the mean and spread of each member's margins on its own validation."""
        self.centre_, self.spread_ = spread([part.of_own_set(part.margin) for part in val])
        return self

    def combine(self, parts: Sequence[Scored]) -> Scored:
        """Count the votes for each image."""
        check_aligned(parts, len(self.centre_))
        share = np.mean([part.accepted for part in parts], axis=0)
        margins = [(part.margin - c) / s for part, c, s in zip(parts, self.centre_, self.spread_, strict=True)]
        # arctan keeps the order of the margins within less than one vote.
        between = np.arctan(np.mean(margins, axis=0)) / np.pi / len(parts)  # in (-0.5, 0.5) votes
        adopted = MaxConfidence().combine(parts)
        return Scored(adopted.prediction, adopted.confidence, score=share + between, margin=share - 0.5)
