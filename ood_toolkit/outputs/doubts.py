"""What makes outputs doubtful before anything is computed from them: signs that they are not what they should be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs.head import Head
    from ood_toolkit.outputs.outputs import Outputs

__all__ = ["doubts_of_head", "doubts_of_outputs"]

LOGARITHMS = (math.log(90), math.log(120))
"""Between these lie the logarithms of the scales that CLIP and SigLIP learn."""
SUM_ERROR = 1e-3


def doubts_of_head(head: Head | None) -> list[str]:
    """Say whether the scale (a number) of a zero-shot head looks like the logarithm of the one that is meant."""
    if head is None or head.kind != "zero_shot" or not LOGARITHMS[0] < head.scale < LOGARITHMS[1]:
        return []
    return [
        f"scale {head.scale:.4g}: is it the log of {math.exp(head.scale):.0f}? CLIP's logit_scale is a logarithm; "
        "give its exp"
    ]


def doubts_of_outputs(x: Outputs) -> list[str]:
    """Say whether ready logits (n, k) look like probabilities, and whether all features (n, d) are equal."""
    notes = []
    total = _probabilities(x)
    if total:
        notes.append(
            f"every row of its logits sums to {total} and none is negative: are they probabilities? give logits"
        )
    if x.features is not None and len(x) > 1 and _are_equal(x.features, x.chunk_rows):
        notes.append(f"all {len(x):,} embeddings are equal")
    return notes


def _probabilities(x: Outputs) -> int:
    """Give 1 or 100 where ready logits are shares of it in every row, else 0."""
    logits: Tensor | None = x._logits
    if logits is None or logits.shape[1] < 2:
        return 0
    for total in (1, 100):
        blocks = (logits[start : start + x.chunk_rows] for start in range(0, len(logits), x.chunk_rows))
        if all(bool((b >= 0).all() and ((b.double().sum(1) - total).abs() < SUM_ERROR * total).all()) for b in blocks):
            return total
    return 0


def _are_equal(rows: Tensor, size: int) -> bool:
    """Tell whether all rows are one, up to rounding; ends at the first that is not."""
    first = rows[:1].double()
    least = 1e-6 * first.abs().amax()
    blocks = (rows[start : start + size] for start in range(0, len(rows), size))
    return all(bool(((block.double() - first).abs() <= least).all()) for block in blocks)
