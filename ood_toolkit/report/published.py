"""Tables of published values beside measured ones, with the sources as footnotes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ood_toolkit.metrics.named import UNSTATED
from ood_toolkit.report.columns import NAMES
from ood_toolkit.report.grid import Grid
from ood_toolkit.report.results import Row
from ood_toolkit.report.table import laid_out

__all__ = [
    "HEADINGS",
    "cited",
    "comparison_grid",
    "comparison_text",
    "footnotes",
    "judged",
    "matched_again",
    "number_or_dash",
    "numbered",
    "preset_line",
    "stated",
]

WITHIN, OUTSIDE, NO_VERDICT = "within tolerance", "outside tolerance", "no tolerance known"
OTHER_MODEL, OTHER_TEXTS, OTHER_IMAGES = "other model", "other texts", "other images"
OTHER_RULE, NO_RULE = "not measured under this protocol", "rule not stated"
HEADINGS = {**NAMES, UNSTATED: "FPR95(rule not stated)"}


def judged(
    metric: str, measured: float | None, value: float, allowed: float | None, *, own: bool, texts: bool, whole: bool
) -> dict[str, Any]:
    """Give the difference in points, where there is one to speak of, and the verdict."""
    difference = None if measured is None or not own else measured - value
    if not own:
        verdict = OTHER_MODEL
    elif not texts:
        verdict = OTHER_TEXTS
    elif metric == UNSTATED:
        verdict = NO_RULE
    elif difference is None:
        verdict = OTHER_RULE
    elif not whole:
        verdict = OTHER_IMAGES
    elif allowed is None:
        verdict = NO_VERDICT
    else:
        verdict = WITHIN if abs(difference) <= allowed + 1e-9 else OUTSIDE
    return {"difference": difference, "verdict": verdict}


def matched_again(found: Sequence[Mapping[str, Any]], rows: Sequence[Row]) -> tuple[list[dict[str, Any]], list[str]]:
    """Set published values, as `beside_published` gave them, beside rows that were computed again, by whatever rules.

    Says in a line how many are left out: those without a row, and those of which the run does not say whether its
    images are those of the published value.
    """
    keys = ("kind", "id", "ood", "scorer", "model")
    usable = [row for row in rows if row.status == "ok" and not row.decider]
    by_name = {tuple(getattr(row, key) for key in keys): row for row in usable}
    made = []
    for item in found:
        row = by_name.get(tuple(item.get(key, "") for key in keys))
        if row is None or "same_images" not in item:
            continue
        measured = 100 * row.metrics[item["metric"]] if item["metric"] in row.metrics else None
        same = {"own": item["verdict"] != OTHER_MODEL, "texts": item["verdict"] != OTHER_TEXTS}
        verdict = judged(
            item["metric"], measured, item["published"], item["tolerance"], **same, whole=item["same_images"]
        )
        made.append({**item, "measured": measured, **verdict})
    lost = len(found) - len(made)
    return made, [f"{lost} published values cannot be matched again and are left out"] if lost else []


def preset_line(about: Mapping[str, Any]) -> str:
    """Say in a line which preset ran, and what of it was changed."""
    changed = about.get("changed") or []
    return f"preset {about['name']}" + (f", changed: {', '.join(changed)}" if changed else "")


def comparison_text(found: Sequence[Mapping[str, Any]], width: int | None, color: bool) -> str:
    """Give the comparison as a table, one line a scorer, published row, set and metric, with its sources below."""
    if not found:
        return "No row of this run has published values of the same scorer and sets."
    grid, notes = comparison_grid(found)
    return laid_out([], [grid], notes, width, color)


def comparison_grid(found: Sequence[Mapping[str, Any]]) -> tuple[Grid, list[str]]:
    """Lay the comparison out, one line a scorer, published row, set and metric, and give its sources as footnotes."""
    numbers = numbered(stated(item["source"], item["published_protocol"]) for item in found)
    several = len({item["model"] for item in found}) > 1
    columns = [*(["model"] if several else []), "scorer", "published by", "OOD set", "metric"]
    cells, ends = [], []
    for place, item in enumerate(found):
        metric = HEADINGS.get(item["metric"], item["metric"])
        later = found[place + 1] if place + 1 < len(found) else item
        label = item["ood"] if item["kind"] == "ood" else f"mean {item['ood']}".replace("mean all", "mean")
        method = item["method"] + (f" of {item['published_model']}" if item["verdict"] == OTHER_MODEL else "")
        number = numbers[stated(item["source"], item["published_protocol"])]
        names = [item["scorer"], cited(method, item["secondary"], number)]
        values = [number_or_dash(item["measured"]), number_or_dash(item["published"]), _signed(item["difference"])]
        cells.append([*([item["model"]] if several else []), *names, label, metric, *values, item["verdict"]])
        ends.append(_block(item) != _block(later))
    heads = [*columns, "measured", "published", "points", "verdict"]
    grid = Grid("Measured beside published (%)", heads, cells, ends, len(columns))
    return grid, footnotes(numbers, [(item["method"], item["note"]) for item in found])


def stated(source: str, protocol: str) -> str:
    """Name a source with the protocol of its numbers."""
    return f"{source} (protocol {protocol})"


def numbered(found: Iterable[str]) -> dict[str, str]:
    """Give each source its number, in the order in which they come."""
    return {source: str(place) for place, source in enumerate(dict.fromkeys(found), 1)}


def cited(method: str, secondary: bool, number: str) -> str:
    """Name a method with the number of its source."""
    return f"{method} [{number}{', secondary' if secondary else ''}]"


def footnotes(numbers: Mapping[str, str], notes: Iterable[tuple[str, str]]) -> list[str]:
    """List the sources, then each note once with the methods that it is about."""
    about: dict[str, dict[str, None]] = {}
    for method, note in notes:
        if note:
            about.setdefault(note, {})[method] = None
    listed = [f"[{number}] {source}" for source, number in numbers.items()]
    return [*listed, *(f"{', '.join(methods)}: {note}" for note, methods in about.items())]


def _block(item: Mapping[str, Any]) -> tuple[str, ...]:
    return item["model"], item["scorer"], item["method"], item["source"]


def number_or_dash(value: float | None) -> str:
    """Print a number with two decimals, or a dash where there is none."""
    return "-" if value is None else f"{value:.2f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{round(value, 2) + 0.0:+.2f}"
