"""Measured beside published: a preset's published numbers, and those of a run beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ood_toolkit.report.grid import Grid
from ood_toolkit.report.published import HEADINGS, cited, footnotes, judged, number_or_dash, numbered, stated
from ood_toolkit.report.results import Row
from ood_toolkit.report.table import laid_out

if TYPE_CHECKING:
    from ood_toolkit.benchmark.presets import Preset, PresetSet, Published

__all__ = ["beside_published", "published_text"]


def beside_published(
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
    that with OOD positive, and one whose rule is not stated with neither. A published row of another model is shown
    where no row of the run's own model is. Without `same_texts`, where the run had other prompts or negatives than the
    preset, there is no verdict.
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
            **judged(metric, measured, value, entry.allowed(metric), own=own, texts=texts, whole=whole),
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


def published_text(preset: Preset, width: int | None, color: bool) -> str:
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
    numbers = numbered(stated(row.source, row.protocol) for row in preset.published)
    metrics = dict.fromkeys(metric for row in preset.published for *_, metric, _ in row.numbers())
    grids = [_published_grid(preset, metric, numbers) for metric in HEADINGS if metric in metrics]
    notes = [(row.method, " ".join(filter(None, [row.note, row.means_differ]))) for row in preset.published]
    return laid_out(lines, grids, footnotes(numbers, notes), width, color)


def _published_grid(preset: Preset, metric: str, numbers: Mapping[str, str]) -> Grid:
    """Lay one metric out: a line a published row, a column a set."""
    places = [("ood", part.name) for part in preset.ood]
    means = dict.fromkeys(group for row in preset.published for group, found in row.means.items() if metric in found)
    places += [("mean", group) for group in means]
    cells = []
    for row in preset.published:
        found = {(kind, place): value for kind, place, name, value in row.numbers() if name == metric}
        if found:
            name = cited(row.method, row.secondary, numbers[stated(row.source, row.protocol)])
            cells.append([name, row.model, *(number_or_dash(found.get(place)) for place in places)])
    heads = [place if kind == "ood" else f"mean {place}".replace("mean all", "mean") for kind, place in places]
    return Grid(f"{HEADINGS[metric]} (%)", ["method", "model", *heads], cells, [False] * len(cells), 2)


def _sized(part: PresetSet) -> str:
    return f"{part.name} ({'unknown' if part.images is None else part.images})"
