"""ood_toolkit: tells which inputs a CLIP-type classifier should not be trusted on.

Encode once, score with everything, decide with calibrated thresholds, and trust the number. Names are imported when
first used, so that `import ood_toolkit` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ood_toolkit.version import __version__

if TYPE_CHECKING:
    from ood_toolkit.combiner import Combiner as Combiner
    from ood_toolkit.combiner import Scored as Scored
    from ood_toolkit.detector import Detector as Detector
    from ood_toolkit.detector import fit as fit
    from ood_toolkit.detector import score as score
    from ood_toolkit.errors import DataError as DataError
    from ood_toolkit.errors import DetectorError as DetectorError
    from ood_toolkit.errors import MetricError as MetricError
    from ood_toolkit.errors import ModelError as ModelError
    from ood_toolkit.errors import NotFittedError as NotFittedError
    from ood_toolkit.errors import NotSavableError as NotSavableError
    from ood_toolkit.errors import OodkitError as OodkitError
    from ood_toolkit.errors import OutputsError as OutputsError
    from ood_toolkit.errors import PluginError as PluginError
    from ood_toolkit.errors import ScorerError as ScorerError
    from ood_toolkit.errors import SpecError as SpecError
    from ood_toolkit.errors import StoreError as StoreError
    from ood_toolkit.head import Bank as Bank
    from ood_toolkit.head import Head as Head
    from ood_toolkit.hookspecs import hookimpl as hookimpl
    from ood_toolkit.members import Member as Member
    from ood_toolkit.outputs import Outputs as Outputs
    from ood_toolkit.report import Report as Report
    from ood_toolkit.runner import bench as bench
    from ood_toolkit.scorer import Prompts as Prompts
    from ood_toolkit.scorer import Scorer as Scorer
    from ood_toolkit.stream import StreamScorer as StreamScorer

HOME = {
    "Bank": "head",
    "Combiner": "combiner",
    "Detector": "detector",
    "Head": "head",
    "Member": "members",
    "OodkitError": "errors",
    "DataError": "errors",
    "DetectorError": "errors",
    "MetricError": "errors",
    "ModelError": "errors",
    "NotFittedError": "errors",
    "NotSavableError": "errors",
    "OutputsError": "errors",
    "PluginError": "errors",
    "ScorerError": "errors",
    "SpecError": "errors",
    "StoreError": "errors",
    "Outputs": "outputs",
    "Prompts": "scorer",
    "Report": "report",
    "Scored": "combiner",
    "Scorer": "scorer",
    "StreamScorer": "stream",
    "bench": "runner",
    "fit": "detector",
    "hookimpl": "hookspecs",
    "score": "detector",
}

__all__ = [*sorted(HOME), "__version__", "metrics"]


def __getattr__(name: str) -> Any:
    if name in HOME:
        return getattr(import_module(f"ood_toolkit.{HOME[name]}"), name)
    if name == "metrics":
        return import_module("ood_toolkit.metrics")
    raise AttributeError(f"module 'ood_toolkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *HOME, "metrics"])
