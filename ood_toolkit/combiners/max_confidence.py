"""Max-confidence ensemble: UST-ETRI seminar, "adopt the result with the higher confidence"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ood_toolkit.api.combiner import Combiner, Scored, check_aligned


@dataclass
class MaxConfidence(Combiner):
    """For each image the member with the highest confidence: its prediction and decision, its margin as the score.

    A tie goes to the first of the members.
    """

    name = "max-confidence"

    def combine(self, parts: Sequence[Scored]) -> Scored:
        """Adopt one member's word for each image."""
        rows = np.arange(check_aligned(parts))
        chosen = np.argmax([part.confidence for part in parts], axis=0)  # (n,)
        margin = np.stack([part.margin for part in parts])[chosen, rows]
        return Scored(
            prediction=np.stack([part.prediction for part in parts])[chosen, rows],
            confidence=np.stack([part.confidence for part in parts])[chosen, rows],
            score=margin,
            margin=margin,
        )
