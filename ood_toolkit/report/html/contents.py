"""`contents`: everything that a page shows of a report, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ood_toolkit.report.cells import plain
from ood_toolkit.report.columns import footnotes, summary
from ood_toolkit.report.html.by_class import class_names, id_by_class, ood_by_class
from ood_toolkit.report.html.facts import facts
from ood_toolkit.report.html.galleries import Album
from ood_toolkit.report.html.histograms import histograms
from ood_toolkit.report.html.numbers import exact
from ood_toolkit.report.html.positions import Positions, cut_of, grouped
from ood_toolkit.report.html.samples import id_sample, ood_sample
from ood_toolkit.report.html.summary import block_names, columns, label_of, right_columns, values
from ood_toolkit.report.images_of_rows import Case, case_of, id_sets_of
from ood_toolkit.report.order import block_of
from ood_toolkit.report.published import comparison_grid
from ood_toolkit.report.report import Report
from ood_toolkit.report.results import Row
from ood_toolkit.report.run_header import id_names, parts_of

__all__ = ["contents"]


def contents(report: Report) -> dict[str, Any]:
    """Give what the page shows; texts are lines that only print, numbers those of the report.

    Raises `DataError` where the run lacks the scores that a row was computed from.
    """
    rows = [row for row in report.rows if row.status == "ok"]
    detection, right = columns(report.header, rows), right_columns(rows)
    blocks = block_names(rows)
    places = {block: place for place, (block, _) in enumerate(blocks)}
    album, shown = Album(report.gallery), Cases(report)
    cases = [shown.case(case, places[block_of(row)], album) for row in rows if (case := case_of(report, row))]
    at = {(case["block"], case["ood"]): place for place, case in enumerate(cases)}
    listed = []
    for row in rows:
        block = places[block_of(row)]
        wanted = right if row.kind == "misclassification" else detection
        listed.append({
            "kind": row.kind, "block": block, "ood": label_of(row), "seconds": exact(row.seconds),
            "values": values(row, wanted), "case": at.get((block, label_of(row))) if row.kind == "ood" else None,
            "against": _against(report.header, row) if row.kind == "ood" else None,
        })  # fmt: skip
    return {
        "title": _title(report.header),
        "lines": [plain(line).replace("in brackets", "below the values", 1) for line in summary(report.header)],
        "columns": detection,
        "rightColumns": right,
        "rows": listed,
        "blocks": [{"label": plain(label), **shown.blocks.get(place, {})} for place, (_, label) in enumerate(blocks)],
        "cases": cases,
        "names": [[plain(name) for name in names] for names in shown.names],
        "pictures": album.pictures,
        "noPictures": _no_pictures(report, album),
        "published": _published(report.header),
        "notes": [plain(note) for note in footnotes(report.rows)],
        "facts": facts(report.header),
    }


class Cases:
    """The cases of a report on their way into the page; what several share is kept once."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.protocol = str(report.header["protocol"])
        self.blocks: dict[int, dict[str, Any]] = {}
        self.names: list[list[str]] = []

    def case(self, case: Case, block: int, album: Album) -> dict[str, Any]:
        """Give one case; the first of a block also tells what holds for the block."""
        groups = grouped(case)
        sizes = {name: len(scores) for name, scores in groups.items()}
        names = class_names(case)
        if block not in self.blocks:
            self.blocks[block] = self._block(case, names)
        return {
            "block": block,
            "ood": plain(case.row.ood),
            "sizes": sizes,
            "positions": Positions.of(case).to_page(sizes, self.protocol),
            "histogram": histograms(groups),
            "classes": ood_by_class(case, names) if self.blocks[block]["classes"] else None,
            "sample": ood_sample(case),
            "errors": album.of(case, id_sets_of(self.report, case.row)),
        }

    def _block(self, case: Case, names: list[str]) -> dict[str, Any]:
        if names not in self.names:
            self.names.append(names)
        cut = cut_of(case)
        return {
            "names": self.names.index(names),
            "cut": None if cut is None else exact(cut),
            "margin": case.row.scorer in case.test.class_cuts,
            "classes": id_by_class(case, names, cut),
            "sample": id_sample(case),
        }


def _published(header: Mapping[str, Any]) -> dict[str, Any] | None:
    """Give published values beside measured ones, where the run's preset has some."""
    if not header.get("published"):
        return None
    grid, notes = comparison_grid(header["published"])
    grid = grid.written(plain)
    return {"columns": grid.columns, "texts": grid.text_columns, "rows": grid.rows, "notes": list(map(plain, notes))}


def _title(header: Mapping[str, Any]) -> str:
    _, part = next(iter(parts_of(header)))
    return plain(f"{' and '.join(id_names(part))} against {_listed(list(part['ood']))}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 6 else f"{len(names)} OOD sets"


def _against(header: Mapping[str, Any], row: Row) -> dict[str, Any] | None:
    """Give the paired test of a row against another scorer, where there is one."""
    for test in header.get("paired") or []:
        same = (test["id"], test["ood"], test["scorer"]) == (row.id, row.ood, row.scorer)
        if same and test.get("model", row.model) == row.model and test.get("decider", row.decider) == row.decider:
            return {
                "scorer": plain(test["against"]["scorer"]),
                "difference": exact(test["difference"]),
                "p": exact(test["p_holm"]),
            }
    return None


def _no_pictures(report: Report, album: Album) -> str:
    """Say why images have no picture, or some have none."""
    if report.gallery is None:
        return (
            "This run holds no pictures. oodkit bench --gallery 12 keeps thumbnails where the pictures are at hand; "
            "imported vectors have none."
        )
    if not len(report.gallery):
        return "There were no pictures at hand: these are imported vectors, or their pictures are gone."
    if album.left_out:
        return f"{album.left_out} pictures are left out, so that the page stays small."
    return ""
