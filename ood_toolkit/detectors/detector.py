"""`Detector`: a fitted scorer with its threshold, for one model; decides, saves, loads."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ood_toolkit.api.registry import get_registry
from ood_toolkit.api.scorer import Scorer
from ood_toolkit.api.stream import each_alone
from ood_toolkit.errors import DetectorError, OodkitError, ScorerError
from ood_toolkit.outputs import Outputs, as_outputs
from ood_toolkit.outputs.arrays import ArrayLike
from ood_toolkit.outputs.head import Bank, Head
from ood_toolkit.scorers.calibration import calibration_scores
from ood_toolkit.scorers.scores import STREAM, check_needs, scores_of
from ood_toolkit.scorers.thresholds import check_rule, threshold

__all__ = ["Detector"]

FORMAT = "oodkit-detector-1"


@dataclass(frozen=True, eq=False)
class Detector:
    """A fitted scorer, the threshold from which it says "in-distribution", and the head it was fitted with."""

    scorer: Scorer
    threshold: float
    rule: str
    head: Head | None
    classes: int
    width: int | None
    """Width of the features, where there were any."""
    notes: tuple[str, ...] = ()
    class_names: tuple[str, ...] | None = None

    @classmethod
    def fit(
        cls,
        scorer: str | Scorer,
        val: Outputs,
        train: Outputs | None = None,
        rule: str = "tpr",
        target: float = 0.95,
    ) -> Detector:
        """Fit a scorer on ID outputs and its threshold on ID validation.

        A scorer that decides by itself (a margin) keeps its own threshold of 0; for others `rule` and `target` give
        one: tpr, mean, f1, youden, conformal. Where the scorer learns from validation the threshold is from
        cross-fitted scores (`calibration_scores`), and a note says so. Raises `ScorerError` where a need is unmet.
        """
        made, val = each_alone(get_registry().scorer(scorer), STREAM), as_outputs(val, "val")
        check_needs(made, val, val, train)
        check_rule(rule, target)
        if made.threshold is not None and (rule, target) != ("tpr", 0.95):
            raise ScorerError(
                f"{made.spec}: decides by itself; give rule and target to the scorer, such as classwise:rule={rule}"
            )
        fitted = made.clone().fit(val, train)
        found, notes = made.threshold, tuple(getattr(fitted, "notes_", ()))
        if found is None:
            known = calibration_scores(made, val, train, fitted)
            found, said = threshold(rule, known.scores, val.right, target)
            notes += known.notes + said
        width = None if val.features is None else val.features.shape[1]
        return cls(fitted, float(found), rule, val.head, val.classes, width, notes, val.class_names)

    def score(self, x: Outputs | ArrayLike) -> np.ndarray:
        """Score outputs of the same model: (n,) float64, higher = more in-distribution."""
        return scores_of(self.scorer, self._same_model(x))

    def predict(self, x: Outputs | ArrayLike) -> np.ndarray:
        """Decide for each image: (n,) bool, True = in-distribution."""
        return self.score(x) >= self.threshold

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one safetensors file with JSON metadata, whole or not at all; `NotSavableError` if it cannot be."""
        from safetensors.torch import save_file

        arrays: dict[str, Tensor] = {}
        about = {
            "format": FORMAT,
            "spec": self.scorer.spec,
            "threshold": repr(self.threshold),
            "rule": self.rule,
            "state": _flatten(self.scorer.state(), "state", arrays),
            "head": None if self.head is None else _flatten(_head_state(self.head), "head", arrays),
            "classes": self.classes,
            "width": self.width,
            "notes": list(self.notes),
            "class_names": None if self.class_names is None else list(self.class_names),
        }
        target = Path(path)
        if not target.parent.is_dir():
            raise DetectorError(f"{target}: its folder does not exist; make it first")
        handle, partial = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        os.close(handle)
        try:
            save_file(arrays, partial, {"oodkit": json.dumps(about)})
            with open(partial, "rb") as file:
                os.fsync(file.fileno())
            os.replace(partial, target)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Detector:
        """Read what `save` wrote, to the CPU; the scorer's class is found by its registered name."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                about = json.loads((file.metadata() or {})["oodkit"])
                arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
        except FileNotFoundError:
            raise DetectorError(f"{path}: no such file; expected a detector written by Detector.save") from None
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise DetectorError(f"{path}: expected a detector written by Detector.save, got {error}") from None
        found = about.get("format") if isinstance(about, dict) else about
        if found != FORMAT:
            raise DetectorError(f"{path}: expected format {FORMAT}, got {found}; written by another version")
        try:
            return cls._restored(about, arrays)
        except OodkitError:
            raise
        except Exception as error:  # whatever a damaged or hostile file makes fail
            said = " ".join(f"{type(error).__name__}: {error}".split())
            raise DetectorError(f"{path}: damaged; expected a detector written by Detector.save, got {said}") from None

    @classmethod
    def _restored(cls, about: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> Detector:
        blank = each_alone(get_registry().scorer(str(about["spec"])), STREAM)
        state, cut = _unflatten(about["state"], arrays), float(about["threshold"])
        strange = [key for key in state if not key.endswith("_") or key.startswith("_")]
        if strange or cut != cut:
            raise ValueError(f"state {strange[0]!r}" if strange else "threshold NaN")
        fitted = type(blank).from_state(state, **blank.parameters())
        head = None if about["head"] is None else _head_of(_unflatten(about["head"], arrays))
        notes = tuple(str(note) for note in about["notes"])
        names = None if about.get("class_names") is None else tuple(str(name) for name in about["class_names"])
        return cls(fitted, cut, str(about["rule"]), head, about["classes"], about["width"], notes, names)

    def _same_model(self, x: Outputs | ArrayLike) -> Outputs:
        """Take outputs of the model that this was fitted on, or its features (n, d), or else its logits (n, k)."""
        if not isinstance(x, Outputs) and self.head is not None and np.shape(x)[-1:] == (self.head.width,):
            x = Outputs(features=x)
        x = as_outputs(x)
        width = None if x.features is None else x.features.shape[1]
        if x.head is None and self.head is not None and width == self.head.width and not x.classes:
            return x.with_head(self.head)
        fitted = None if self.head is None else self.head.fingerprint
        other_head = x.head is not None and x.head.fingerprint != fitted
        other_names = None not in (x.class_names, self.class_names) and x.class_names != self.class_names
        other_width = None not in (width, self.width) and width != self.width
        if other_head or other_names or other_width or x.classes != self.classes:
            what = "class names" if other_names else "a head" if other_head else "sizes"
            raise DetectorError(
                f"{self.scorer.spec}: fitted on outputs with {self.classes} classes and width {self.width}; these have "
                f"{x.classes} and {width}, and other {what.removeprefix('a ')}: they are of another model"
            )
        return x


def _head_state(head: Head) -> dict[str, Any]:
    banks = {
        name: {"embeddings": bank.embeddings, "texts": None if bank.texts is None else list(bank.texts)}
        for name, bank in head.banks.items()
    }
    names = list(head.class_names)
    return {
        "kind": head.kind,
        "weight": head.weight,
        "bias": head.bias,
        "names": names,
        "scale": head.scale,
        "banks": banks,
        "unit_rows": head.unit_rows,
    }


def _head_of(state: Mapping[str, Any]) -> Head:
    banks = {
        name: Bank(bank["embeddings"], None if bank["texts"] is None else tuple(bank["texts"]))
        for name, bank in state["banks"].items()
    }
    unit_rows = bool(state.get("unit_rows", False))  # not in files of before there were such heads
    names = tuple(state["names"])
    return Head(state["kind"], state["weight"], state["bias"], names, state["scale"], banks, unit_rows)


def _flatten(value: Any, key: str, arrays: dict[str, Tensor]) -> Any:
    """Give JSON in which each array is a reference to its place among the tensors of the file."""
    if isinstance(value, Tensor | np.ndarray):
        arrays[key] = torch.as_tensor(value).detach().cpu().contiguous().clone()
        return {"array": key, "numpy": isinstance(value, np.ndarray)}
    if isinstance(value, Mapping):
        return {"items": {str(k): _flatten(v, f"{key}.{k}", arrays) for k, v in value.items()}}
    if isinstance(value, list | tuple):
        return [_flatten(v, f"{key}.{i}", arrays) for i, v in enumerate(value)]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise DetectorError(f"{key}: a state holds arrays, strings, numbers, lists and dicts, got {type(value).__name__}")


def _unflatten(value: Any, arrays: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_unflatten(v, arrays) for v in value]
    if isinstance(value, dict) and "array" in value:
        array = arrays[value["array"]]
        return array.numpy() if value["numpy"] else array
    if isinstance(value, dict):
        return {k: _unflatten(v, arrays) for k, v in value["items"].items()}
    return value
