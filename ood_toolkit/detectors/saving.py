"""The fields of a detector to and from its file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor

import ood_toolkit
from ood_toolkit.api.component import Component
from ood_toolkit.api.registry import get_registry
from ood_toolkit.api.stream import each_alone
from ood_toolkit.detectors.calibration import Calibration
from ood_toolkit.detectors.file import FORMAT, FORMATS, flatten, head_of, head_state, read, unflatten
from ood_toolkit.detectors.probe import Probe
from ood_toolkit.detectors.rows import Rows
from ood_toolkit.errors import DetectorError, NotSavableError, OodkitError, PluginError, SpecError
from ood_toolkit.scorers.scores import STREAM
from ood_toolkit.store.foreign.guard import reason, shown

__all__ = ["laid_out", "restored"]


def laid_out(known: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Give the header and the arrays of a detector's fields; `NotSavableError` where it cannot be written."""
    arrays: dict[str, Tensor] = {}
    head, rows, probe, cuts = known["head"], known["rows"], known["probe"], known["class_thresholds"]
    scorer, names, calibration = known["scorer"], known["class_names"], known["calibration"]
    about = {
        "format": FORMAT,
        "spec": scorer.spec,
        "threshold": repr(float(known["threshold"])),
        "rule": known["rule"],
        "state": flatten(scorer.state(), "state", arrays),
        "head": None if head is None else flatten(head_state(head), "head", arrays),
        "classes": known["classes"],
        "width": known["width"],
        "notes": list(known["notes"]),
        "class_names": None if names is None else list(names),
        "class_thresholds": None if cuts is None else flatten(cuts, "thresholds", arrays),
        "encoder": dict(known["encoder"]),
        "calibration": None if calibration is None else calibration.to_dict(),
        "rows": None if rows is None else flatten(_rows_state(rows), "rows", arrays),
        "probe": None if probe is None else flatten({"x": probe.arrays, "scores": probe.scores}, "probe", arrays),
        "versions": {"ood-toolkit": ood_toolkit.__version__, **_plugins(scorer)},
    }
    return about, arrays


def _rows_state(rows: Rows) -> dict[str, np.ndarray]:
    held = {"score": rows.score, "place": rows.place, "prediction": rows.prediction, "label": rows.label}
    return {name: array for name, array in held.items() if array is not None}


def _components(scorer: Component) -> Iterator[Component]:
    yield scorer
    for value in scorer.parameters().values():
        if isinstance(value, Component):
            yield from _components(value)


def _plugins(scorer: Component) -> dict[str, str]:
    """Name the plugins that the scorer, and those inside it, come from, with their versions."""
    registry, found = get_registry(), {}
    for one in _components(scorer):
        known = one.name in registry.names("scorers") and registry.get("scorers", one.name) is type(one)
        if not known:
            raise NotSavableError(
                f"{one.name}: {type(one).__name__} is no registered scorer, so no one could load it; register it "
                "in a plugin (docs/write-a-scorer.md)"
            )
        owner = registry.provider("scorers", one.name)
        version = next(plugin.version for plugin in registry.plugins if plugin.name == owner)
        if owner != "built-in":
            found[owner] = version
    return found


def restored(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the fields of a detector from its file; `DetectorError` in one line where they cannot be had."""
    about, arrays = read(path)
    try:
        made = _fields(about, arrays)
    except (SpecError, PluginError) as error:
        if about.get("format") == FORMATS[0]:
            raise
        raise DetectorError(f"{path}: {_missing(about)}{error}") from None
    except OodkitError as error:
        raise DetectorError(f"{path}: damaged: {error}") from None
    except Exception as error:  # whatever a damaged or hostile file makes fail
        raise DetectorError(
            f"{path}: damaged; expected a detector written by Detector.save, got {reason(error)}"
        ) from None
    if made["probe"] is not None:
        try:
            made["probe"].check(made["scorer"], made["head"], made["class_names"])
        except DetectorError as error:
            raise DetectorError(f"{path}: {error}{_with_versions(about)}") from None
    return made


def _missing(about: Mapping[str, Any]) -> str:
    """Name the plugins that a file needs and that are not here."""
    here = {plugin.name for plugin in get_registry().plugins if not plugin.error}
    lacking = [f"{name!r} {v}" for name, v in _versions(about).items() if name not in (*here, "ood-toolkit")]
    return f"needs the plugin {' and '.join(lacking)}, which is not here; install it: " if lacking else ""


def _versions(about: Mapping[str, Any]) -> dict[str, str]:
    versions = about.get("versions")
    return {shown(str(k), 40): shown(str(v), 40) for k, v in versions.items()} if isinstance(versions, Mapping) else {}


def _with_versions(about: Mapping[str, Any]) -> str:
    return f" ({', '.join(f'{name} {version}' for name, version in _versions(about).items())})"


def _fields(about: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> dict[str, Any]:
    blank = each_alone(get_registry().scorer(str(about["spec"])), STREAM)
    state, cut = unflatten(about["state"], arrays), float(about["threshold"])
    strange = [key for key in state if not key.endswith("_") or key.startswith("_")]
    if strange or cut != cut:
        raise ValueError(f"state {strange[0]!r}" if strange else "threshold NaN")
    names = about.get("class_names")
    made = {
        "scorer": type(blank).from_state(state, **blank.parameters()),
        "threshold": cut,
        "rule": str(about["rule"]),
        "head": None if about["head"] is None else head_of(unflatten(about["head"], arrays)),
        "classes": about["classes"],
        "width": about["width"],
        "notes": tuple(str(note) for note in about["notes"]),
        "class_names": None if names is None else tuple(str(name) for name in names),
        "probe": None,
    }
    return made if about["format"] == FORMATS[0] else made | _record(about, arrays)


def _record(about: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> dict[str, Any]:
    """Give what format 2 has beyond format 1."""

    def held(name: str) -> Any:
        return None if about[name] is None else unflatten(about[name], arrays)

    rows, probe, cuts = held("rows"), held("probe"), held("class_thresholds")
    if cuts is not None and (cuts.shape != (about["classes"],) or np.isnan(cuts).any()):
        raise ValueError(f"class thresholds of shape {cuts.shape}")
    return {
        "class_thresholds": cuts,
        "encoder": dict(about["encoder"]),
        "calibration": None if about["calibration"] is None else Calibration.from_dict(about["calibration"]),
        "rows": None if rows is None else Rows(**rows),
        "probe": None if probe is None else Probe(probe["x"], probe["scores"]),
    }
