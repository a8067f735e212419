"""The ONNX file of a graph: made, held against the detector under onnxruntime, and only then put in its place."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ood_toolkit.detectors.decisions import Decisions
from ood_toolkit.detectors.export.graph import OUTPUTS, Graph
from ood_toolkit.errors import DetectorError, UsageError, one_line
from ood_toolkit.store.files import replaced_file

__all__ = ["check_extra", "write"]

EXTRA = ("onnx", "onnxscript", "onnxruntime")
MOST_BYTES = 2**31 - 2**20
"""An ONNX file is one protobuf message, which holds less than 2 GiB."""
NEAR = 1e-3
"""How far a score may be from the detector's, of 1 + its size, before a file is refused."""


def check_extra() -> None:
    """Refuse in one line to go on without the packages of the extra."""
    lacking = [name for name in EXTRA if find_spec(name) is None]
    if lacking:
        raise UsageError(f"export: needs {', '.join(lacking)}: pip install 'ood-toolkit[onnx]'")


def write(path: Path, graph: Graph, sample: Tensor, expected: Decisions, about: Mapping[str, str]) -> None:
    """Write a graph with what is said about it; the file that is there stays until the new one is whole and right.

    `expected` is what the detector says of the sample (n, ...) float32, of at least two rows. `DetectorError` where
    torch cannot export the graph, where it is too large, or where onnxruntime decides otherwise.
    """
    size = sum(array.numel() * array.element_size() for array in graph.state_dict().values())
    if size > MOST_BYTES:
        raise DetectorError(
            f"{path}: the graph would hold {size / 2**30:.1f} GiB, and an ONNX file less than 2; --inputs features "
            "leaves the image tower out, and fewer training images make knn smaller"
        )
    made = _exported(graph, sample)
    made.model.metadata_props.update(about)
    with replaced_file(path) as partial:
        made.save(str(partial), external_data=False)
        _check(partial, graph.input, sample, expected)


def _exported(graph: Graph, sample: Tensor) -> Any:
    try:
        with torch.no_grad(), _quietly():
            return torch.onnx.export(
                graph.eval(), (sample,), dynamo=True, verbose=False, external_data=False,
                input_names=[graph.input], output_names=list(OUTPUTS),
                dynamic_shapes=({0: torch.export.Dim("n")},),
            )  # fmt: skip
    except Exception as error:  # the tower may be anybody's
        hint = "; --inputs features exports what comes after the image tower" if graph.tower is not None else ""
        raise DetectorError(f"export: torch cannot write this as ONNX: {one_line(error)[:200]}{hint}") from None


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep libraries from talking about their own insides, and attention in operations that ONNX has."""
    fast = torch.backends.mha.get_fastpath_enabled()
    level = logging.root.manager.disable
    torch.backends.mha.set_fastpath_enabled(False)
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        logging.disable(level)


def _check(path: Path, name: str, sample: Tensor, expected: Decisions) -> None:
    """Run what was written on the sample, and on one row of it; `DetectorError` where it is not what is expected."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    for rows in (len(sample), 1):
        found = session.run(["score"], {name: sample[:rows].numpy()})[0]
        apart = np.abs(found - expected.score[:rows])
        if not np.all((apart <= NEAR * (1 + np.abs(expected.score[:rows]))) | np.isnan(expected.score[:rows])):
            raise DetectorError(
                f"export: onnxruntime gives scores {np.nanmax(apart):.2g} apart from the detector's; nothing is written"
            )
