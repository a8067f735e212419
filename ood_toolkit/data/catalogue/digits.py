"""`digits`: scikit-learn's bundled handwritten digits, split stratified with seed 0."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ood_toolkit.api.dataset import DataSet, Pictures
from ood_toolkit.api.picture import pixels
from ood_toolkit.errors import DataError

if TYPE_CHECKING:
    from numpy import ndarray

__all__ = ["DIGITS"]

CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COUNTS = {"train": 1077, "val": 360, "test": 360}


def split_rows(labels: ndarray, split: str) -> ndarray:
    """Give the sorted row numbers, (n,) int64, of one split of scikit-learn's 1,797 images."""
    import numpy as np
    from sklearn.model_selection import train_test_split

    rows = np.arange(len(labels))
    rest, test = train_test_split(rows, test_size=COUNTS["test"], random_state=0, stratify=labels)
    train, val = train_test_split(rest, test_size=COUNTS["val"], random_state=0, stratify=labels[rest])
    return np.sort({"train": train, "val": val, "test": test}[split])


def open_digits(split: str, root: Path | None = None) -> Pictures:
    """Open a split as 8x8 grey images, white strokes on black, 0 to 255; raises `DataError` for another."""
    if split not in COUNTS:
        raise DataError(f"digits has no split {split!r}: use one of {', '.join(COUNTS)}")
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    source = load_digits()
    rows = split_rows(source.target, split)
    grey = np.rint(source.images[rows] * (255 / 16)).astype(np.uint8)  # the source counts 0 to 16
    return Pictures(
        items=pixels([Image.fromarray(picture) for picture in grey]),
        ids=tuple(f"digits/{row:04d}" for row in rows),
        labels=source.target[rows].astype(np.int64),
        classes=CLASSES,
    )


DIGITS = DataSet(
    name="digits",
    description="Handwritten digits, 8x8 grey, bundled with scikit-learn.",
    open=open_digits,
    counts=COUNTS,
    classes=CLASSES,
    templates=(
        "a photo of a {}",
        "a photo of the digit {}",
        "a handwritten {}",
        "the number {}",
        "a picture of a {}",
    ),
    licence="CC BY 4.0",
    source="Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998; doi:10.24432/C50P49",
    embedded=True,
    drawn_by=("scikit-learn", "numpy", "pillow"),
    notes=("The test part of the UCI set, split again: 1,077 train, 360 val, 360 test, stratified, seed 0.",),
)
