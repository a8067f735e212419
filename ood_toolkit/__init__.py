"""ood_toolkit: tells which inputs a CLIP-type classifier should not be trusted on.

Encode once, score with everything, decide with calibrated thresholds, and trust the number. Everything that a program
or a plugin needs is here or in `ood_toolkit.metrics`, `ood_toolkit.testing` and `ood_toolkit.errors`. Names are
imported when first used, so that `import ood_toolkit` costs nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as that of `typing`, whose import takes a while
if TYPE_CHECKING:
    from typing import Any

    from ood_toolkit.api.combiner import Combiner as Combiner
    from ood_toolkit.api.combiner import Scored as Scored
    from ood_toolkit.api.dataset import DataSet as DataSet
    from ood_toolkit.api.dataset import Pictures as Pictures
    from ood_toolkit.api.hookspecs import hookimpl as hookimpl
    from ood_toolkit.api.model import Model as Model
    from ood_toolkit.api.model import ModelEntry as ModelEntry
    from ood_toolkit.api.picture import FilePicture as FilePicture
    from ood_toolkit.api.picture import Picture as Picture
    from ood_toolkit.api.picture import pixels as pixels
    from ood_toolkit.api.prompts import Mining as Mining
    from ood_toolkit.api.prompts import Prompts as Prompts
    from ood_toolkit.api.prompts import TextBank as TextBank
    from ood_toolkit.api.registry import get_registry as get_registry
    from ood_toolkit.api.scorer import Scorer as Scorer
    from ood_toolkit.api.scorer import between as between
    from ood_toolkit.api.scorer import given as given
    from ood_toolkit.api.scorer import not_negative as not_negative
    from ood_toolkit.api.scorer import positive as positive
    from ood_toolkit.api.spec import format_value as format_value
    from ood_toolkit.api.spec import nearest as nearest
    from ood_toolkit.api.stream import StreamScorer as StreamScorer
    from ood_toolkit.benchmark.members import Member as Member
    from ood_toolkit.benchmark.runner import bench as bench
    from ood_toolkit.detectors.decisions import Decisions as Decisions
    from ood_toolkit.detectors.detector import Detector as Detector
    from ood_toolkit.detectors.gate import Gate as Gate
    from ood_toolkit.detectors.monitor import Monitor as Monitor
    from ood_toolkit.errors import AbsentError as AbsentError
    from ood_toolkit.errors import DataError as DataError
    from ood_toolkit.errors import DetectorError as DetectorError
    from ood_toolkit.errors import MetricError as MetricError
    from ood_toolkit.errors import ModelError as ModelError
    from ood_toolkit.errors import NotFittedError as NotFittedError
    from ood_toolkit.errors import NotSavableError as NotSavableError
    from ood_toolkit.errors import OodkitError as OodkitError
    from ood_toolkit.errors import OutputsError as OutputsError
    from ood_toolkit.errors import PluginError as PluginError
    from ood_toolkit.errors import RowError as RowError
    from ood_toolkit.errors import ScorerError as ScorerError
    from ood_toolkit.errors import SpecError as SpecError
    from ood_toolkit.errors import StoreError as StoreError
    from ood_toolkit.errors import TrainingError as TrainingError
    from ood_toolkit.errors import UsageError as UsageError
    from ood_toolkit.learning.heads.recipe import HeadRecipe as HeadRecipe
    from ood_toolkit.learning.heads.recipe import find_recipe as find_recipe
    from ood_toolkit.learning.heads.train import train_head as train_head
    from ood_toolkit.models.describe import describe_model as describe_model
    from ood_toolkit.models.names import find_model as find_model
    from ood_toolkit.outputs.head import Bank as Bank
    from ood_toolkit.outputs.head import Head as Head
    from ood_toolkit.outputs.head import normalise as normalise
    from ood_toolkit.outputs.outputs import Outputs as Outputs
    from ood_toolkit.report.report import Report as Report
    from ood_toolkit.report.run_folder import Run as Run
    from ood_toolkit.report.run_folder import read_run as read_run
    from ood_toolkit.scorers.families.margin import Margin as Margin
    from ood_toolkit.scorers.scores import fit as fit
    from ood_toolkit.scorers.scores import score as score

__version__ = "0.1.0"

HOME = {
    "AbsentError": "errors",
    "Bank": "outputs.head",
    "Combiner": "api.combiner",
    "DataError": "errors",
    "DataSet": "api.dataset",
    "Decisions": "detectors.decisions",
    "Detector": "detectors.detector",
    "DetectorError": "errors",
    "FilePicture": "api.picture",
    "Gate": "detectors.gate",
    "Head": "outputs.head",
    "HeadRecipe": "learning.heads.recipe",
    "Margin": "scorers.families.margin",
    "Member": "benchmark.members",
    "MetricError": "errors",
    "Mining": "api.prompts",
    "Model": "api.model",
    "ModelEntry": "api.model",
    "ModelError": "errors",
    "Monitor": "detectors.monitor",
    "NotFittedError": "errors",
    "NotSavableError": "errors",
    "OodkitError": "errors",
    "Outputs": "outputs.outputs",
    "OutputsError": "errors",
    "Picture": "api.picture",
    "Pictures": "api.dataset",
    "PluginError": "errors",
    "Prompts": "api.prompts",
    "Report": "report.report",
    "RowError": "errors",
    "Run": "report.run_folder",
    "Scored": "api.combiner",
    "Scorer": "api.scorer",
    "ScorerError": "errors",
    "SpecError": "errors",
    "StoreError": "errors",
    "StreamScorer": "api.stream",
    "TextBank": "api.prompts",
    "TrainingError": "errors",
    "UsageError": "errors",
    "bench": "benchmark.runner",
    "between": "api.scorer",
    "describe_model": "models.describe",
    "find_model": "models.names",
    "find_recipe": "learning.heads.recipe",
    "fit": "scorers.scores",
    "format_value": "api.spec",
    "get_registry": "api.registry",
    "given": "api.scorer",
    "hookimpl": "api.hookspecs",
    "nearest": "api.spec",
    "normalise": "outputs.head",
    "not_negative": "api.scorer",
    "pixels": "api.picture",
    "positive": "api.scorer",
    "read_run": "report.run_folder",
    "score": "scorers.scores",
    "train_head": "learning.heads.train",
}
"""Public names, and the module of this package that each is defined in."""
FOLDERS = ("errors", "metrics", "testing")

__all__ = [*sorted(HOME), "__version__", "errors", "metrics", "testing"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in HOME:
        return getattr(import_module(f"ood_toolkit.{HOME[name]}"), name)
    if name in FOLDERS:
        return import_module(f"ood_toolkit.{name}")
    raise AttributeError(f"module 'ood_toolkit' has no attribute {name!r}{_hint(name)}")


def _hint(name: str) -> str:
    from ood_toolkit.api.spec import nearest

    hint = "" if name.startswith("_") else nearest(name, [*HOME, *FOLDERS])
    return f"; {hint}" if hint.startswith("did you mean") else ""


def __dir__() -> list[str]:
    return sorted(__all__)
