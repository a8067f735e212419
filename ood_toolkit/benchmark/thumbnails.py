"""Thumbnails of the images that a report shows, made of the pictures that were scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ood_toolkit.encode.sets import Sets
from ood_toolkit.encode.thumbnails import thumbnail
from ood_toolkit.report import Report
from ood_toolkit.report.gallery import Gallery
from ood_toolkit.report.images_of_rows import cases_of, id_sets_of
from ood_toolkit.report.picks import picks

__all__ = ["with_gallery"]


def with_gallery(
    report: Report, sets: Sets, count: int, progress: Callable[[str, int, int], None] = lambda what, done, of: None
) -> Report:
    """Add thumbnails of at most `count` images of each kind of error, for every scorer and OOD set.

    An image is made once, whoever picks it. Imported arrays have no pictures, and neither has a set whose files are
    gone: the gallery is then without them.
    """
    wanted = _wanted(report, count)
    total, done = sum(map(len, wanted.values())), 0
    made: dict[str, dict[str, bytes]] = {}
    for name, identities in wanted.items():
        pictures = sets.pictures_of(name)
        rows = {} if pictures is None else {identity: row for row, identity in enumerate(pictures.ids)}
        for identity in identities:
            done += 1
            if pictures is None or identity not in rows:
                continue
            progress("thumbnails", done, total)
            content = thumbnail(pictures.items[rows[identity]])
            if content is not None:
                made.setdefault(name, {})[identity] = content
    return replace(report, gallery=Gallery(count, made))


def _wanted(report: Report, count: int) -> dict[str, dict[str, None]]:
    """Name the images that any page of the report shows, by data set."""
    wanted: dict[str, dict[str, None]] = {}
    for case in cases_of(report):
        for pick in picks(case, count):
            missed = pick.kind == "missed"
            ids = (case.ood if missed else case.test).ids[pick.rows]
            for name in [case.row.ood] if missed else id_sets_of(report, case.row):
                wanted.setdefault(name, {}).update(dict.fromkeys(map(str, ids)))
    return wanted
