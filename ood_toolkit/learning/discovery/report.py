"""What `oodkit discover` prints: a table of clusters, and the figures that there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ood_toolkit.report.grid import Grid
from ood_toolkit.report.table import laid_out

__all__ = ["summary"]

GROUPS = {
    "new": "of classes that the ID set lacks",
    "known_training": "of known classes, training images that the detector was fitted on",
    "known_others": "of known classes, other images",
    "training_images": "training images that the detector was fitted on",
    "others": "other images",
}
KNOWN = {"known": "known test images", "discovered": "new test images"}


def summary(
    result: Mapping[str, Any], clusters: Sequence[Mapping[str, Any]], output: Path, width: int | None, color: bool
) -> str:
    """Give what is printed, as text of `width` columns; None folds nothing."""
    lines, found = [*_looked_at(result)], [*_truth(result), *_head(result), *_detection(result)]
    tables = [_table(clusters)] if clusters else []
    if not clusters:
        lines.append("no clusters; try --noise 0.2, a smaller --min-size or --method hdbscan")
    above = laid_out(lines, tables, [], width, color)
    return "\n".join([above, "", laid_out([*found, f"written to {output}"], [], [], width, color)])


def _looked_at(result: Mapping[str, Any]) -> Iterator[str]:
    said = result["looked_at"]
    yield f"{said['kept']:,} of {said['images']:,} images are uncertain by {result['scorer']}:"
    for group, words in GROUPS.items():
        if said.get(group, {}).get("images"):
            yield f"  {said[group]['kept']:,} of {said[group]['images']:,} {words}"


def _table(clusters: Sequence[Mapping[str, Any]]) -> Grid:
    columns = ["cluster", "nearest class", "nearest words", "true class", "images", "purity"]
    rows = [
        [
            one["name"], one["nearest_class"], ", ".join(one["words"][:3]), one.get("class", ""),
            f"{one['size']:,}", f"{one['purity']:.2f}" if "class" in one else "",
        ]
        for one in clusters
    ]  # fmt: skip
    shown = [place for place in range(len(columns)) if any(row[place] for row in rows)]
    cells = [[row[place] for place in shown] for row in rows]
    names = sum(place < columns.index("images") for place in shown)
    return Grid("Clusters", [columns[place] for place in shown], cells, [False] * len(rows), names)


def _truth(result: Mapping[str, Any]) -> Iterator[str]:
    for key, words in (("clusters_found", "as found"), ("clusters_written", "with near images, as written")):
        said = result.get(key)
        if said and said["images"]:
            yield (
                f"clusters {words}: {said['images']:,} images, purity {said['purity']:.3f}, NMI {said['nmi']:.3f}, "
                f"ARI {said['ari']:.3f}; {said['classes_found']} of {result['new_classes']} new classes"
            )


def _head(result: Mapping[str, Any]) -> Iterator[str]:
    if "id_accuracy" not in result:
        return
    said = result["id_accuracy"]
    own = "" if said["own_head"] is None else f"{100 * said['own_head']:.2f} % of the model's own head, "
    yield (
        f"ID accuracy: {own}{100 * said['old_classes_head']:.2f} % of a linear head on the known classes, "
        f"{100 * said['new_head']:.2f} % of the new head"
    )
    if "new_accuracy" in result:
        classes = ", ".join(f"{name} {100 * share:.1f}" for name, share in result["new_accuracy_by_class"].items())
        yield (
            f"accuracy on {result['new_images']:,} test images of the new classes: "
            f"{100 * result['new_accuracy']:.2f} % ({classes})"
        )


def _detection(result: Mapping[str, Any]) -> Iterator[str]:
    for when, found in result.get("detection", {}).items():
        if "note" in found:
            yield f"detection {when}: skipped: {found['note']}"
            continue
        for known, words in KNOWN.items():
            for ood, said in found.get(known, {}).items():
                if ood != "accepted":
                    yield (
                        f"detection {when}: {words} against {ood}: AUROC {100 * said['auroc']:.2f}, "
                        f"FPR95(ID) {100 * said['fpr95_id']:.2f}"
                    )
