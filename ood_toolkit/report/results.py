"""What a benchmark found: rows, and what every scorer said of every image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from ood_toolkit.report.cells import json_text
from ood_toolkit.store.file_names import file_name

__all__ = [
    "SCHEMA", "TEST", "UNION", "VAL", "Answers", "Found", "Row", "joined", "name_on_disk", "test_key", "to_json",
    "union",
]  # fmt: skip

SCHEMA = 1
ENDING = ".npz"
TEST, VAL = "test", "val"
"""What a member's own ID sets are called; other members' are `test:NAME` and `val:NAME`, OOD sets `ood:NAME`,
covariate-shifted ID sets `csid:NAME`."""
UNION = "union"
"""What the ID tests of all members together are called."""
Status = Literal["ok", "skipped", "failed"]


@dataclass(frozen=True)
class Row:
    """One line of a result; metrics are read as `row["auroc"]` or `row.auroc`."""

    kind: Literal["ood", "mean", "misclassification"]
    scorer: str
    """Canonical spec."""
    id: str
    """Name of the ID set, or `union` for all members' ID sets."""
    ood: str = ""
    """Name of the OOD set, or of the group that a mean is over."""
    decider: str = ""
    """In a run of several models: the ID set whose model decides, or the combiner's spec."""
    model: str = ""
    status: Status = "ok"
    notes: tuple[str, ...] = ()
    n_id: int = 0
    n_ood: int = 0
    seconds: float = 0.0
    """Fitting and scoring this scorer, all sets together, without what it shares: `shared_seconds` of the header."""
    metrics: Mapping[str, float] = field(default_factory=dict)

    def __getattr__(self, name: str) -> float:
        metrics = self.__dict__.get("metrics", {})
        if name in metrics:
            return float(metrics[name])
        raise AttributeError(f"row has no {name!r}; metrics: {', '.join(metrics) or 'none'}")

    def __getitem__(self, name: str) -> Any:
        if name not in self.metrics and name not in self.__dict__:
            raise KeyError(f"{name}; a row has {', '.join([*self.metrics, *self.__dict__])}")
        return self.metrics[name] if name in self.metrics else self.__dict__[name]

    def flat(self) -> dict[str, Any]:
        """Give everything in one level, metrics beside the rest."""
        values = {k: v for k, v in self.__dict__.items() if k != "metrics"}
        return values | {"notes": "; ".join(self.notes)} | dict(self.metrics)


@dataclass(eq=False)
class Answers:
    """What all scorers say of one set of images, row-aligned."""

    ids: np.ndarray
    """(n,) strings."""
    scores: dict[str, np.ndarray] = field(default_factory=dict)
    """(n,) float64 by spec."""
    failed: dict[str, str] = field(default_factory=dict)
    """Why a scorer gave no scores here, by spec."""
    prediction: np.ndarray | None = None
    """(n,) names of predicted classes."""
    confidence: np.ndarray | None = None
    right: np.ndarray | None = None
    """(n,) bool; None where no truth is known, False for an image of which it is not."""
    truth: np.ndarray | None = None
    """(n,) names of true classes, "" where it is none of the model's or not known."""
    accepted: dict[str, np.ndarray] = field(default_factory=dict)
    """(n,) bool by spec: decided in-distribution; none where there was nothing to calibrate on."""
    cuts: dict[str, float] = field(default_factory=dict)
    """From which score on an image is decided in-distribution, by spec; 0 for a margin."""
    classes: np.ndarray | None = None
    """(k,) class names, in the order of `class_cuts`; with the ID test alone."""
    class_cuts: dict[str, np.ndarray] = field(default_factory=dict)
    """(k,) float64 by spec: what was taken off a score by the predicted class, of those whose score is a margin."""
    streamed: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    """(n,) float64 by OOD set and spec: scores of streams, which hold for one ID test and one OOD set together."""
    probabilities: np.ndarray | None = None
    """(n, k) softmax, held only while a combiner asks for it; never saved."""
    source: np.ndarray | None = None
    """(n,) of an OOD set with labels: which of its own classes an image is of, "" where that is not known."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def known(self) -> np.ndarray:
        """(n,) bool: whose truth is a class of the model, so that a prediction can be right or wrong."""
        return np.full(len(self), self.right is not None) if self.truth is None else self.truth != ""

    def beside(self, ood: str, spec: str) -> np.ndarray:
        """Give the scores (n,) that are compared where the OOD set is this one."""
        pair = self.streamed.get(ood, {})
        return pair[spec] if spec in pair else self.scores[spec]


class Found(Protocol):
    """What a benchmark found, as a `Report` and a `Run` hold it."""

    @property
    def rows(self) -> list[Row]:
        """The lines of the result."""

    @property
    def header(self) -> Mapping[str, Any]:
        """What they have in common."""

    @property
    def answers(self) -> Mapping[tuple[str, ...], Answers]:
        """What was said of every image, by the keys of `Report.answers`."""


def joined(parts: Sequence[Answers]) -> Answers:
    """Join answers about several sets; what one of them lacks, the whole lacks."""

    def join(name: str) -> np.ndarray | None:
        arrays = [getattr(part, name) for part in parts]
        return None if any(a is None for a in arrays) else np.concatenate(arrays)

    specs = [spec for spec in parts[0].scores if all(spec in part.scores for part in parts)]
    by_class = next((part for part in parts if part.class_cuts), parts[0])
    failed = {spec: why for part in parts for spec, why in part.failed.items()}
    return Answers(
        ids=np.concatenate([part.ids for part in parts]),
        scores={spec: np.concatenate([part.scores[spec] for part in parts]) for spec in specs},
        failed=failed,
        prediction=join("prediction"),
        confidence=join("confidence"),
        right=join("right"),
        truth=join("truth"),
        accepted={
            spec: np.concatenate([part.accepted[spec] for part in parts])
            for spec in specs
            if all(spec in part.accepted for part in parts)
        },
        cuts={spec: cut for spec, cut in parts[0].cuts.items() if spec in specs},
        classes=by_class.classes,
        class_cuts={spec: cuts for spec, cuts in by_class.class_cuts.items() if spec in specs},
    )


def test_key(name: str, other: str) -> str:
    """Name the ID test of a member's set in another's words."""
    return TEST if name == other else f"test:{other}"


def union(answers: Mapping[str, Answers], name: str, names: Sequence[str]) -> Answers:
    """Join what a member says of all members' ID tests, in one order for all."""
    return joined([answers[test_key(name, other)] for other in names])


def to_json(header: Mapping[str, Any], rows: list[Row]) -> str:
    """Write header and rows as the documented JSON; NaN becomes null."""
    listed = [{**row.__dict__, "metrics": dict(row.metrics)} for row in rows]
    return json_text({"schema": SCHEMA, **header, "rows": listed}) + "\n"


def name_on_disk(name: str) -> str:
    """Make a file name of a set's name; only the colon of a key such as `ood:letters` becomes a low line."""
    safe = file_name(name.replace(":", "_", 1), ENDING, safe="+").removesuffix(ENDING)
    return safe if safe.strip(".") else safe.replace(".", "%2E")
