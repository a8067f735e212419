"""Measured beside published: what a run gives where others have published numbers of the same method, set and model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ood_toolkit.report.columns import NAMES, Grid
from ood_toolkit.report.results import Row
from ood_toolkit.report.table import laid_out

if TYPE_CHECKING:
    from ood_toolkit.benchmark.presets import Preset, PresetSet, Published

__all__ = ["compared", "comparison_text", "matched_again", "preset_line", "published_text"]

WITHIN, OUTSIDE, NO_VERDICT = "within tolerance", "outside tolerance", "no tolerance known"
OTHER_MODEL, OTHER_TEXTS, OTHER_IMAGES = "other model", "other texts", "other images"
OTHER_RULE = "not measured under this protocol"


def compared(
    rows: Sequence[Row],
    preset: Preset,
    same_model: Callable[[str, str], bool],
    spec_of: Callable[[str], str],
    *,
    same_texts: bool = True,
) -> list[dict[str, Any]]:
    """Set each measured number beside the published ones of its scorer, in percent, as plain values.

    `same_model` says whether a row's model is the one of a published row, `spec_of` writes a scorer canonically ("" if
    there is none). A metric is compared with the metric of the same name alone, so FPR95 with ID positive never with
    that with OOD positive. A published row of another model is shown where no row of the run's own model is. Without
    `same_texts`, where the run had other prompts or negatives than the preset, there is no verdict.
    """
    found: list[dict[str, Any]] = []
    canonical = {entry.scorer: spec_of(entry.scorer) for entry in preset.published}
    for scorer, model in dict.fromkeys((row.scorer, row.model) for row in rows):
        entries = [entry for entry in preset.published if entry.scorer and canonical[entry.scorer] == scorer]
        own = [entry for entry in entries if same_model(model, entry.model)]
        part = [row for row in rows if (row.scorer, row.model, row.decider) == (scorer, model, "")]
        usable: dict[tuple[str, str], Row] = {
            (row.kind, row.ood): row for row in part if row.id == preset.id.name and row.status == "ok"
        }
        for entry in (own or entries) if usable else ():
            found += _of_entry(entry, usable, preset, model, scorer, own=bool(own), texts=same_texts)
    return found


def _of_entry(
    entry: Published, rows: Mapping[tuple[str, str], Row], preset: Preset, model: str, scorer: str, *,
    own: bool, texts: bool,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    for kind, place, metric, value in entry.numbers():
        row = rows.get(_key(rows, preset, kind, place))
        if row is None:
            continue
        measured = 100 * row.metrics[metric] if metric in row.metrics else None
        whole = _whole(row, preset, kind, place)
        yield {
            "scorer": scorer, "model": model, "kind": kind, "id": row.id, "ood": place, "metric": metric,
            "measured": measured,
            "published": value, "tolerance": entry.allowed(metric), "same_images": whole,
            **_judged(measured, value, entry.allowed(metric), own=own, texts=texts, whole=whole),
            "method": entry.method, "published_model": entry.model, "published_protocol": entry.protocol,
            "source": entry.source, "secondary": entry.secondary, "note": entry.note,
        }  # fmt: skip


def _key(rows: Mapping[tuple[str, str], Row], preset: Preset, kind: str, place: str) -> tuple[str, str]:
    """Name the measured row; a mean over all sets counts only where the run has the preset's sets and no others."""
    here = {ood for row_kind, ood in rows if row_kind == "ood"}
    if kind == "mean" and place == "all" and here != {part.name for part in preset.ood}:
        return "", ""
    return kind, place


def _whole(row: Row, preset: Preset, kind: str, place: str) -> bool:
    """Tell whether the images are as many as the published number is of, as far as that is known."""
    expected = preset.expected(kind, place)
    return expected in (None, row.n_ood) and preset.id.images in (None, row.n_id)


def _judged(
    measured: float | None, value: float, allowed: float | None, *, own: bool, texts: bool, whole: bool
) -> dict[str, Any]:
    """Give the difference in points, where there is one to speak of, and the verdict."""
    difference = None if measured is None or not own else measured - value
    if not own:
        verdict = OTHER_MODEL
    elif not texts:
        verdict = OTHER_TEXTS
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
    """Set published values, as `compared` gave them, beside rows that were computed again, by whatever rules.

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
        judged = _judged(measured, item["published"], item["tolerance"], **same, whole=item["same_images"])
        made.append({**item, "measured": measured, **judged})
    lost = len(found) - len(made)
    return made, [f"{lost} published values cannot be matched again and are left out"] if lost else []


def preset_line(about: Mapping[str, Any]) -> str:
    """Say in a line which preset ran, and what of it was changed."""
    changed = about.get("changed") or []
    return f"preset {about['name']}" + (f", changed: {', '.join(changed)}" if changed else "")


def comparison_text(found: Sequence[Mapping[str, Any]], width: int, color: bool) -> str:
    """Give the comparison as a table, one line a scorer, published row, set and metric, with its sources below."""
    if not found:
        return "No row of this run has published values of the same scorer and sets."
    numbers = _numbered(_stated(item["source"], item["published_protocol"]) for item in found)
    several = len({item["model"] for item in found}) > 1
    columns = [*(["model"] if several else []), "scorer", "published by", "OOD set", "metric"]
    cells, ends = [], []
    for place, item in enumerate(found):
        metric = NAMES.get(item["metric"], item["metric"])
        later = found[place + 1] if place + 1 < len(found) else item
        label = item["ood"] if item["kind"] == "ood" else f"mean {item['ood']}".replace("mean all", "mean")
        method = item["method"] + (f" of {item['published_model']}" if item["verdict"] == OTHER_MODEL else "")
        number = numbers[_stated(item["source"], item["published_protocol"])]
        names = [item["scorer"], _named(method, item["secondary"], number)]
        values = [_number(item["measured"]), _number(item["published"]), _signed(item["difference"])]
        cells.append([*([item["model"]] if several else []), *names, label, metric, *values, item["verdict"]])
        ends.append(_block(item) != _block(later))
    heads = [*columns, "measured", "published", "points", "verdict"]
    grid = Grid("Measured beside published (%)", heads, cells, ends, len(columns))
    return laid_out([], [grid], _footnotes(numbers, [(item["method"], item["note"]) for item in found]), width, color)


def published_text(preset: Preset, width: int, color: bool) -> str:
    """Give what was published of a preset as tables of AUROC and FPR95, with the preset's facts and the sources."""
    lines = [f"{preset.name}: {preset.description}", f"ID {_sized(preset.id)}"]
    if preset.csid:
        lines.append(f"covariate-shifted ID {', '.join(map(_sized, preset.csid))}")
    for group in dict.fromkeys(part.group for part in preset.ood):
        said = ", ".join(_sized(part) for part in preset.ood if part.group == group)
        lines.append(f"OOD {f'{group}: ' if group else ''}{said}")
    lines.append(f"protocol {preset.protocol}, means over {preset.averaging}, class names {preset.class_names}")
    if preset.prompts:
        lines.append("prompts " + "; ".join(f'"{template}"' for template in preset.prompts))
    if preset.preprocessing():
        lines.append("preprocessing " + ", ".join(f"{key} {value}" for key, value in preset.preprocessing().items()))
    lines += [*preset.notes, *(f"source: {source}" for source in preset.sources)]
    numbers = _numbered(_stated(row.source, row.protocol) for row in preset.published)
    metrics = dict.fromkeys(metric for row in preset.published for *_, metric, _ in row.numbers())
    grids = [_published_grid(preset, metric, numbers) for metric in NAMES if metric in metrics]
    notes = [(row.method, " ".join(filter(None, [row.note, row.means_differ]))) for row in preset.published]
    return laid_out(lines, grids, _footnotes(numbers, notes), width, color)


def _published_grid(preset: Preset, metric: str, numbers: Mapping[str, str]) -> Grid:
    """Lay one metric out: a line a published row, a column a set."""
    places = [("ood", part.name) for part in preset.ood]
    means = dict.fromkeys(group for row in preset.published for group, found in row.means.items() if metric in found)
    places += [("mean", group) for group in means]
    cells = []
    for row in preset.published:
        found = {(kind, place): value for kind, place, name, value in row.numbers() if name == metric}
        if found:
            name = _named(row.method, row.secondary, numbers[_stated(row.source, row.protocol)])
            cells.append([name, row.model, *(_number(found.get(place)) for place in places)])
    heads = [place if kind == "ood" else f"mean {place}".replace("mean all", "mean") for kind, place in places]
    return Grid(f"{NAMES[metric]} (%)", ["method", "model", *heads], cells, [False] * len(cells), 2)


def _sized(part: PresetSet) -> str:
    return f"{part.name} ({'unknown' if part.images is None else part.images})"


def _stated(source: str, protocol: str) -> str:
    return f"{source} (protocol {protocol})"


def _numbered(found: Iterable[str]) -> dict[str, str]:
    """Give each source its number, in the order in which they come."""
    return {source: str(place) for place, source in enumerate(dict.fromkeys(found), 1)}


def _named(method: str, secondary: bool, number: str) -> str:
    return f"{method} [{number}{', secondary' if secondary else ''}]"


def _footnotes(numbers: Mapping[str, str], notes: Iterable[tuple[str, str]]) -> list[str]:
    """List the sources, then each note once with the methods that it is about."""
    about: dict[str, dict[str, None]] = {}
    for method, note in notes:
        if note:
            about.setdefault(note, {})[method] = None
    listed = [f"[{number}] {source}" for source, number in numbers.items()]
    return [*listed, *(f"{', '.join(methods)}: {note}" for note, methods in about.items())]


def _block(item: Mapping[str, Any]) -> tuple[str, ...]:
    return item["model"], item["scorer"], item["method"], item["source"]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{round(value, 2) + 0.0:+.2f}"
