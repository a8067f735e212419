"""Which columns a table of results has, and how its cells read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ood_toolkit.errors import MetricError
from ood_toolkit.report.grid import Grid
from ood_toolkit.report.order import block_of
from ood_toolkit.report.results import Row

__all__ = [
    "MEASURES",
    "NAMES",
    "against",
    "cell_of",
    "footnotes",
    "heading",
    "measures_of",
    "ood_grid",
    "p_value",
    "paired_grid",
    "percent",
    "points",
    "reference",
    "right_grid",
    "summary",
    "told_apart",
]

NAMES: Mapping[str, str] = {
    "auroc": "AUROC",
    "fpr95_id": "FPR95(ID)",
    "fpr95_ood": "FPR95(OOD)",
    "aupr_in": "AUPR-in",
    "aupr_out": "AUPR-out",
    "ap_in": "AP-in",
    "ap_out": "AP-out",
    "tnr_at_tpr95": "TNR95(ID)",
    "detection_error": "detection error",
    "oscr": "OSCR",
    "id_accepted": "ID accepted",
    "ood_detected": "OOD detected",
    "aurc": "AURC",
    "eaurc": "E-AURC",
    "augrc": "AUGRC",
    "f1_uncertain": "F1(uncertain)",
    "accuracy_uncertain": "accuracy(uncertain)",
}
MEASURES: Mapping[str, Sequence[str]] = {
    "native": ("auroc", "fpr95_id", "aupr_in"),
    "openood-v1.5": ("auroc", "fpr95_ood", "aupr_in", "aupr_out"),
    "pytorch-ood": ("auroc", "fpr95_ood", "aupr_in", "aupr_out"),
    "mcm": ("auroc", "fpr95_id", "ap_in"),
    "clipn": ("auroc", "fpr95_id"),
    "knn-ood": ("auroc", "fpr95_id", "aupr_in", "aupr_out"),
    "vim": ("auroc", "fpr95_id", "aupr_in", "aupr_out"),
}


def heading(metric: str) -> str:
    """Name a metric above a column: one of `NAMES`, FPR at another level, or the mean of one over classes."""
    if metric in NAMES:
        return NAMES[metric]
    from ood_toolkit.metrics.levels import percent_of  # not at start-up: every help would wait for it
    from ood_toolkit.metrics.named import MACRO, level_of

    if metric.startswith(MACRO):
        return f"macro {heading(metric.removeprefix(MACRO))}"
    try:
        level, positive = level_of(metric) or (None, "")
    except MetricError:  # the header of a run folder may hold any text
        level, positive = None, ""
    return metric if level is None else f"FPR{percent_of(level)}({positive.upper()})"


def measures_of(header: Mapping[str, Any]) -> list[str]:
    """Give the metrics of OOD detection that a table has: those of the protocol, then those that were asked for."""
    return list(dict.fromkeys([*MEASURES[header.get("protocol", "native")], *header.get("metrics", ())]))


def ood_grid(header: Mapping[str, Any], rows: Sequence[Row]) -> Grid | None:
    """Lay out the rows of OOD detection: one a scorer and set, then the means."""
    part = [row for row in rows if row.kind in ("ood", "mean")]
    decided = [m for m in ("id_accepted", "ood_detected") if any(m in row.metrics for row in part)]
    measures = [*measures_of(header), *decided]
    return _grid("OOD detection", part, "OOD set", lambda row: row.ood, measures)


def right_grid(rows: Sequence[Row]) -> Grid | None:
    """Lay out the rows of misclassification detection on ID."""
    part = [row for row in rows if row.kind == "misclassification" and row.status != "skipped"]
    measures = [m for m in ("auroc", "aurc", "augrc", "f1_uncertain") if any(m in row.metrics for row in part)]
    if not measures:
        return None
    return _grid("Misclassification on ID: right against wrong predictions", part, None, lambda row: "", measures)


def paired_grid(header: Mapping[str, Any]) -> Grid | None:
    """Lay out the paired tests of a run: each scorer's AUROC against one scorer's."""
    tests = header.get("paired") or []
    if not tests:
        return None
    whose = told_apart(tests, ("model", "decider"))
    several, one = len({test["id"] for test in tests}) > 1, reference(tests, whose)
    names = {"model": "model", "decider": "decides"}
    columns = [
        *(names[key] for key in whose), "scorer", *([] if one else ["against"]), *(["ID"] if several else []),
        "OOD set", "AUROC", "difference [95 % interval]", "p (Holm)",
    ]  # fmt: skip
    cells = [
        [
            *(test.get(key, "") for key in whose), test["scorer"], *([] if one else [against(test, whose)]),
            *([test["id"]] if several else []), test["ood"],
            percent(test["auroc"]), points(test, "difference", "low", "high"), p_value(test["p_holm"]),
        ]
        for test in tests
    ]  # fmt: skip
    title = f"AUROC, paired on the same images{f', against {one}' if one else ''} (%, points)"
    return Grid(title, columns, cells, [False] * len(cells), len(columns) - 3)


def told_apart(tests: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> list[str]:
    """Give the keys that tell the compared things apart: those of which there are several values."""
    return [key for key in keys if len({one.get(key) for test in tests for one in (test, test["against"])}) > 1]


def reference(tests: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> str:
    """Name the one thing that all tests compare with: its scorer, and its values of keys; "" for several."""
    first = tests[0]["against"] if tests else {}
    if not tests or any(test["against"] != first for test in tests):
        return ""
    return " ".join([*(first[key] for key in keys if key in first), first["scorer"]])


def against(test: Mapping[str, Any], keys: Sequence[str] = ()) -> str:
    """Name what a test compares with: its scorer, and what else tells it from the tested one."""
    other = test["against"]
    more = [other[key] for key in keys if key in other and other[key] != test.get(key)]
    return " ".join([*more, other["scorer"]])


def points(test: Mapping[str, Any], value: str, low: str, high: str) -> str:
    """Write a difference of shares in points, with its interval."""
    middle, ends = round(100 * test[value], 2) + 0.0, [round(100 * test[end], 1) + 0.0 for end in (low, high)]
    return f"{middle:+.2f} [{ends[0]:+.1f}, {ends[1]:+.1f}]"  # + 0.0: no minus nought


def p_value(p: float) -> str:
    """Write a p-value."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


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
        lines.append(f"ID {part['name']}: {', '.join(_facts(part))}")
        where = header.get("validation", {}).get(part["name"])
        if where or "validation_images" in part:
            count = part.get("validation_images", 0)
            lines.append(f"  validation: {where or 'given'}" + (f", {count} images" if count else ""))
        lines += [f"  {note}" for note in part.get("notes", [])]
    whole = header.get("csid")
    if whole:
        lines.append(f"full spectrum {whole['name']}: {', '.join(_facts(whole))}")
        lines += [f"  {part['name']}: {', '.join(_facts(part))}" for part in whole["sets"]]
    return lines


def _facts(part: Mapping[str, Any]) -> list[str]:
    """Give the number of images and, where it is known, how right the model is on them."""
    facts = [f"{part['images']} test images"]
    unlabelled = part.get("unlabelled", 0)
    if unlabelled:
        share = 100 * unlabelled / part["images"]
        facts.append(
            f"{unlabelled} of them without a known class ({share:.1f} %), left out of accuracy and misclassification"
        )
    if "accuracy" in part:
        facts.append(f"accuracy {100 * part['accuracy']:.2f} %, ECE {100 * part['ece']:.2f} %")
    return facts


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
    files = ", ".join(dict.fromkeys(header.get("heads", {}).values()))
    if header.get("combines"):
        return [f"{header['model']} of {', '.join(header['combines'])}"]
    parts = [f"model {header['model']}", f"head {files}" if files else ""]
    parts.append(f"prompts {header['prompts']}" if header.get("prompts") else "")
    return [", ".join(part for part in parts if part)]


def _of_all(header: Mapping[str, Any]) -> list[str]:
    lines = [f"protocol {header['protocol']}"] if header.get("protocol", "native") != "native" else []
    made = header.get("intervals")
    if made:
        how = f"{made['auroc']} for AUROC, else {made['others']} with {made['replicates']} replicates"
        lines.append(f"in brackets {100 * made['confidence']:g} % intervals: {how}, seed {made['seed']}")
    return lines


def footnotes(rows: Sequence[Row]) -> list[str]:
    """Collect what rows have to say, each once, with the scorers it is about; what was skipped or failed comes last."""
    said: dict[str, dict[str, list[str]]] = {"ok": {}, "skipped": {}, "failed": {}}
    models = len({row.model for row in rows}) > 1
    for row in rows:
        for note in row.notes:
            about = f"{row.scorer}{f' ({row.decider})' if row.decider else ''}{f' of {row.model}' if models else ''}"
            told = said[row.status].setdefault(note if row.status == "ok" else f"{row.status}: {note}", [])
            if about not in told:
                told.append(about)
    return [f"{', '.join(about)}: {note}" for notes in said.values() for note, about in notes.items()]


def _grid(title: str, part: list[Row], where: str | None, name: Any, measures: list[str]) -> Grid | None:
    shown = [row for row in part if row.status == "ok"]
    if not shown:
        return None
    deciders = any(row.decider for row in shown)
    several = deciders or len({row.id for row in shown}) > 1
    models = len({row.model for row in shown}) > 1
    columns = [
        *(["model"] if models else []),
        "scorer",
        *(["decides"] if deciders else []),
        *(["ID"] if several else []),
        *([where] if where else []),
    ]
    cells, ends = [], []
    for place, row in enumerate(shown):
        label = f"mean {row.ood}".replace("mean all", "mean") if row.kind == "mean" else name(row)
        left = [
            *([row.model] if models else []),
            row.scorer,
            *([row.decider] if deciders else []),
            *([row.id] if several else []),
            *([label] if where else []),
        ]
        cells.append(left + [cell_of(row, m) for m in measures])
        later = shown[place + 1] if place + 1 < len(shown) else row
        ends.append(where is not None and block_of(row) != block_of(later))
    blocks = len({block_of(row) for row in shown})
    ends = [end and blocks < len(shown) for end in ends]
    return Grid(f"{title} (%)", columns + [heading(m) for m in measures], cells, ends, len(columns))


def cell_of(row: Row, measure: str) -> str:
    """Write a metric in per cent, with its interval where it has one."""
    low, high = (row.metrics.get(f"{measure}_{end}") for end in ("low", "high"))
    value = percent(row.metrics.get(measure))
    return value if low is None or high is None else f"{value} [{100 * low:.1f}, {100 * high:.1f}]"


def percent(value: float | None) -> str:
    """Write a share in per cent, a dash for none."""
    return "-" if value is None or not math.isfinite(value) else f"{100 * value:.2f}"
