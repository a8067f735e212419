"""Checks of arrays that are to become `Outputs`: of each alone, of logits against features and head, of class names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ood_toolkit.errors import OutputsError
from ood_toolkit.outputs.arrays import ArrayLike, as_tensor, check_rows, scoring_precision
from ood_toolkit.outputs.class_names import ClassNames, first_few, text_of
from ood_toolkit.outputs.head import Head

__all__ = ["STEP", "check_contradiction", "checked", "checked_names", "numbered"]

CONTRADICTION = 1e-3
STEP = {torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8, torch.float32: 2.0**-22, torch.float64: 0.0}
"""Relative rounding of a stored number; for float32 with room for another order of summation."""
SAMPLED, DISTINCT = 64, 100
"""Rows that are looked at to tell whether features were stored in half precision, and the least of distinct numbers."""


def checked(value: ArrayLike, what: str, head: Head | None) -> Tensor:
    """Give features or logits as a tensor (n, d) without NaN or infinity, of the width that the head wants."""
    tensor = as_tensor(value, what, 2)
    if tensor.shape[1] == 0:
        raise OutputsError(f"{what}: expected at least one column, got shape {tuple(tensor.shape)}")
    check_rows(tensor, what, unit_rows=head is not None and head.takes_embeddings)
    if head is not None:
        head.check_width(tensor)
    return tensor


def checked_names(
    class_names: Sequence[str] | None, head: Head | None, logits: Tensor | None
) -> tuple[str, ...] | None:
    """Give the class names, those of the head where there is one; refuse others."""
    names = None if class_names is None else tuple(str(name) for name in class_names)
    if head is not None:
        if logits is not None and logits.shape[1] != head.classes:
            raise OutputsError(
                f"logits: expected {head.classes} columns, one a class of the head, got {logits.shape[1]}"
            )
        if names is not None and names != head.class_names:
            raise OutputsError("class_names: they differ from the head's; leave them out")
        return head.class_names
    if names is not None and logits is not None and len(names) != logits.shape[1]:
        raise OutputsError(f"class_names: expected {logits.shape[1]}, one a column of logits, got {len(names)}")
    return names


def numbered(labels: ArrayLike, names: Sequence[str] | None) -> ArrayLike:
    """Give labels as numbers: class names by the place of the class that each means, all else as it is.

    Raises `OutputsError` for names without class names to look them up in, and for a name that means none of them.
    """
    texts = labels if isinstance(labels, Tensor) else np.asarray(labels)
    if isinstance(texts, Tensor) or texts.dtype.kind not in "USO" or not texts.size:
        return labels
    if texts.dtype.kind == "O" and not all(isinstance(one, str | bytes) for one in texts.flat):
        return labels
    if names is None:
        raise OutputsError(
            "labels: expected numbers, got names but no class names to look them up in; pass class_names"
        )
    known = ClassNames(names)
    found = {one: known.place(text_of(one), "labels") for one in dict.fromkeys(texts.flat)}
    if lost := [text_of(one) for one, place in found.items() if place < 0]:
        raise OutputsError(f"labels: {first_few(lost)} among no classes; known are {first_few(known.names)}")
    return np.array([found[one] for one in texts.flat]).reshape(texts.shape)


def check_contradiction(features: Tensor, logits: Tensor, head: Head, logit_step: float, rows_at_once: int) -> None:
    """Refuse logits (n, k) that head and features (n, d) contradict beyond the rounding of their storage."""
    step = max(STEP[features.dtype], _storage_step(features))
    for start in range(0, len(features), rows_at_once):
        rows = slice(start, start + rows_at_once)
        block = scoring_precision(features[rows])
        length = torch.linalg.vector_norm(block, dim=1, keepdim=True)
        if head.kind == "zero_shot":
            bound: Tensor | float = head.scale
        else:
            bound = _lengths(head.weight.to(block)) * (1.0 if head.unit_rows else length)
        stored = logits[rows]
        allowed = CONTRADICTION + step * bound + logit_step * stored.abs()
        apart = (head.logits(block) - stored).abs() - allowed
        if bool((apart > 0).any()):
            row = int(torch.nonzero((apart > 0).any(dim=1))[0])
            most = float((head.logits(block[row : row + 1]) - stored[row]).abs().max())
            raise OutputsError(
                f"logits: row {start + row} contradicts features and head by more than {CONTRADICTION}, by {most:.3g}; "
                "they are of another model, another order or a rescaled head: give only one of the two"
            )


def _storage_step(features: Tensor) -> float:
    """Give the rounding of features that were stored in half precision before they became what they are."""
    first = features[:SAMPLED]
    if len(set(first.flatten().tolist())) < DISTINCT:
        return 0.0  # a few round numbers say nothing of their storage
    for kind in (torch.bfloat16, torch.float16):  # the coarser first, whose numbers the finer holds too
        if features.dtype in (torch.float32, torch.float64) and bool((first.to(kind).to(first) == first).all()):
            return STEP[kind]
    return 0.0


def _lengths(weight: Tensor) -> Tensor:
    return torch.linalg.vector_norm(weight, dim=1)[None, :]
