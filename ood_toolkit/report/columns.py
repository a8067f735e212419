"""Which columns a table of results has, and how its cells read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ood_toolkit.results import Row

__all__ = ["Grid", "ood_grid", "right_grid", "summary"]

NAMES: Mapping[str, str] = {
    "auroc": "AUROC",
    "fpr95_id": "FPR95(ID)",
    "fpr95_ood": "FPR95(OOD)",
    "aupr_in": "AUPR-in",
    "aupr_out": "AUPR-out",
    "ap_in": "AP-in",
    "ap_out": "AP-out",
    "id_accepted": "ID accepted",
    "ood_detected": "OOD detected",
    "aurc": "AURC",
    "f1_uncertain": "F1(uncertain)",
}
SHOWN: Mapping[str, Sequence[str]] = {
    "native": ("auroc", "fpr95_id", "aupr_in"),
    "openood-v1.5": ("auroc", "fpr95_ood", "aupr_in", "aupr_out"),
    "pytorch-ood": ("auroc", "fpr95_ood", "aupr_in", "aupr_out"),
    "mcm": ("auroc", "fpr95_id", "ap_in"),
    "clipn": ("auroc", "fpr95_id"),
    "knn-ood": ("auroc", "fpr95_id", "aupr_in", "aupr_out"),
    "vim": ("auroc", "fpr95_id", "aupr_in", "aupr_out"),
}


@dataclass(frozen=True)
class Grid:
    """A table as text: a title, column names, and rows of cells; rows that close a block are marked."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    ends: list[bool]
    """Whether a rule follows the row."""
    text_columns: int
    """How many columns, from the left, hold names and not numbers."""


def ood_grid(header: Mapping[str, Any], rows: Sequence[Row]) -> Grid | None:
    """Lay out the rows of OOD detection: one a scorer and set, then the means."""
    part = [row for row in rows if row.kind in ("ood", "mean")]
    measures = [*SHOWN[header.get("protocol", "native")]]
    measures += [m for m in ("id_accepted", "ood_detected") if any(m in row.metrics for row in part)]
    return _grid("OOD detection", part, "OOD set", lambda row: row.ood, measures)


def right_grid(header: Mapping[str, Any], rows: Sequence[Row]) -> Grid | None:
    """Lay out the rows of misclassification detection on ID."""
    part = [row for row in rows if row.kind == "misclassification" and row.status != "skipped"]
    measures = [m for m in ("auroc", "aurc", "f1_uncertain") if any(m in row.metrics for row in part)]
    if not measures:
        return None
    return _grid("Misclassification on ID: right against wrong predictions", part, None, lambda row: "", measures)


def summary(header: Mapping[str, Any]) -> list[str]:
    """Say in a few lines what was measured."""
    if "models" in header:
        parts = [{**header, **part} for part in header["models"]]
        lines = [line for part in parts for line in [*_of_encoder(part), *(f"  {line}" for line in _of_ids(part))]]
        return [*lines, *_of_sets(parts[0]), *_of_all(header)]
    return [*_of_ids(header), *_of_sets(header), *_of_encoder(header), *_of_all(header)]


def _of_ids(header: Mapping[str, Any]) -> list[str]:
    lines = []
    for part in header.get("id", []):
        facts = [f"{part['images']} test images"]
        if "accuracy" in part:
            facts.append(f"accuracy {100 * part['accuracy']:.2f} %, ECE {100 * part['ece']:.2f} %")
        lines.append(f"ID {part['name']}: " + ", ".join(facts))
        where = header.get("validation", {}).get(part["name"])
        if where or "validation_images" in part:
            count = part.get("validation_images", 0)
            lines.append(f"  validation: {where or 'given'}" + (f", {count} images" if count else ""))
    return lines


def _of_sets(header: Mapping[str, Any]) -> list[str]:
    sizes = [f"{name} ({count})" for name, count in header.get("ood", {}).items()]
    lines = [f"OOD {', '.join(sizes)}"] if sizes else []
    for name, counts in header.get("encoding", {}).items():
        lines += [f"  {name}: {note}" for note in counts["notes"]]
        if counts["unreadable"]:
            lines.append(f"  {name}: {len(counts['unreadable'])} unreadable images are left out")
    return lines + [f"  {note}" for note in header.get("notes", [])]


def _of_encoder(header: Mapping[str, Any]) -> list[str]:
    if not header.get("model"):
        return []
    return [f"model {header['model']}" + (f", prompts {header['prompts']}" if header.get("prompts") else "")]


def _of_all(header: Mapping[str, Any]) -> list[str]:
    return [f"protocol {header['protocol']}"] if header.get("protocol", "native") != "native" else []


def footnotes(rows: Sequence[Row]) -> list[str]:
    """Collect what rows have to say, each once, with the scorers it is about."""
    said: dict[str, list[str]] = {}
    models = len({row.model for row in rows}) > 1
    for row in rows:
        for note in row.notes:
            about = f"{row.scorer}{f' ({row.decider})' if row.decider else ''}{f' of {row.model}' if models else ''}"
            if row.status == "skipped":
                note = f"skipped: {note}"
            elif row.status == "failed":
                note = f"failed: {note}"
            if about not in said.setdefault(note, []):
                said[note].append(about)
    return [f"{', '.join(about)}: {note}" for note, about in said.items()]


def _grid(title: str, part: list[Row], where: str | None, name: Any, measures: list[str]) -> Grid | None:
    shown = [row for row in part if row.status == "ok"]
    if not shown:
        return None
    several = any(row.decider for row in shown)
    models = len({row.model for row in shown}) > 1
    columns = [
        *(["model"] if models else []),
        "scorer",
        *(["decides", "ID"] if several else []),
        *([where] if where else []),
    ]
    cells, ends = [], []
    for place, row in enumerate(shown):
        label = f"mean {row.ood}".replace("mean all", "mean") if row.kind == "mean" else name(row)
        left = [
            *([row.model] if models else []),
            row.scorer,
            *([row.decider, row.id] if several else []),
            *([label] if where else []),
        ]
        cells.append(left + [_percent(row.metrics.get(m)) for m in measures])
        later = shown[place + 1] if place + 1 < len(shown) else row
        ends.append(where is not None and _block(row) != _block(later))
    blocks = len({_block(row) for row in shown})
    ends = [end and blocks < len(shown) for end in ends]
    return Grid(f"{title} (%)", columns + [NAMES[m] for m in measures], cells, ends, len(columns))


def _block(row: Row) -> tuple[str, ...]:
    """Tell rows of one block from those of the next."""
    return row.model, row.scorer, row.decider, row.id


def _percent(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{100 * value:.2f}"
