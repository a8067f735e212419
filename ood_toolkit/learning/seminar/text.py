"""The seminar's tables as text: each printed figure with the measured one beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ood_toolkit.report.grid import Grid
from ood_toolkit.report.table import laid_out

__all__ = ["printed_text", "seminar_text"]

RECIPE = {
    "optimizer": "",
    "epochs": "epochs",
    "batch": "in a batch",
    "learning_rate": "learning rate",
    "momentum": "momentum",
    "input": "as input",
    "rule": "thresholds",
}
"""What of the recipe is said, and how."""
Rows = Sequence[Mapping[str, Any]]


def seminar_text(held: Mapping[str, Any], width: int | None, color: bool) -> str:
    """Give the tables of a header's `seminar` as text of `width` columns."""
    sets = held["sets"]
    lines = [str(held["description"])]
    for part in sets:
        sizes = (
            f"{part['train']:,} train, {part['val']:,} val, {part['test']:,} test images of {part['classes']} classes"
        )
        said = f"{part['name']} in its place" if part["stands_for"] else part["name"]
        lines.append(f"{part['role']}: {said}, {sizes} ({part['split']})")
    if any(part["stands_for"] for part in sets):
        lines.append("Printed figures are of the seminar's own sets, not of those in their place.")
    lines += [f"model {model}"] if isinstance(model := held.get("model"), str) else []
    recipe = held["recipe"]
    lines.append(
        "fine-tuned head: "
        + ", ".join(f"{recipe[key]} {said}".strip() for key, said in RECIPE.items() if key in recipe)
    )
    tables = [_accuracy(held["accuracy"]), _uncertainty(held["uncertainty"]), _detection(held["detection"])]
    notes = [*held["notes"], *(f"source: {source}" for source in held["sources"])]
    return laid_out(lines, tables, notes, width, color)


def _accuracy(rows: Rows) -> Grid:
    columns = ["part", "model", "train", "printed train", "test", "printed test"]
    keys = ("measured_train", "published_train", "measured_test", "published_test")
    cells = [[row["role"], row["model"], *(_number(row[key]) for key in keys)] for row in rows]
    return Grid("Accuracy (%)", columns, cells, _ends(rows, ("role",)), 2)


def _uncertainty(rows: Rows) -> Grid:
    columns = ["part", "uncertain are", "thresholds", "printed", "F1", "accuracy", "AUROC", "ID accepted"]
    keys = ("published", "f1", "accuracy", "auroc", "id_accepted")
    cells = [[row["role"], row["task"], row["thresholds"], *(_number(row[key], 3) for key in keys)] for row in rows]
    return Grid("Zero-shot entropy: uncertainty detection", columns, cells, _ends(rows, ("role", "task")), 3)


def _detection(rows: Rows) -> Grid:
    shown = [row for row in rows if row["thresholds"] == "class-wise"]
    columns = ["model of", "OOD", "images", "uncertain", "rate", "printed rate", "ID accepted", "AUROC", "TNR@TPR95"]
    cells = [
        [
            " + ".join(row["id_roles"]), row["ood_role"] or row["ood"], f"{row['images']:,}", f"{row['uncertain']:,}",
            *(_number(row[key]) for key in ("rate", "published", "id_accepted", "auroc", "tnr_at_tpr95")),
        ]
        for row in shown
    ]  # fmt: skip
    title = "Fine-tuned confidence, class-wise thresholds: OOD detection (%)"
    return Grid(title, columns, cells, _ends(shown, ("id_roles",)), 2)


def _ends(rows: Rows, keys: Sequence[str]) -> list[bool]:
    """Mark the rows after which one of the keys changes."""
    said = [tuple(str(row[key]) for key in keys) for row in rows]
    return [place + 1 < len(said) and said[place] != said[place + 1] for place in range(len(said))]


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def printed_text(figures: Mapping[str, Any], width: int | None, color: bool) -> str:
    """Give what the seminar printed, without anything measured, as text of `width` columns."""
    keys = ("zero_shot", "fine_tuned")
    accuracy = [
        [part["role"], part["name"], f"{part['train']:,}", f"{part['test']:,}"]
        + [_number(value) for key in keys for value in part[key]]
        for part in figures["sets"]
    ]
    uncertainty = [
        [row["role"], row["task"], *(_number(v, 3) for v in row["values"].values())] for row in figures["uncertainty"]
    ]
    detection = [
        [" + ".join(row["id"]), row["ood"], f"{row['images']:,}", f"{row['uncertain']:,}", _number(row["rate"])]
        for row in figures["detection"]
    ]
    heads = ["zero-shot train", "zero-shot test", "fine-tuned train", "fine-tuned test"]
    kinds = list(figures["uncertainty"][0]["values"])
    tables = [
        Grid(
            "Accuracy (%)", ["part", "set", "train images", "test images", *heads], accuracy, [False] * len(accuracy), 2
        ),
        Grid("Uncertainty detection", ["part", "uncertain are", *kinds], uncertainty, [False] * len(uncertainty), 2),
        Grid(
            "OOD detection rate (%)",
            ["model of", "OOD", "images", "uncertain", "rate"],
            detection,
            [False] * len(detection),
            2,
        ),
    ]
    notes = [*figures["notes"], *(f"source: {source}" for source in figures["sources"])]
    return laid_out([str(figures["description"])], tables, notes, width, color)
