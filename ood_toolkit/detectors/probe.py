"""`Probe`: a few calibration images with their scores, by which a formula that changed since is noticed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from ood_toolkit.api.scorer import Scorer
from ood_toolkit.errors import DetectorError, one_line
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.outputs.outputs import SOURCE_LABELS
from ood_toolkit.scorers.scores import scores_of

__all__ = ["Probe"]

ROWS = 64
BYTES = 4 * 2**20
"""What a probe may take; at least one row is kept."""
NEAR = 1e-4
"""How far scores may be apart, of their size and of their spread: machines round differently."""
STRAYS = 16
"""One row in so many may be off: at a tie of two classes a rounding changes the prediction."""


@dataclass(frozen=True, eq=False)
class Probe:
    """At most 64 images, as outputs without their head."""

    arrays: Mapping[str, Any]
    """features, logits, and extra:NAME."""
    scores: np.ndarray
    """(m,) float64, as the scorer gave them when it was fitted."""

    @classmethod
    def of(cls, scorer: Scorer, x: Outputs) -> Probe:
        """Keep some rows of calibration outputs without labels, evenly spaced."""
        held: dict[str, Any] = {} if x.features is None else {"features": x.features}
        if x.ready_logits is not None:
            held["logits"] = x.ready_logits
        held |= {f"extra:{name}": a for name, a in x.extras.items() if isinstance(a, Tensor) and name != SOURCE_LABELS}
        size = sum(array[:1].numel() * array.element_size() for array in held.values())
        count = max(1, min(ROWS, len(x), BYTES // max(1, size)))
        rows = np.unique(np.linspace(0, len(x) - 1, count).astype(int))
        return cls({name: array[rows] for name, array in held.items()}, scores_of(scorer, x[rows]))

    def check(self, scorer: Scorer, head: Head | None, class_names: tuple[str, ...] | None) -> None:
        """Score the images again; `DetectorError` where that gives something else."""
        extras = {name.removeprefix("extra:"): a for name, a in self.arrays.items() if name.startswith("extra:")}
        x = Outputs(
            self.arrays.get("features"), self.arrays.get("logits"), extras=extras, head=head,
            class_names=None if head is not None else class_names,
        )  # fmt: skip
        try:
            found = scores_of(scorer, x)
        except Exception as error:  # the scorer may be anybody's
            why = one_line(error, type(scorer).__module__)
            raise DetectorError(f"its scorer {scorer.spec} no longer runs: {why}") from None
        allowed = NEAR * (np.abs(self.scores) + float(np.std(self.scores)) + 1e-9)
        off = np.abs(found - self.scores) > allowed
        if int(off.sum()) > len(off) // STRAYS:
            row = int(np.argmax(np.abs(found - self.scores) / allowed))
            raise DetectorError(
                f"the formula of {scorer.name} has changed since: {int(off.sum())} of {len(off)} stored images score "
                f"otherwise, such as {found[row]:.6g} for {self.scores[row]:.6g}; fit it again, or install the "
                "version that it was fitted with"
            )
