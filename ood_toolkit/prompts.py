"""Named sets of prompt templates, as their papers use them."""

from __future__ import annotations

import hashlib

from ood_toolkit.errors import DataError

__all__ = ["named_templates"]

SIMPLE = ("a photo of a {}.",)
OPENAI_80 = "4f976686fb651bb5803d4689dcd849f75efe0ef19a3c801355bc9a6f03c8a5af"
"""SHA-256 of the templates, one a line: another list would move every number."""


def named_templates(name: str) -> tuple[str, ...]:
    """Give a set by name: `simple` (one, with a full stop), `openai` (80, Radford et al., arXiv 2103.00020)."""
    if name == "simple":
        return SIMPLE
    if name == "openai":
        return openai_templates()
    raise DataError(f"prompts {name!r}: expected simple or openai")


def openai_templates() -> tuple[str, ...]:
    """Give the 80 templates that open_clip carries, in their order; `DataError` if it carries others."""
    from open_clip import OPENAI_IMAGENET_TEMPLATES

    templates = tuple(template("{}") for template in OPENAI_IMAGENET_TEMPLATES)
    if hashlib.sha256("\n".join(templates).encode()).hexdigest() != OPENAI_80:
        raise DataError("the prompt set openai: this open_clip carries other templates; install open_clip_torch 3.x")
    return templates
