"""What a search leaves behind: clusters as a labelled set, a picture sheet, the head, and all figures as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ood_toolkit.api.picture import Picture
from ood_toolkit.benchmark.head_files import HEAD
from ood_toolkit.errors import StoreError
from ood_toolkit.learning.discovery.outcome import Taught
from ood_toolkit.learning.discovery.sheet import SHOWN, picture_sheet
from ood_toolkit.learning.discovery.study import Findings, Search
from ood_toolkit.learning.record import Record
from ood_toolkit.store.files import replaced_folder
from ood_toolkit.store.head_file import save_head

__all__ = ["ARRAYS", "CLUSTERS", "SHEET", "SUMMARY", "check_free", "write_search"]

CLUSTERS, ARRAYS, SHEET, SUMMARY = "clusters", "clusters.npz", "sheet.png", "clusters.json"


def check_free(folder: Path) -> None:
    """Refuse a folder that is there already, before hours of work."""
    if folder.exists():
        raise StoreError(f"{folder}: is there already; name a new folder with --output")


def write_search(
    search: Search, findings: Findings, taught: Taught | None, record: Record, result: Mapping[str, Any], folder: Path
) -> None:
    """Write everything into a new folder, whole or not at all."""
    check_free(folder)
    with replaced_folder(folder) as partial:
        summary = {**result, "clusters": [_listed(search, findings, cluster) for cluster in findings.clusters]}
        (partial / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
        _write_set(search, findings, partial)
        if taught is not None:
            cuts = torch.from_numpy(taught.trained.thresholds)
            about = {"id": search.name, "data": search.material.data, "clusters": len(findings.clusters)}
            save_head(partial / HEAD, taught.head, cuts, search.sets.origin(), about)
        names = () if taught is None else taught.head.class_names
        epochs = [] if taught is None else [epoch.flat(names) for epoch in taught.trained.history]
        record.write(partial, epochs, result)


def _listed(search: Search, findings: Findings, cluster: dict[str, Any]) -> dict[str, Any]:
    """Add to what is said of a cluster the ids of its images."""
    rows = findings.kept[findings.labels == cluster["number"] - 1]
    return {**cluster, "ids": search.images.ids[rows].tolist()}


def _write_set(search: Search, findings: Findings, folder: Path) -> None:
    """Write pictures into class folders with a sheet of them, or arrays where there are no pictures."""
    pictures = search.images.pictures
    if not findings.clusters:
        return
    if pictures is None:
        _write_arrays(search, findings, folder / ARRAYS)
        return
    rows = []
    for cluster in findings.clusters:
        members = findings.kept[findings.labels == cluster["number"] - 1].tolist()
        place = folder / CLUSTERS / cluster["name"].replace(" ", "_")
        place.mkdir(parents=True)
        for row in members:
            _write_picture(pictures[row], place / _file_name(row, search.images.ids[row]))
        caption = f"{cluster['name']}: {cluster['size']} images\nnear {cluster['nearest_class']}\n"
        some = np.linspace(0, len(members) - 1, min(SHOWN, len(members))).astype(int)
        shown = [pictures[members[at]] for at in some]
        words = ", ".join(cluster["words"][:2])
        rows.append((_plain(caption + words), [picture.decode(picture.read()) for picture in shown]))
    picture_sheet(rows).save(folder / SHEET)


def _write_picture(picture: Picture, path: Path) -> None:
    """Copy the bytes of a picture file; a picture that is in memory, or part of a file, becomes a PNG."""
    content = picture.read()
    if picture.file is not None and not picture.part and picture.file.suffix:
        path.with_suffix(picture.file.suffix.lower()).write_bytes(content)
    else:
        picture.decode(content).save(path.with_suffix(".png"))


def _file_name(row: int, name: str) -> str:
    """Make a file name of an id, with the row in front so that no two are one."""
    return f"{row:06d}-" + re.sub(r"[^A-Za-z0-9_-]+", "-", name)[-60:]


def _plain(text: str) -> str:
    """Leave what Pillow's own font has."""
    return text.encode("ascii", "replace").decode()


def _write_arrays(search: Search, findings: Findings, path: Path) -> None:
    """Write the features of clustered images as `oodkit import` takes them."""
    names = [cluster["name"] for cluster in findings.clusters]
    places = tuple(cluster["number"] - 1 for cluster in findings.clusters)
    rows, labels = findings.rows(places)
    np.savez(
        path,
        embeddings=search.images.features[rows],
        labels=labels,
        classes=np.array(names),
        ids=search.images.ids[rows],
    )
