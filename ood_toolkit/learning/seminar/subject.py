"""`Subject`: the set that plays a part in the seminar, with images to learn from, to calibrate on and to test on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ood_toolkit.errors import DataError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head

__all__ = ["Subject", "subject"]

VAL_OF_TRAIN = 0.1
"""Share of a train split that is validation where a set has none."""
OF_TEST = 0.2
"""Share of a lone test split that is validation, and of the rest that is tested on."""


@dataclass(frozen=True, eq=False)
class Subject:
    """The set that plays a part; the three parts hold different images."""

    role: str
    name: str
    classes: tuple[str, ...]
    train: Outputs
    """Features with labels and class names, as the next two."""
    val: Outputs
    test: Outputs
    zero_shot: Head | None
    """The head of the class texts, where there are such."""
    split: str
    """Where the parts come from, in words."""

    def under(self, head: Head, part: str) -> Outputs:
        """Give a part under a head, be it of another subject; labels of classes that it does not know are -1."""
        x: Outputs = getattr(self, part)
        return x.with_head(head)


def subject(
    role: str, name: str, classes: Sequence[str], splits: Mapping[str, Outputs], zero_shot: Head | None, seed: int
) -> Subject:
    """Make a subject of the splits that a set has: train, val and test; train and test; or test alone.

    `splits` holds features (n, d) with labels. What is missing is drawn stratified from train, or from test where that
    is all there is: three fifths to learn from, a fifth to calibrate on, a fifth to test on.
    """
    for split, x in splits.items():
        if x.features is None or x.labels is None or bool((x.labels < 0).any()):
            raise DataError(f"{name}: expected labelled features of its {split} images, to learn a head from")
    parts, said = dict(splits), "its own train, val and test"
    if "train" not in parts:
        rest, parts["test"] = _drawn(name, parts["test"], OF_TEST, seed)
        parts["train"], parts["val"] = _drawn(name, rest, OF_TEST / (1 - OF_TEST), seed)
        said = "60, 20 and 20 % of its test"
    elif "val" not in parts:
        parts["train"], parts["val"] = _drawn(name, parts["train"], VAL_OF_TRAIN, seed)
        said = "90 and 10 % of its train; its own test"
    return Subject(role, name, tuple(classes), parts["train"], parts["val"], parts["test"], zero_shot, said)


def _drawn(name: str, x: Outputs, share: float, seed: int) -> tuple[Outputs, Outputs]:
    """Split off a share, stratified by class."""
    from sklearn.model_selection import train_test_split

    assert x.labels is not None
    try:
        kept, taken = train_test_split(
            np.arange(len(x)), test_size=share, random_state=seed, stratify=x.labels.cpu().numpy()
        )
    except ValueError as error:
        raise DataError(f"{name}: too few images of a class to split: {' '.join(str(error).split())}") from None
    return x[np.sort(kept)], x[np.sort(taken)]
