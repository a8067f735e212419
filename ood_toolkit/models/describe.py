"""What `oodkit models show NAME` tells of a loaded model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ood_toolkit.api.model import Model

__all__ = ["describe_model"]

SHOWN = 8
"""Prompts that are listed; CLIPN has 128."""


def describe_model(model: Model) -> dict[str, Any]:
    """Tell all that the outputs of a model depend on, and what it can give, as plain values."""
    about: dict[str, Any] = {
        "name": model.name,
        "weights sha256": model.fingerprint,
        "architecture": _read(model.architecture),
        "preprocessing": dict(model.preprocessing),
        "precision": model.precision,
        "licence": model.licence,
        "gives": list(model.kinds),
    }
    if model.head is None:
        about |= {"tokenizer": model.tokenizer, "logit scale": model.scale, "logit bias": model.bias}
        for name, templates in (("prompts", model.templates), ("no prompts", model.no_templates)):
            if templates:
                about[name] = _shown(templates)
    else:
        about |= {"classes": model.head.classes, "label space": model.label_space or "its own"}
    return about


def _shown(templates: Sequence[str]) -> list[str]:
    more = len(templates) - SHOWN
    return list(templates) if more <= 0 else [*templates[:SHOWN], f"and {more} more"]


def _read(architecture: str) -> Any:
    """Open up an architecture that was written as JSON; another text stays."""
    try:
        return json.loads(architecture)
    except ValueError:
        return architecture
