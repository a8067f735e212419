"""`ClassifierOptions`: what may follow the name of a classifier of torchvision or timm, each declared once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ood_toolkit.models.classifiers import IMAGENET, read_names
from ood_toolkit.models.weights import check_file
from ood_toolkit.store.foreign.places import place_of

__all__ = ["ClassifierOptions", "meanings"]


def _option(default: Any, meaning: str) -> Any:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, kw_only=True)
class ClassifierOptions:
    """The options of a classifier's name, as they were typed."""

    weights: str | None = _option(None, "a weights file")
    classes: str | None = _option(
        None, "a text file with the class names of a weights file, one a line, or imagenet-1k"
    )
    precision: str = _option("fp32", "fp32, bf16 or fp16: what the network computes in")
    resize: str | int | None = _option(None, "pixels that the shorter side is resized to before the crop, such as 256")
    interpolation: str | None = _option(None, "bicubic or bilinear")
    download: bool = _option(False, "get what is not on this machine")

    def checked(self) -> Path | None:
        """Give the weights file that was named, if one was; `ModelError` where it or the class names cannot be read."""
        if self.classes is not None and self.classes != IMAGENET:
            read_names(self.classes)
        if self.weights is None:
            return None
        check_file(place_of(self.weights))
        return place_of(self.weights)

    def files(self, weights: Path) -> list[Path]:
        """Name the files that decide what is loaded, the weights first."""
        return [weights, *([] if self.classes is None else [place_of(self.classes)])]


def meanings(weights: str) -> Mapping[str, str]:
    """Say what each option means; `weights` are those of one library."""
    return {one.name: one.metadata["meaning"] for one in fields(ClassifierOptions)} | {"weights": weights}
