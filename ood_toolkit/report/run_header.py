"""The header of a run folder: its parts by model, and what each of its keys must look like, as it is not trusted."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ood_toolkit.errors import DataError, MetricError
from ood_toolkit.metrics import find_protocol
from ood_toolkit.report.shapes import (
    Shape,
    anything,
    by_name,
    check_shapes,
    each,
    is_finite,
    is_flag,
    is_number,
    is_text,
    maybe,
    object_of,
)

__all__ = ["check_header", "csid_names", "id_names", "parts_of"]


FACTS = {
    **dict.fromkeys(("accuracy", "ece"), is_finite),
    **dict.fromkeys(("validation_images", "unlabelled"), is_number),
    "notes": each(is_text),
    "head": is_text,
}


def _with_facts(found: Any) -> bool:
    """Describe an ID set: what is measured of it is there together, or not at all."""
    return object_of(SET, FACTS)(found) and ("accuracy" in found) == ("ece" in found)


SET = {"name": is_text, "images": is_number}
TESTED = {"scorer": is_text}
WHOSE = {"model": is_text, "decider": is_text}
PAIRED = {
    **dict.fromkeys(("id", "ood", "scorer"), is_text),
    **dict.fromkeys(("auroc", "difference", "low", "high", "p_holm"), is_finite),
    "against": object_of(TESTED, WHOSE),
}
SHAPES: Mapping[str, tuple[Shape, str]] = {
    "models": (each(object_of({"model": is_text}), least=1), "a list of objects with a name under model"),
    "id": (each(_with_facts), "a list of objects with a name and how many images there are"),
    "csid": (
        object_of({**SET, "sets": each(_with_facts)}, FACTS),
        "an object with a name and, under sets, a list of objects with one, each with its images",
    ),
    "ood": (by_name(is_number), "the number of images by OOD set"),
    "groups": (by_name(each(is_text)), "lists of OOD sets by name"),
    "class_names": (by_name(each(is_text)), "lists of class names by ID set"),
    "combines": (each(is_text), "a list of the names of classifiers"),
    "validation": (by_name(is_text), "a text by ID set"),
    "heads": (by_name(is_text), "a file by ID set"),
    "shots": (by_name(is_number), "a number of images by ID set"),
    "notes": (each(is_text), "a list of texts"),
    "metrics": (each(is_text), "a list of texts"),
    "shared_seconds": (is_finite, "a number of seconds"),
    "encoding": (
        by_name(object_of({"notes": each(is_text), "unreadable": lambda found: isinstance(found, dict | list)})),
        "objects with notes and unreadable, by set",
    ),
    "intervals": (
        object_of(
            {"auroc": is_text, "others": is_text, "confidence": is_finite, "replicates": is_number, "seed": anything}
        ),
        "an object with auroc, others, confidence, replicates and seed",
    ),
    "paired": (each(object_of(PAIRED, WHOSE)), f"a list of objects with {', '.join(PAIRED)}"),
    "preset": (
        object_of({"name": is_text}, {"changed": each(is_text)}),
        "an object with a name and a list of what was changed",
    ),
}
"""What a key must look like wherever it stands, in the header or in the part of one model."""
PUBLISHED: Mapping[str, tuple[Shape, str]] = {
    **dict.fromkeys(("scorer", "model", "kind", "ood", "metric", "verdict", "method"), (is_text, "str")),
    **dict.fromkeys(("published_model", "published_protocol", "source", "note"), (is_text, "str")),
    **dict.fromkeys(("measured", "difference", "tolerance"), (maybe(is_number), "number or null")),
    "published": (is_number, "number"),
    "secondary": (is_flag, "bool"),
}
LATER: Mapping[str, tuple[Shape, str]] = {"id": (is_text, "str"), "same_images": (is_flag, "bool")}
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
    check_shapes(file, header, SHAPES)
    for _, part in parts_of(header):
        check_shapes(file, part, SHAPES)
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
