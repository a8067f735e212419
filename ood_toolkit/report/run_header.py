"""The header of a run folder: its parts by model, and what each of its keys must look like, as it is not trusted."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from ood_toolkit.errors import DataError, MetricError
from ood_toolkit.metrics import find_protocol

__all__ = ["check_header", "csid_names", "id_names", "is_number", "parts_of"]

Shape: TypeAlias = Callable[[Any], bool]


def is_number(found: Any) -> bool:
    """Tell whether a value read from JSON is a number that a float can hold."""
    if isinstance(found, float):
        return True
    return isinstance(found, int) and not isinstance(found, bool) and abs(found) < 10**308


def _finite(found: Any) -> bool:
    """Tell whether a value is a finite number."""
    return is_number(found) and math.isfinite(found)


def _text(found: Any) -> bool:
    return isinstance(found, str)


def _flag(found: Any) -> bool:
    return isinstance(found, bool)


def _maybe(shape: Shape) -> Shape:
    return lambda found: found is None or shape(found)


def _each(shape: Shape, least: int = 0) -> Shape:
    return lambda found: isinstance(found, list) and len(found) >= least and all(map(shape, found))


def _by_name(shape: Shape) -> Shape:
    return lambda found: isinstance(found, dict) and all(map(shape, found.values()))


def _anything(found: Any) -> bool:
    return True


def _object(needed: Mapping[str, Shape], optional: Mapping[str, Shape] | None = None) -> Shape:
    """Describe an object that has these keys, and may have those; others are let be."""

    def fits(found: Any) -> bool:
        if not isinstance(found, dict) or not needed.keys() <= found.keys():
            return False
        shapes = {**(optional or {}), **needed}
        return all(shapes[key](value) for key, value in found.items() if key in shapes)

    return fits


FACTS = {"accuracy": _finite, "ece": _finite, "validation_images": is_number}
SET = {"name": _text, "images": is_number}
TESTED = {"scorer": _text}
WHOSE = {"model": _text, "decider": _text}
PAIRED = {
    **dict.fromkeys(("id", "ood", "scorer"), _text),
    **dict.fromkeys(("auroc", "difference", "low", "high", "p_holm"), _finite),
    "against": _object(TESTED, WHOSE),
}
SEMINAR_SET = {
    **dict.fromkeys(("role", "name", "split"), _text),
    **dict.fromkeys(("classes", "train", "val", "test"), is_number),
    "stands_for": _flag,
}
SEMINAR_ACCURACY = {
    **dict.fromkeys(("role", "model"), _text),
    **dict.fromkeys(("measured_train", "published_train", "measured_test", "published_test"), _maybe(_finite)),
}
SEMINAR_UNCERTAINTY = {
    **dict.fromkeys(("role", "task", "thresholds"), _text),
    **dict.fromkeys(("published", "f1", "accuracy", "auroc", "id_accepted"), _maybe(_finite)),
}
SEMINAR_DETECTION = {
    **dict.fromkeys(("ood", "ood_role", "thresholds"), _text),
    **dict.fromkeys(("images", "uncertain"), is_number),
    **dict.fromkeys(("rate", "published", "id_accepted", "auroc", "tnr_at_tpr95"), _maybe(_finite)),
    "id_roles": _each(_text),
}
SEMINAR = {
    "description": _text,
    "sources": _each(_text),
    "notes": _each(_text),
    "recipe": _by_name(_anything),
    "sets": _each(_object(SEMINAR_SET)),
    "accuracy": _each(_object(SEMINAR_ACCURACY)),
    "uncertainty": _each(_object(SEMINAR_UNCERTAINTY)),
    "detection": _each(_object(SEMINAR_DETECTION)),
}
SHAPES: Mapping[str, tuple[Shape, str]] = {
    "models": (_each(_object({"model": _text}), least=1), "a list of objects with a name under model"),
    "id": (_each(_object(SET, FACTS)), "a list of objects with a name and how many images there are"),
    "csid": (
        _object({**SET, "sets": _each(_object(SET, FACTS))}, FACTS),
        "an object with a name and, under sets, a list of objects with one, each with its images",
    ),
    "ood": (_by_name(is_number), "the number of images by OOD set"),
    "groups": (_by_name(_each(_text)), "lists of OOD sets by name"),
    "validation": (_by_name(_text), "a text by ID set"),
    "heads": (_by_name(_text), "a file by ID set"),
    "notes": (_each(_text), "a list of texts"),
    "encoding": (
        _by_name(_object({"notes": _each(_text), "unreadable": lambda found: isinstance(found, dict | list)})),
        "objects with notes and unreadable, by set",
    ),
    "intervals": (
        _object({"auroc": _text, "others": _text, "confidence": _finite, "replicates": is_number, "seed": _anything}),
        "an object with auroc, others, confidence, replicates and seed",
    ),
    "paired": (_each(_object(PAIRED, WHOSE)), f"a list of objects with {', '.join(PAIRED)}"),
    "preset": (
        _object({"name": _text}, {"changed": _each(_text)}),
        "an object with a name and a list of what was changed",
    ),
    "seminar": (_object(SEMINAR), f"an object with {', '.join(SEMINAR)}, as the preset ust-etri writes it"),
}
"""What a key must look like wherever it stands, in the header or in the part of one model."""
PUBLISHED: Mapping[str, tuple[Shape, str]] = {
    **dict.fromkeys(("scorer", "model", "kind", "ood", "metric", "verdict", "method"), (_text, "str")),
    **dict.fromkeys(("published_model", "published_protocol", "source", "note"), (_text, "str")),
    **dict.fromkeys(("measured", "difference", "tolerance"), (_maybe(is_number), "number or null")),
    "published": (is_number, "number"),
    "secondary": (_flag, "bool"),
}
LATER: Mapping[str, tuple[Shape, str]] = {"id": (_text, "str"), "same_images": (_flag, "bool")}
"""What the first runs with published values did not say of them."""


def parts_of(header: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Give what the keys of a model's answers begin with, and its header; one empty beginning where there is one."""
    if "models" not in header:
        yield (), header
    for part in header.get("models", ()):
        yield (str(part["model"]),), {**header, **part}


def id_names(header: Mapping[str, Any]) -> list[str]:
    """Give the names of the ID sets of one model's header."""
    return [str(one["name"]) for one in header["id"]]


def csid_names(header: Mapping[str, Any]) -> list[str]:
    """Give the names of the covariate-shifted ID sets of one model's header."""
    return [str(one["name"]) for one in header.get("csid", {}).get("sets", ())]


def check_header(file: Path, header: Mapping[str, Any]) -> None:
    """Refuse, with the one line of a `DataError`, a header that could not be read or shown."""
    _check_shapes(file, header)
    for _, part in parts_of(header):
        _check_shapes(file, part)
        for key in ("id", "ood"):
            if key not in part:
                raise DataError(f"{file}: {key}: expected {SHAPES[key][1]}, got nothing")
    _check_published(file, header)
    protocol = header.get("protocol")
    if not isinstance(protocol, str):
        raise DataError(f"{file}: protocol: expected a name, got {reprlib.repr(protocol)}")
    try:
        find_protocol(protocol)
    except MetricError as error:
        raise DataError(f"{file}: {error}") from None


def _check_shapes(file: Path, header: Mapping[str, Any]) -> None:
    for key, (shape, wanted) in SHAPES.items():
        if key in header and not shape(header[key]):
            raise DataError(f"{file}: {key}: expected {wanted}, got {reprlib.repr(header[key])}")


def _check_published(file: Path, header: Mapping[str, Any]) -> None:
    """Refuse published values that could not be shown or matched again."""
    found = header.get("published", [])
    for one in found if isinstance(found, list) else [found]:
        for key, (shape, wanted) in {**PUBLISHED, **LATER}.items():
            missing = not isinstance(one, dict) or (key not in one and key not in LATER)
            if missing or (key in one and not shape(one[key])):
                raise DataError(f"{file}: published: expected a list of objects with {key}, {wanted}")
    if not isinstance(found, list):
        raise DataError(f"{file}: published: expected a list of objects, got {reprlib.repr(found)}")
