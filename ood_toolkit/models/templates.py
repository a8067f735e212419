"""Named sets of prompt templates, as their papers use them."""

from __future__ import annotations

import hashlib
import re

from ood_toolkit.errors import DataError

__all__ = ["clipn_templates", "named_templates"]

SIMPLE = ("a photo of a {}.",)
CLIPN_WITHOUT = re.compile(r"hard to see|embroidered|plastic|origami|toy|cartoon|plushie|^art of the|^itap of my")
"""What tells the 16 templates that CLIPN left out of OpenAI's 80."""
CLIPN_COMMA = "a photo of a {}.", "a photo with a {}."
"""The templates of lines 35 and 99, after whose closing quote a comma was left."""
GAME = " in a video game"
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


def clipn_templates(quotes: bool = True) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give CLIPN's 128 templates and the 128 "no" templates paired with them (ICCV 2023, arXiv 2308.12213).

    Each list is 64 templates of OpenAI's 80, and the same with " with " for " of ". With `quotes`, as in the files that
    its code reads and its released weights were evaluated with, each stands in single quotes, and the 35th and 99th
    have a comma after the closing one; the tokenizer reads all of that. Without, they are plain sentences, with which
    nobody published numbers.
    """
    first = [template for template in openai_templates() if not CLIPN_WITHOUT.search(template)]
    second = [template.replace(" of ", " with ", 1).replace(GAME, f" appearing{GAME}") for template in first]
    yes = [*first, *second]
    commas = ["," if template in CLIPN_COMMA else "" for template in yes]
    no = [*map(_of_no, first), *map(_without, second)]
    if not quotes:
        return tuple(yes), tuple(no)
    quoted = [tuple(f"'{text}'{comma}" for text, comma in zip(texts, commas, strict=True)) for texts in (yes, no)]
    return quoted[0], quoted[1]


def _of_no(template: str) -> str:
    """Negate a template of CLIPN's first half."""
    if template.startswith("a {}"):
        return f"no {template}"
    if GAME in template:
        return template.replace(GAME, f" not{GAME}")
    return re.sub(r"\bof (?:(?:a|the|my|one) )?", "of no ", template, count=1)


def _without(template: str) -> str:
    """Negate a template of CLIPN's second half."""
    return template.replace(" with ", " without ").replace(" appearing ", " not appearing ")
