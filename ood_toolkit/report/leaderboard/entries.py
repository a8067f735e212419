"""What runs say of each scorer: `Entry`, its metrics by set and seed, and `Contribution`, what one run gives."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ood_toolkit.errors import DataError
from ood_toolkit.report.columns import MEASURES
from ood_toolkit.report.images_of_rows import case_of
from ood_toolkit.report.leaderboard.demands import cost_of, needs_of, supervision_of
from ood_toolkit.report.results import TEST, UNION, VAL, Found, Row, name_on_disk
from ood_toolkit.report.run_header import id_names, parts_of

__all__ = ["FULL_SPECTRUM", "Contribution", "Entry", "Images", "Pair", "Result", "Trial", "Who",
           "contribution_of"]  # fmt: skip

FULL_SPECTRUM = "full spectrum"
HEAD_FILE = "head.safetensors"
SETTINGS = ("weights", "recipe", "val_split", "limit")
"""Keys of a header that hold for all ID sets of a model; what a row is measured under."""


class Pair(NamedTuple):
    """An ID and an OOD set."""

    id: str
    ood: str
    scope: str = ""
    """`FULL_SPECTRUM`, or `UNION` of all models' ID tests; "" for the ID test alone."""

    def __str__(self) -> str:
        return f"{self.id} against {self.ood}"


class Trial(NamedTuple):
    """A pair of sets under one seed, and so the same images for all."""

    pair: Pair
    seed: int | None


class Who(NamedTuple):
    """What is ranked: a scorer on the outputs of a model, or what somebody published."""

    model: str
    scorer: str
    decider: str = ""
    head: str = ""
    """The file of a trained head, or the folder of those of several ID sets."""
    source: str = ""
    """Where it was published; "" for what was measured."""
    protocol: str = ""
    """Whose rules a published number follows."""


class Images(NamedTuple):
    """Which images a set holds, known by their ids."""

    digest: str
    size: int

    @classmethod
    def of(cls, *ids: np.ndarray) -> Images:
        """Take the images of one set, or of several together."""
        held = sorted(str(one) for part in ids for one in part)
        return cls(hashlib.sha256("\0".join(held).encode("utf-8", "surrogatepass")).hexdigest(), len(held))


class Result(NamedTuple):
    """What a run says of one scorer on one pair of sets."""

    who: Who
    pair: Pair
    metrics: Mapping[str, float] | None
    """None where there is no result."""
    why: str = ""
    """Why there is none."""
    cost: str = ""
    supervision: str = ""


@dataclass(eq=False)
class Entry:
    """One that is ranked, with its metrics by trial."""

    who: Who
    spec: str
    """Of its scorer."""
    results: dict[Trial, Mapping[str, float]] = field(default_factory=dict)
    why: dict[Trial, str] = field(default_factory=dict)
    cost: str = ""
    supervision: str = ""


@dataclass(frozen=True, eq=False)
class Contribution:
    """What one run gives to a leaderboard, without the scores of its images."""

    run: str
    protocol: str
    seed: int | None
    results: list[Result]
    images: dict[tuple[str, Pair], tuple[Images, Images]]
    """ID test and OOD images by model and pair."""
    pools: dict[str, Images]
    """Test and validation images together by ID set, of which a seed draws the test."""
    settings: dict[tuple[str, str, str], dict[str, Any]]
    """What was set, by model, trained head and ID set."""
    arrays: dict[tuple[str, str], str]
    """SHA-256 of imported arrays by model and `set/split`."""
    groups: Mapping[str, Sequence[str]]
    published: Sequence[Mapping[str, Any]]
    notes: Sequence[str] = ()


def contribution_of(run: str, found: Found) -> Contribution:
    """Take from a run what a leaderboard needs; `DataError` for a number that is none, or for what is not whole."""
    header = found.header
    if "seminar" in header:
        raise DataError(f"{run}: a run of the seminar has tables of its own; leave it out")
    parts = {begin[0] if begin else str(part.get("model", "")): part for begin, part in parts_of(header)}
    rows = [row for row in found.rows if row.kind == "ood" and row.ood]
    results, images, settings = [], {}, {}
    for row in rows:
        part = parts.get(row.model, header)
        pair, own = _pair(row, part), _own(row, part)
        who = Who(row.model, row.scorer, row.decider if row.decider != row.id else "", _head(part, own))
        results.append(_result(run, row, who, pair, part, own))
        if row.status == "ok" and (row.model, row.decider, pair) not in images:
            case = case_of(found, row)
            images[row.model, row.decider, pair] = (Images.of(case.test.ids), Images.of(case.ood.ids)) if case else None
        if own:
            settings[who.model, who.head, own] = _settings(part, own)
    return Contribution(
        run,
        str(header["protocol"]),
        _seed(header, parts),
        results,
        {(model, pair): held for (model, _, pair), held in images.items() if held is not None},
        dict(_pools(found)),
        settings,
        {(model, place): str(sha) for model, part in parts.items() for place, sha in _held(part, "imported").items()},
        header.get("groups", {}),
        header.get("published", []),
        header.get("notes", []),
    )


def _pair(row: Row, part: Mapping[str, Any]) -> Pair:
    if row.decider and row.decider != row.id:
        return Pair(row.id, row.ood, UNION)
    return Pair(row.id, row.ood, FULL_SPECTRUM if row.id == part.get("csid", {}).get("name") else "")


def _own(row: Row, part: Mapping[str, Any]) -> str:
    """Name the ID set whose head decides; "" for a combination of several."""
    names = id_names(part)
    if row.decider:
        return row.decider if row.decider in names else ""
    return row.id if row.id in names else next(iter(names), "")


def _result(run: str, row: Row, who: Who, pair: Pair, part: Mapping[str, Any], own: str) -> Result:
    if row.status != "ok":
        return Result(who, pair, None, f"{row.status}: {row.notes[0]}" if row.notes else row.status)
    for measure in MEASURES[str(part["protocol"])][:2]:
        value = row.metrics.get(measure, math.nan if measure == "auroc" else 0.0)
        if not 0 <= value <= 1:
            raise DataError(
                f"{run}: {row.scorer} on {pair}: {measure}: expected a number between 0 and 1, got {value}; "
                "the run is damaged, make it again"
            )
    needs = None if row.scorer in _held(part, "ready") else needs_of(row.scorer)
    if needs is None:
        return Result(who, pair, row.metrics)
    shots = part.get("shots", {}).get(own)
    supervision = supervision_of(needs, _kind(part, own), own in part.get("heads", {}), shots)
    return Result(who, pair, row.metrics, "", cost_of(needs), supervision)


def _kind(part: Mapping[str, Any], own: str) -> str:
    """Give the kind of an ID set's head; of runs that do not say it, templates tell a head of texts."""
    found = {str(one.get("head", "")) for one in part["id"] if own in ("", one["name"])}
    said = found.pop() if len(found) == 1 else ""
    return said or ("zero_shot" if _held(part, "templates").get(own) else "")


def _head(part: Mapping[str, Any], own: str) -> str:
    """Name the trained head, without what differs from one ID set to the next in a folder of heads."""
    file = str(part.get("heads", {}).get(own, ""))
    return file.removesuffix(HEAD_FILE).rstrip("/").removesuffix(f"/{name_on_disk(own)}") if own else ""


def _settings(part: Mapping[str, Any], own: str) -> dict[str, Any]:
    return {
        **{key: part.get(key) for key in SETTINGS},
        "templates": _held(part, "templates").get(own),
        **{key: _held(part, "encoder").get(key) for key in ("precision", "preprocessing")},
    }


def _held(part: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Give what a header holds under a key that nobody has checked; nothing where it is no object."""
    found = part.get(key)
    return found if isinstance(found, Mapping) else {}


def _pools(found: Found) -> Iterator[tuple[str, Images]]:
    """Give the images of each ID set that are tested or validated on."""
    for key, said in found.answers.items():
        if key[-1] == TEST:
            val = found.answers.get((*key[:-1], VAL))
            yield key[-2], Images.of(said.ids, *(() if val is None else (val.ids,)))


def _seed(header: Mapping[str, Any], parts: Mapping[str, Mapping[str, Any]]) -> int | None:
    found = next((part["seed"] for part in (header, *parts.values()) if "seed" in part), None)
    return found if isinstance(found, int) and not isinstance(found, bool) else None
