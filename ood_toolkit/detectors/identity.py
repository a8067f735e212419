"""Which model a detector's outputs are of, and whether another is the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ood_toolkit.api.model import Model
from ood_toolkit.errors import DetectorError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head

__all__ = ["check_same_model", "check_same_outputs", "identity_of"]

PARTS = ("weights", "architecture", "preprocessing", "precision")
"""What decides the outputs of a model, beside the picture."""


def identity_of(model: Model) -> dict[str, Any]:
    """Give name, weights' SHA-256, architecture, preprocessing and precision of a model, as plain values."""
    known = {
        "model": model.name,
        "weights": model.fingerprint,
        "architecture": model.architecture,
        "preprocessing": dict(model.preprocessing),
        "precision": model.precision,
    }
    plain: dict[str, Any] = json.loads(json.dumps(known, default=str))
    return plain


def check_same_model(recorded: Mapping[str, Any], model: Model, what: str) -> None:
    """Refuse a model whose outputs would differ from those that a detector was fitted on, naming both."""
    here = identity_of(model)
    for part in PARTS:
        known = recorded.get(part)
        if known in (None, "", {}) or known == here[part]:
            continue
        if part == "weights":
            raise DetectorError(
                f"{what}: fitted on outputs of {recorded.get('model')} with weights {known}; {model.name} has weights "
                f"{here[part]}: load those weights, or fit a detector for these"
            )
        raise DetectorError(
            f"{what}: fitted with {part} {_short(known)}; {model.name} has {_short(here[part])}: use the same, or fit "
            "a detector for it"
        )


def check_same_outputs(
    x: Outputs, head: Head | None, names: tuple[str, ...] | None, classes: int, width: int | None, what: str
) -> None:
    """Refuse outputs under another head, or of other class names or sizes, than those that a detector was fitted on."""
    here = None if x.features is None else x.features.shape[1]
    other_head = x.head is not head and _fingerprint(x.head) not in (None, _fingerprint(head))
    other_names = None not in (x.class_names, names) and x.class_names != names
    other_width = None not in (here, width) and here != width
    if other_head or other_names or other_width or x.classes != classes:
        other = "class names" if other_names else "head" if other_head else "sizes"
        raise DetectorError(
            f"{what}: fitted on outputs with {classes} classes and width {width}; these have {x.classes} and {here}, "
            f"and other {other}: they are of another model"
        )


def _fingerprint(head: Head | None) -> str | None:
    return None if head is None else head.fingerprint


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 160 else f"{text[:157]}..."
