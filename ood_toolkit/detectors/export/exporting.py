"""`export`: from a detector's file to an ONNX file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import ood_toolkit
from ood_toolkit.api.model import Model
from ood_toolkit.api.registry import get_registry
from ood_toolkit.detectors.detector import Detector
from ood_toolkit.detectors.export.graph import OUTPUTS, Graph
from ood_toolkit.detectors.export.onnx_file import check_extra, write
from ood_toolkit.detectors.export.scores import score_of
from ood_toolkit.detectors.file import writable
from ood_toolkit.detectors.gate import Gate
from ood_toolkit.errors import DetectorError, OodkitError
from ood_toolkit.models.names import find_model

__all__ = ["Exported", "export"]

ROWS = 3
"""Pictures of noise that the file is tried on."""


@dataclass(frozen=True)
class Exported:
    """What was written."""

    path: Path
    digest: str
    """Of the detector."""
    input: str
    shape: tuple[int, ...]
    """Of one row."""
    note: str
    """Why no pixels go in; "" where they do, or where that was asked."""

    @property
    def lines(self) -> tuple[str, str]:
        """What there is to tell of it."""
        shape, size = ", ".join(map(str, ("n", *self.shape))), self.path.stat().st_size
        told = f"{self.path}: {size:,} bytes, detector {self.digest}"
        return told, f"{self.input} ({shape}) float32 in, {', '.join(OUTPUTS)} out"


def export(
    file: Path, out: Path, *, inputs: str | None = None, model: str | None = None, download: bool = False
) -> Exported:
    """Write the detector of a file as one ONNX graph, whole or not at all.

    `inputs` is pixels or features, None for pixels where the model can be loaded; `model` names it where it lies
    elsewhere now. `DetectorError` for a scorer that cannot be exported, and where onnxruntime decides otherwise.
    """
    check_extra()
    target = writable(out)
    if target.exists() and target.samefile(file):
        raise DetectorError(f"{out}: is the detector itself; give another name to write to")
    detector = Detector.load(file)
    score_of(detector.scorer, detector.head)  # refused before a model is loaded
    tower, note = _model(file, detector, inputs, model, download)
    graph = Graph(detector, tower)
    sample = _rows(detector) if tower is None else _noise(tower)
    with torch.no_grad():
        rows = sample if tower is None else tower.encode(sample, ("features",))["features"].float()
    expected = detector.decide_rows(rows, is_features=graph.width is not None)
    write(target, graph, sample, expected, _about(detector, graph, tower))
    return Exported(target, detector.digest, graph.input, tuple(sample.shape[1:]), note)


def _model(
    file: Path, detector: Detector, inputs: str | None, name: str | None, download: bool
) -> tuple[Model | None, str]:
    """Give the model whose pixels go in; None, and why, where none can be loaded and pixels were not asked for."""
    if inputs == "features":
        return None, ""
    if name is not None:
        found: object = Gate(find_model(name, get_registry(), download=download).load(), detector).model
    else:
        try:
            found = Gate.load(file, download=download).model
        except OodkitError as error:
            if inputs == "pixels":
                raise
            return None, f"no pixels go in: {error}"
    assert isinstance(found, Model)
    return found, ""


def _rows(detector: Detector) -> Tensor:
    """Give rows to try a graph on: calibration images, or noise where a file has none."""
    held = {} if detector.probe is None else detector.probe.arrays
    kept = held.get("logits" if detector.features_width is None else "features")
    if kept is not None and len(kept) > 1:
        return torch.as_tensor(kept).float()
    width = detector.features_width or detector.classes
    return torch.randn(ROWS, width, generator=torch.Generator().manual_seed(0))


def _noise(model: Model) -> Tensor:
    """Give pictures of noise as the model takes them, (n, c, h, w) float32."""
    from PIL import Image

    shape = model.preprocess(Image.new("RGB", (64, 64))).shape
    return torch.randn(ROWS, *shape, generator=torch.Generator().manual_seed(0))


def _about(detector: Detector, graph: Graph, model: Model | None) -> dict[str, str]:
    """Say what the graph is of; values beyond words are JSON."""
    preprocessing = detector.encoder.get("preprocessing") if model is None else dict(model.preprocessing)
    named = detector.class_names or tuple(map(str, range(detector.classes)))
    known = {
        "version": ood_toolkit.__version__,
        "digest": detector.digest,
        "scorer": detector.scorer.spec,
        "rule": detector.rule,
        "threshold": "one for each predicted class" if graph.by_class else repr(detector.threshold),
        "class_names": json.dumps(named),
        "inputs": graph.input,
        "model": str(detector.encoder.get("model", "") if model is None else model.name),
        "weights": str(detector.encoder.get("weights", "") if model is None else model.fingerprint),
        "preprocessing": json.dumps(preprocessing, default=str),
    }
    return {f"oodkit.{name}": text for name, text in known.items()}
