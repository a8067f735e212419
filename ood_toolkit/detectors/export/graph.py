"""`Graph`: image tower, head, score and thresholds of a detector as one torch module."""

from __future__ import annotations

from math import inf, nan

import torch
from torch import Tensor, nn

from ood_toolkit.api.model import Model
from ood_toolkit.detectors.detector import Detector
from ood_toolkit.detectors.export.scores import Linear, Rows, score_of
from ood_toolkit.errors import DetectorError

__all__ = ["OUTPUTS", "Graph"]

OUTPUTS = ("prediction", "confidence", "score", "accepted")
"""What comes out, in this order, each (n,): int64, float64, float64, bool."""


class Tower(nn.Module):
    """The image tower of a model: preprocessed pixels (n, c, h, w) to features (n, d)."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        if model.precision != "fp32":
            raise DetectorError(
                f"{model.name}: computes in {model.precision}, which other runtimes round otherwise; --inputs features "
                "exports what comes after it"
            )
        self.model = model
        for name, part in vars(model).items():
            if isinstance(part, nn.Module):
                self.add_module(f"tower_{name}", part)

    def forward(self, pixels: Tensor) -> Tensor:
        """Give the features."""
        return self.model.encode(pixels, ("features",))["features"].float()


class Graph(nn.Module):
    """What a detector says of a batch, as tensors: `OUTPUTS`.

    A row that cannot be scored is rejected as `Detector.decide` does: score and confidence NaN, prediction -1.
    """

    cuts: Tensor

    def __init__(self, detector: Detector, model: Model | None = None) -> None:
        """Take a detector, and the model whose pixels go in; `DetectorError` for what cannot be exported."""
        super().__init__()
        self.score = score_of(detector.scorer, detector.head)
        self.tower = None if model is None else Tower(model)
        self.head = None if detector.head is None else Linear(detector.head)
        self.has_logits, self.width = detector.classes > 0, detector.features_width
        self.unit_rows = detector.head is not None and detector.head.takes_embeddings
        if self.width is None and "features" in detector.scorer.needs:
            raise DetectorError(
                f"{detector.scorer.spec}: fitted on features and logits side by side, without a head that makes the "
                "one of the other; fit it on outputs with their head"
            )
        if self.width is None and model is not None:
            raise DetectorError(
                f"{detector.scorer.spec}: fitted on logits without a head, which pixels of {model.name} do not lead "
                "to; --inputs features takes the logits"
            )
        own = detector.class_thresholds
        cuts = [detector.threshold] if own is None else own.tolist()
        self.register_buffer("cuts", torch.tensor(cuts, dtype=torch.float64))
        self.by_class = own is not None
        self.classes = detector.classes

    @property
    def input(self) -> str:
        """What goes in: pixels, features, or logits where the detector was fitted on these alone."""
        return "pixels" if self.tower is not None else "logits" if self.width is None else "features"

    def forward(self, given: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Give prediction, confidence, score and whether it is accepted, each (n,)."""
        features = given if self.tower is None else self.tower(given)
        usable = (features.abs() < inf).all(dim=1)
        if self.unit_rows:
            usable = usable & (features != 0).any(dim=1)
        rows = Rows(features, self.head)
        if self.has_logits:
            prediction = torch.where(usable, rows.softmax.index, -1)
            confidence = torch.where(usable, rows.softmax.confidence, nan)
            cut = self.cuts[rows.softmax.index] if self.by_class else self.cuts
        else:
            prediction = torch.full_like(usable, -1, dtype=torch.int64)
            confidence, cut = torch.full_like(usable, nan, dtype=torch.float64), self.cuts
        score = self.score(rows)
        score = torch.where(usable & (score.abs() < inf), score, nan)
        return prediction, confidence, score, score >= cut
