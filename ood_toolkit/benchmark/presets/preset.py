"""`Preset`: a named benchmark as data: sets, splits, prompts, preprocessing, protocol, and what was published of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["UNKNOWN", "Preset", "PresetSet", "Published"]

UNKNOWN = "unknown"
"""In the place of a protocol whose exact rule was not read; the metrics' names still say the positive class, but for
`fpr95`, of which the source does not state it."""


@dataclass(frozen=True)
class PresetSet:
    """A data set's part in a preset."""

    name: str
    """Name in the catalogue."""
    images: int | None
    """How many images the published values are of; None where no source says it."""
    split: str = "test"
    group: str = ""
    """OOD sets of one group, such as `near`, are averaged together."""


@dataclass(frozen=True)
class Published:
    """What one source says of one method and model, in percent."""

    method: str
    """As the source calls it."""
    model: str
    """A model name as after `--model`, or words for one that this package cannot load by name."""
    source: str
    """Where each of these numbers stands."""
    protocol: str
    """Whose metric rules, or `unknown`."""
    values: Mapping[str, Mapping[str, float]]
    """Percent by OOD set and metric."""
    means: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Percent by group, or `all`, and metric: as printed, not computed here."""
    scorer: str = ""
    """Spec of the scorer that should give these numbers; "" where there is none."""
    tolerance: Mapping[str, float] = field(default_factory=dict)
    """Points of percent by `auroc` and `fpr95` within which a run agrees; none: no verdict."""
    secondary: bool = False
    """Whether the number was read in somebody else's notes or table and not in the paper or log itself."""
    means_differ: str = ""
    """Why a printed mean is not the mean of its parts."""
    note: str = ""

    def allowed(self, metric: str) -> float | None:
        """Give the tolerance of a metric, in points; None where there is no verdict."""
        return self.tolerance.get("fpr95" if metric.startswith("fpr95") else metric)

    def numbers(self) -> Iterable[tuple[str, str, str, float]]:
        """List kind (`ood` or `mean`), set or group, metric and percent."""
        for kind, table in (("ood", self.values), ("mean", self.means)):
            for place, found in table.items():
                for metric, value in found.items():
                    yield kind, place, metric, value


@dataclass(frozen=True)
class Preset:
    """A named benchmark."""

    name: str
    description: str
    sources: tuple[str, ...]
    id: PresetSet
    ood: tuple[PresetSet, ...]
    protocol: str
    averaging: Literal["all sets", "near and far separately"]
    """Over which OOD sets its sources average; the mean is unweighted."""
    class_names: str
    """Version of the class names: `imagenet-openai` is OpenAI's list of 1,000 names, 998 of them distinct, which is
    pinned by its SHA-256; `own` are the data set's."""
    prompts: tuple[str, ...] = ()
    """Templates; none: the data set's first and each scorer's own."""
    resize: int | None = None
    """Pixels of the shorter side before the crop; None: as the model has it."""
    interpolation: str | None = None
    val_split: float | None = None
    """As `--val-split`; None: the set's own validation."""
    scorers: str = ""
    """Specs that run where no published row names one."""
    notes: tuple[str, ...] = ()
    csid: tuple[PresetSet, ...] = ()
    """Covariate-shifted ID sets; the published values are of the ID test without them."""
    published: tuple[Published, ...] = ()

    def settings(self) -> dict[str, Any]:
        """Give what the preset decides by field of `Settings`; what it leaves open is absent."""
        groups: dict[str, tuple[str, ...]] = {}
        for part in self.ood:
            groups[part.group] = (*groups.get(part.group, ()), part.name)
        found: dict[str, Any] = {"ids": (self.id.name,), "groups": groups, "protocol": self.protocol}
        if self.csid:
            found["csid"] = tuple(part.name for part in self.csid)
        if self.prompts:
            found["prompts"] = self.prompts
        if self.val_split is not None:
            found["val_split"] = self.val_split
        return found

    def preprocessing(self) -> dict[str, str]:
        """Give resize and interpolation as options of a model name."""
        options = {"interpolation": self.interpolation, "resize": self.resize}
        return {key: str(value) for key, value in options.items() if value is not None}

    def expected(self, kind: str, place: str) -> int | None:
        """Give how many OOD images a set, or all sets of a mean, should have; None where that is not known."""
        parts = [part for part in self.ood if _belongs(part, kind, place)]
        counts = [part.images for part in parts if part.images is not None]
        return sum(counts) if parts and len(counts) == len(parts) else None


def _belongs(part: PresetSet, kind: str, place: str) -> bool:
    return part.name == place if kind == "ood" else place in ("all", part.group)
