"""How to get what skipped scorers lacked, a line for each need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ood_toolkit.report.results import Row

__all__ = ["NEEDS", "remedies"]

NEEDS = "needs "
"""How the note of a row begins whose scorer lacked something; the needs follow, such as `train, logits in food101`."""
WORDS = (
    "name the scorer, or give --negatives wordnet, where the model has a text tower; with imported vectors "
    "oodkit import --texts"
)
SOURCES: Mapping[str, str] = {
    "features": "import embeddings or features in the place of logits",
    "nonnegative_features": "features behind a ReLU, such as those of torchvision:resnet50/WEIGHTS; or give the scorer "
    "signed=rectify or signed=allow, where it has that",
    "logits": "import logits, or the class texts (--text) or linear head (--head) that give them",
    "head": "import features with class texts (--text) or a linear head (--head)",
    "zero_shot": "class texts: leave out --head, import them with --text, or name a CLIP model",
    "linear_head": "oodkit train head, then --head; or import with --head",
    "val": "ID validation images: leave out --val-split 0, or import the ID set with --split val",
    "val_labels": "ID validation images with labels: import the ID set with labels",
    "train": "ID training images: import the ID set with --split train, or name one whose training images are here",
    "train_labels": "ID training images with labels, in the same way",
    "text:no": '"no" texts: digits-clip or clipn:ARCH/FILE have them, else --texts no=FILE',
    "text:negatives": f"{WORDS} candidates=FILE.npz or negatives=FILE.npz",
    "text:candidates": f"{WORDS} candidates=FILE.npz",
    "text:prompts": "several --prompts, where the model has a text tower",
    "extra:local": "patches: a CLIP model that encodes pictures; imported arrays have none",
}
"""Where each need of a scorer comes from, in words of the command line."""


def remedies(rows: Sequence[Row]) -> list[str]:
    """Say of each need that skipped scorers lacked where it comes from, the first lacked first."""
    notes = dict.fromkeys(note for row in rows if row.status == "skipped" for note in row.notes)
    lacked = dict.fromkeys(need for note in notes for need in _needs(note))
    return ["to run what was skipped", *(f"  {need}: {_source(need)}" for need in lacked)] if lacked else []


def _needs(note: str) -> Iterator[str]:
    if note.startswith(NEEDS):
        yield from (part.partition(" in ")[0] for part in note.removeprefix(NEEDS).split(", "))


def _source(need: str) -> str:
    kind, _, name = need.partition(":")
    if need in SOURCES:
        return SOURCES[need]
    if kind == "text":
        return f"--texts {name}=FILE, with imported vectors an .npz of embeddings"
    return f"a model that gives {name}, with --keep {name}" if kind == "extra" else "the scorer's own documentation"
