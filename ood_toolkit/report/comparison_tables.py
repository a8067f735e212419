"""Several runs side by side: differences with their tests, and spread, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ood_toolkit.report import formats, table
from ood_toolkit.report.cells import csv_rows, json_text
from ood_toolkit.report.columns import against, heading, p_value, percent, points, reference, told_apart
from ood_toolkit.report.comparison import NOT_TESTED
from ood_toolkit.report.grid import Grid

if TYPE_CHECKING:
    from ood_toolkit.report.report import Report

__all__ = ["about_differences", "about_runs", "differences_grids", "spread_grid", "text_of"]

COLUMNS = ("%", "difference", "p (Holm)")
HEADS: Mapping[str, str] = {"run": "run", "model": "model", "decider": "decides"}


def differences_grids(tests: Sequence[Mapping[str, Any]]) -> list[Grid]:
    """Lay out what `comparing.compared_runs` gives, a table for each metric; they stand side by side where they fit."""
    whose = told_apart(tests, tuple(HEADS))
    others = [] if reference(tests, whose) else ["against"]
    names = [*(HEADS[key] for key in whose), "scorer", *others, "ID", "OOD set"]
    grids = []
    for metric, before in (("auroc", ""), ("fpr95_id", "fpr95_id_")):
        cells = [
            [
                *(test.get(key, "") for key in whose), test["scorer"], *(against(test, whose) for _ in others),
                test["id"], test["ood"], percent(test[metric]),
                points(test, *(before + key for key in ("difference", "low", "high"))),
                p_value(test[f"{before}p_holm"]),
            ]
            for test in tests
        ]  # fmt: skip
        title, columns = f"{heading(metric)} (%)", [*names, *COLUMNS]
        grids.append(Grid(title, columns, cells, [False] * len(cells), len(names), short=heading(metric)))
    return grids


def about_differences(tests: Sequence[Mapping[str, Any]]) -> str:
    """Say in a line what the columns of differences are."""
    one = reference(tests, told_apart(tests, tuple(HEADS)))
    return f"differences{f' from {one}' if one else ''} on the same images, in points with 95 % intervals"


def spread_grid(rows: Sequence[Mapping[str, Any]], measures: Sequence[str]) -> Grid:
    """Lay out what `comparing.spread` gives of some metrics, misclassification left out."""
    part = [row for row in rows if row["kind"] != "misclassification"]
    whose = [key for key in ("model", "decider") if any(row.get(key) for row in part)]
    shown = [m for m in measures if any(m in row["mean"] for row in part)]
    cells = []
    for row in part:
        ood = f"mean {row['ood']}".replace("mean all", "mean") if row["kind"] == "mean" else row["ood"]
        left = [*(row.get(key, "") for key in whose), row["scorer"], row["id"], ood]
        cells.append([*left, *(_about(row["mean"].get(m), row["std"].get(m)) for m in shown)])
    columns = [*(HEADS[key] for key in whose), "scorer", "ID", "OOD set", *(heading(m) for m in shown)]
    title = f"Mean and sample standard deviation over {part[0]['runs'] if part else 0} runs (%)"
    return Grid(title, columns, cells, [False] * len(cells), len(whose) + 3)


def text_of(
    records: Sequence[Mapping[str, Any]],
    grids: Sequence[Grid],
    style: str,
    width: int | None,
    color: bool,
    lines: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> str:
    """Give records as JSON or CSV in full precision, or their tables as text, Markdown or LaTeX.

    `lines` say what was compared and stand above the table, `notes` below it; CSV has the notes in its last column.
    """
    if style == "json":
        return json_text(list(records)) + "\n"
    if style == "csv":
        flat = [_flat(record) | ({"notes": "; ".join(notes)} if notes else {}) for record in records]
        names = list(dict.fromkeys(key for row in flat for key in row))
        return csv_rows([names, *([row.get(name) for name in names] for row in flat)])
    if style == "markdown":
        parts = [formats.markdown_list(lines), *map(formats.markdown_grid, grids), formats.markdown_list(notes)]
        return "\n\n".join(part for part in parts if part) + "\n"
    if style == "latex":
        parts = [*map(formats.latex_grid, grids), formats.latex_notes([*lines, *notes])]
        return "\n".join(part for part in parts if part)
    return table.laid_out(lines, grids, notes, width, color) + "\n"


def about_runs(runs: Mapping[str, Report]) -> list[str]:
    """Say in a line each what the runs are: name, model, protocol and numbers of images, and their notes.

    What a run says of its own tests is left out: the notes of the comparison say what was not tested.
    """
    lines = []
    for name, report in runs.items():
        header = report.header
        models = [str(part.get("model", "")) for part in header.get("models", [header])]
        ids = header.get("id") or header.get("models", [{}])[0].get("id", [])
        sets = [f"{part['name']} ({part['images']})" for part in ids]
        ood = [f"{ood} ({count})" for ood, count in header.get("ood", {}).items()]
        said = [f"model {', '.join(filter(None, models))}" if any(models) else "", f"ID {', '.join(sets)}"]
        said += [f"OOD {', '.join(ood)}" if ood else "", f"protocol {header.get('protocol', 'native')}"]
        lines.append(f"{name}: {'; '.join(part for part in said if part)}")
        lines += [f"  {note}" for note in header.get("notes", []) if not note.startswith(NOT_TESTED)]
    return lines


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """Put what is nested beside the rest, as `mean_auroc`."""
    flat: dict[str, Any] = {}
    for key, value in record.items():
        flat |= {f"{key}_{k}": v for k, v in value.items()} if isinstance(value, Mapping) else {key: value}
    return flat


def _about(mean: float | None, deviation: float | None) -> str:
    return "-" if mean is None or deviation is None else f"{percent(mean)} ± {100 * deviation:.2f}"
