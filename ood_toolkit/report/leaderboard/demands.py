"""What a score asks for: how much it learns from images of the ID classes, and which inputs it cannot do without."""

from __future__ import annotations

from collections.abc import Collection

from ood_toolkit.errors import OodkitError

__all__ = ["COSTS", "MEANING", "SUPERVISION", "cost_of", "needs_of", "supervision_of"]

SUPERVISION = ("zero-shot", "few-shot", "training")
COSTS = ("logits", "features", "texts", "train")
"""From the least to the most that has to be at hand."""
MEANING = (
    "supervision: zero-shot learns from no image of the ID classes, few-shot from validation images or a head of a few "
    "images a class, training from a training set, be it the score, the head or the classifier",
    "cost: what a score needs beside the class texts: logits, features, further texts, or the training set (train)",
)
TRAIN, VAL = frozenset({"train", "train_labels"}), frozenset({"val", "val_labels"})
FEATURES = frozenset({"features", "head", "linear_head", "nonnegative_features"})
"""Needs that only features meet; cosines of a zero-shot head are its logits but for the scale."""


def needs_of(spec: str) -> frozenset[str] | None:
    """Give what a scorer needs; None for a spec that nothing here answers to, such as the label of ready scores."""
    from ood_toolkit.api.registry import get_registry

    try:
        return get_registry().scorer(spec).needs
    except OodkitError:
        return None


def cost_of(needs: Collection[str]) -> str:
    """Give the cost class of a score that needs this."""
    wanted = frozenset(needs)
    if wanted & TRAIN:
        return "train"
    if any(need.startswith("text:") for need in wanted):
        return "texts"
    if wanted & FEATURES or any(need.startswith("extra:") for need in wanted):
        return "features"
    return "logits"


def supervision_of(needs: Collection[str], head: str, trained: bool, shots: int | None) -> str:
    """Say what a score that needs this learns from, under a head; "" where that is not known.

    `head` is `zero_shot`, `linear`, or "" for logits that come from anywhere; `trained` says whether it was trained
    here, from `shots` images a class or, where that is None, from all.
    """
    wanted = frozenset(needs)
    if wanted & TRAIN or (trained and shots is None) or (head == "linear" and not trained):
        return "training"
    if trained or (head and wanted & VAL):
        return "few-shot"
    return "zero-shot" if head else ""
