"""Preset files: TOML to `Preset`, with every key, number and source checked; an error is one line."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ood_toolkit.api.spec import nearest
from ood_toolkit.benchmark.presets.preset import UNKNOWN, Preset, PresetSet, Published
from ood_toolkit.errors import DataError
from ood_toolkit.models.preprocessing import INTERPOLATIONS
from ood_toolkit.store.foreign.guard import MIB, guarded, quoted, read_bytes, reason

__all__ = ["read_preset"]

METRICS = ("auroc", "fpr95_id", "fpr95_ood", "aupr_in", "aupr_out", "ap_in", "ap_out")
"""What a run measures under these names; a source that does not say its positive class has `UNSTATED` besides."""
LARGEST = 4 * MIB
MOST = 10**15
"""No count and no number of a preset is as large."""
CLASS_NAMES = ("imagenet-openai", "own")
AVERAGING = ("all sets", "near and far separately")
Check = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < MOST


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MOST


def _table(value: Any) -> bool:
    return isinstance(value, dict) and bool(value)


def _tables(value: Any) -> bool:
    return isinstance(value, list) and all(map(_table, value))


KEYS: Mapping[str, tuple[Check, str, bool]] = {
    "description": (_text, "a text", True),
    "sources": (lambda value: _texts(value) and bool(value), "a list of at least one text", True),
    "protocol": (_text, "the name of a protocol", True),
    "averaging": (lambda value: value in AVERAGING, " or ".join(map(repr, AVERAGING)), True),
    "class_names": (lambda value: value in CLASS_NAMES, " or ".join(CLASS_NAMES), True),
    "prompts": (
        lambda value: _texts(value) and all(text.count("{}") == 1 for text in value),
        "a list of templates with {} once in each",
        False,
    ),
    "resize": (_count, "a number of pixels", False),
    "interpolation": (lambda value: value in INTERPOLATIONS, " or ".join(INTERPOLATIONS), False),
    "val_split": (lambda value: _number(value) and 0 <= value < 1, "a share of at least 0 and less than 1", False),
    "scorers": (_text, "specs of scorers", False),
    "notes": (_texts, "a list of texts", False),
    "id": (_table, "a table with the name of a data set", True),
    "ood": (lambda value: _tables(value) and bool(value), "[[ood]], at least once", True),
    "csid": (_tables, "[[csid]] tables", False),
    "published": (_tables, "[[published]] tables", False),
}
"""The check of each key of a preset, what it wants in words, and whether it must be there."""
SET_KEYS: Mapping[str, tuple[Check, str, bool]] = {
    "name": (_text, "the name of a data set", True),
    "images": (_count, "a number of images", False),
}
ID_KEYS = {**SET_KEYS, "split": (lambda value: value == "test", "test, the split that is scored", False)}
OOD_KEYS = {**SET_KEYS, "group": (_text, "the name of a group such as near", False)}
PUBLISHED_KEYS: Mapping[str, tuple[Check, str, bool]] = {
    "method": (_text, "a text", True),
    "model": (_text, "a text", True),
    "source": (_text, "where the numbers stand", True),
    "protocol": (_text, f"the name of a protocol, or {UNKNOWN}", True),
    "values": (_table, "a table of metrics by OOD set", False),
    "means": (_table, "a table of metrics by group, or all", False),
    "scorer": (_text, "the spec of a scorer", False),
    "tolerance": (_table, "a table of auroc and fpr95 in points", False),
    "secondary": (lambda value: isinstance(value, bool), "true or false", False),
    "means_differ": (_text, "a reason", False),
    "note": (_text, "a text", False),
}


def read_preset(file: Path) -> Preset:
    """Read a preset, which is called as its file; `DataError` says in one line what is wrong with it."""
    with guarded(f"preset {file}", "a preset"):
        return _read(file)


def _read(file: Path) -> Preset:
    content = read_bytes(file, LARGEST)
    try:
        table = tomllib.loads(content.decode("utf-8-sig"))
    except ValueError as error:  # tomllib's own, of bytes that are no UTF-8, of numbers with thousands of digits
        raise DataError(f"preset {file}: not TOML in UTF-8: {reason(error)}") from None
    except RecursionError:
        raise DataError(f"preset {file}: not a preset: its tables are nested too deeply") from None
    where = f"preset {file.name}"
    _check(table, KEYS, where)
    _known_protocol(table["protocol"], where)
    _check(table["id"], ID_KEYS, f"{where}, id")
    for place, part in enumerate(table["ood"], 1):
        _check(part, OOD_KEYS, f"{where}, ood {place}")
    shifted = table.pop("csid", [])
    for place, part in enumerate(shifted, 1):
        _check(part, SET_KEYS, f"{where}, csid {place}")
    if len({part["name"] for part in table["ood"]}) < len(table["ood"]):
        raise DataError(f"{where}: expected each OOD set once, got one twice")
    listed = [part["name"] for part in (table["id"], *table["ood"], *shifted)]
    if shifted and len(set(listed)) < len(listed):
        raise DataError(f"{where}: expected each OOD and covariate-shifted set once, and not as ID, got one twice")
    sets = [PresetSet(part["name"], part.get("images"), group=part.get("group", "")) for part in table.pop("ood")]
    given = table.pop("published", [])
    rows = [_published(row, sets, f"{where}, published {place}") for place, row in enumerate(given, 1)]
    for key in ("sources", "prompts", "notes"):
        table[key] = tuple(table.get(key, ()))
    home = table.pop("id")
    inside = PresetSet(home["name"], home.get("images"))
    csid = tuple(PresetSet(part["name"], part.get("images")) for part in shifted)
    return Preset(name=file.stem, id=inside, ood=tuple(sets), csid=csid, published=tuple(rows), **table)


def _published(row: dict[str, Any], sets: list[PresetSet], where: str) -> Published:
    if _text(row.get("method")):
        where += f" ({row['method']})"
    _check(row, PUBLISHED_KEYS, where)
    if "values" not in row and "means" not in row:
        raise DataError(f"{where}: expected values or means, got neither")
    if row["protocol"] != UNKNOWN:
        _known_protocol(row["protocol"], where)
    groups = {part.group for part in sets if part.group}
    _numbers(row.get("values", {}), [part.name for part in sets], row["protocol"], f"{where}, values")
    _numbers(row.get("means", {}), ["all", *groups], row["protocol"], f"{where}, means")
    for key, points in row.get("tolerance", {}).items():
        if key not in ("auroc", "fpr95") or not _number(points) or not 0 < points <= 100:
            raise DataError(
                f"{where}, tolerance: expected auroc or fpr95 in points above 0, got {key} = {quoted(points)}"
            )
    return Published(**{"values": {}, **row})


def _numbers(table: Mapping[str, Any], known: list[str], protocol: str, where: str) -> None:
    """Check metrics by set or group: known names, metrics that the protocol has, percent from 0 to 100."""
    allowed = _metrics_of(protocol)
    for place, found in table.items():
        if place not in known:
            raise DataError(f"{where}: unknown {quoted(place)}; {nearest(place, known)}")
        if not _table(found):
            raise DataError(f"{where}, {place}: expected metrics such as {{ auroc = 94.4 }}, got {quoted(found)}")
        for metric, value in found.items():
            if metric not in allowed:
                hint = nearest(metric, allowed)
                raise DataError(f"{where}, {place}: protocol {protocol} has no metric {quoted(metric)}; {hint}")
            if not _number(value) or not 0 <= value <= 100:
                raise DataError(f"{where}, {place}: expected {metric} in percent from 0 to 100, got {quoted(value)}")


def _metrics_of(protocol: str) -> list[str]:
    from ood_toolkit.metrics import PROTOCOLS
    from ood_toolkit.metrics.named import UNSTATED

    if protocol == UNKNOWN:
        return [*METRICS, UNSTATED]
    return [m for m in METRICS if m in PROTOCOLS[protocol].measures]


def _check(table: Mapping[str, Any], keys: Mapping[str, tuple[Check, str, bool]], where: str) -> None:
    """Refuse unknown, missing and wrong keys."""
    for key, value in table.items():
        if key not in keys:
            raise DataError(f"{where}: unknown key {quoted(key)}; {nearest(key, keys)}")
        fits, wanted, _ = keys[key]
        if not fits(value):
            raise DataError(f"{where}: {key}: expected {wanted}, got {quoted(value)}")
    for key, (_, wanted, needed) in keys.items():
        if needed and key not in table:
            raise DataError(f"{where}: {key} is missing: expected {wanted}")


def _known_protocol(name: str, where: str) -> None:
    from ood_toolkit.metrics import PROTOCOLS

    if name not in PROTOCOLS:
        raise DataError(f"{where}: protocol: unknown name {quoted(name)}; {nearest(name, PROTOCOLS)}")
