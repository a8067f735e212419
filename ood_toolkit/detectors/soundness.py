"""Whether a detector from a file can predict: its head fits together, and made-up outputs of its model get scores."""

from __future__ import annotations

import math
import os
from typing import Any, Protocol

import torch

from ood_toolkit.api.scorer import Scorer
from ood_toolkit.errors import DetectorError, OodkitError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.store.foreign.guard import guarded, quoted

__all__ = ["check_head", "check_predicts"]

ROWS = 3
MOST = 1 << 24
"""No detector has as many classes, and no features are as wide."""


class Predicting(Protocol):
    """What is looked at of a detector."""

    @property
    def scorer(self) -> Scorer:
        """The fitted scorer."""

    @property
    def threshold(self) -> float:
        """Its threshold."""

    @property
    def head(self) -> Head | None:
        """The head that it was fitted with."""

    @property
    def classes(self) -> int:
        """How many classes."""

    @property
    def width(self) -> int | None:
        """Width of the features."""

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the classes."""

    def predict(self, x: Outputs) -> Any:
        """Decide."""


def check_predicts(detector: Predicting, path: os.PathLike[str] | str) -> None:
    """Score made-up outputs of the model that a detector from a file is for; `DetectorError` where that fails."""
    where = f"{path}: damaged"
    for name, value in (("classes", detector.classes), ("width", detector.width)):
        known = value is None and name == "width"
        if not known and (not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < MOST):
            raise DetectorError(f"{where}; {name}: expected a whole number, got {quoted(value)}")
    if math.isnan(detector.threshold):
        raise DetectorError(f"{where}; threshold: expected a number, got {detector.threshold}")
    if detector.head is not None:
        check_head(detector.head, where)
        sizes, held = (detector.classes, detector.width), (detector.head.classes, detector.head.width)
        if sizes[0] != held[0] or sizes[1] not in (None, held[1]):
            raise DetectorError(f"{where}; its head is of {held[0]} classes and width {held[1]}, the rest of {sizes}")
    names = detector.class_names
    if names is not None and len(names) != detector.classes:
        raise DetectorError(f"{where}; class_names: expected {detector.classes}, got {len(names)}")
    with guarded(where, "a detector that predicts", DetectorError):
        try:
            x = _made_up(detector)
            if x is not None:
                detector.predict(x)
        except OodkitError as error:
            raise DetectorError(f"{where}; it cannot predict: {error}") from None


def check_head(head: Head, where: str) -> None:
    """Refuse, with a `DetectorError`, a head whose arrays, names and banks do not fit together."""
    weight, bias, names = head.weight, head.bias, head.class_names
    rows = [bank.embeddings for bank in head.banks.values()]
    if not all(isinstance(array, torch.Tensor) for array in (weight, bias, *rows)):
        raise DetectorError(f"{where}; head: expected tensors, got {type(weight).__name__} and {type(bias).__name__}")
    fits = weight.ndim == 2 and 0 not in weight.shape and tuple(bias.shape) == (len(weight),) == (len(names),)
    if not fits or head.kind not in ("linear", "zero_shot") or not all(isinstance(name, str) for name in names):
        raise DetectorError(
            f"{where}; head: expected weight (k, d), bias (k,) and k names, got {tuple(weight.shape)}, "
            f"{tuple(bias.shape)} and {len(names)}"
        )
    if not isinstance(head.scale, int | float) or not math.isfinite(head.scale) or head.scale <= 0:
        raise DetectorError(f"{where}; head: scale: expected a number above 0, got {quoted(head.scale)}")
    arrays: dict[str, Any] = {"weight": weight, "bias": bias}
    arrays |= {f"text:{name}": bank.embeddings for name, bank in head.banks.items()}
    for name, array in arrays.items():
        if not array.is_floating_point() or not bool(torch.isfinite(array).all()):
            raise DetectorError(f"{where}; head: {name}: expected finite numbers, got {array.dtype}")
    for name, bank in head.banks.items():
        texts = bank.embeddings
        words = None if bank.texts is None else len(bank.texts)
        if texts.ndim not in (2, 3) or texts.shape[-1] != head.width or not texts.numel():
            raise DetectorError(f"{where}; head: text:{name}: expected rows of width {head.width}, got {texts.shape}")
        if words not in (None, texts.shape[-2], texts.shape[:-1].numel()):
            raise DetectorError(f"{where}; head: text:{name}: expected {texts.shape[-2]} strings, got {words}")


def _made_up(detector: Predicting) -> Outputs | None:
    """Make outputs as the model gives them; None where a scorer needs more than features and logits."""
    head, width = detector.head, detector.width
    rows = None if width is None and head is None else _waves(width or (0 if head is None else head.width))
    logits = _waves(detector.classes) if head is None and detector.classes else None
    if rows is None and logits is None:
        raise DetectorError("expected features or classes, got neither")
    x = Outputs(features=rows, logits=logits, head=head, class_names=None if head else detector.class_names)
    return None if x.lacking(frozenset(detector.scorer.needs)) & _extras(detector) else x


def _extras(detector: Predicting) -> set[str]:
    return {need for need in detector.scorer.needs if need.startswith("extra:")}


def _waves(width: int) -> torch.Tensor:
    """Give (3, width) numbers above zero, each row in another direction."""
    return 1.5 + torch.sin(torch.arange(1.0, 1 + ROWS * width).reshape(ROWS, width) * 2.4)
