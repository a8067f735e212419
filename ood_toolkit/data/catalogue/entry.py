"""`published`: a data set of the catalogue, from the layouts it is read in and the facts that are known of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ood_toolkit.api.dataset import SIMPLE, DataSet, Pictures
from ood_toolkit.data.readers.folders import ClassFolders, Reader, class_folders
from ood_toolkit.errors import AbsentError, DataError, one_line

__all__ = ["OPENAI", "in_class_folders", "published", "unsourced"]

Known = ClassFolders | Callable[[], ClassFolders] | None
"""The classes of a set, or what gives them when it is opened; None: the folders say."""
OPENAI = "after openai/CLIP, data/prompts.md"
DOWNLOAD = "Get it with --download"


def published(
    name: str,
    description: str,
    counts: Mapping[str, int | None],
    readers: tuple[Reader, ...],
    places: tuple[str, ...],
    *,
    get: str = DOWNLOAD,
    known: Known = None,
    sources: Mapping[str, str],
    templates: tuple[str, ...] = SIMPLE,
    class_count: int = 0,
    download: Callable[[Path], None] | None = None,
    **facts: Any,
) -> DataSet:
    """Make a set that is read through the first layout present, and at last as class folders `<name>/<split>/`.

    `places` says in words what `readers` look for, `get` how it gets there. `class_count` is needed where the classes
    are known only when the set is opened.
    """
    fixed = known.names if isinstance(known, ClassFolders) else ()
    class_count = len(fixed) or class_count
    single = tuple(counts) == ("test",)
    inside = "<class>/<image>" if class_count else "<image>"
    places = (*places, f"{name}/{'[test/]' if single else '<split>/'}{inside}")
    readers = (*readers, in_class_folders(name, known, class_count, single=single))

    def open_split(split: str, root: Path) -> Pictures:
        if split not in counts:
            raise DataError(f"{name} has no split {split!r}: use {' or '.join(counts)}")
        for read in readers:
            if (found := read(split, root)) is not None:
                return _noted(found, counts[split])
        raise AbsentError(f"{name}: no {split} images below {root}; looked for {', or '.join(places)}. {get}")

    return DataSet(
        name=name,
        description=description,
        open=open_split,
        counts=counts,
        classes=fixed,
        class_count=class_count,
        templates=templates,
        download=_told(name, download) if download else None,
        layout=(*places, get),
        sources={"templates": OPENAI if templates != SIMPLE else "this package's default", **sources},
        **facts,
    )


def in_class_folders(name: str, known: Known = None, count: int = 0, *, single: bool = False) -> Reader:
    """Make a reader of `<name>/<split>/<class>/<image>`; with a single split its own folder may be left out."""

    def read(split: str, root: Path) -> Pictures | None:
        base = root / name
        if not base.is_dir():
            return None
        classes = known() if callable(known) else known
        if (base / split).is_dir():
            return class_folders(base / split, classes, count, f"{split}/")
        return class_folders(base, classes, count) if single and any(base.iterdir()) else None

    return read


def unsourced(dataset: DataSet) -> list[str]:
    """Name the facts of a set that say something without saying where it is from."""
    stated = {
        "counts": any(count is not None for count in dataset.counts.values()),
        "classes": bool(dataset.classes or dataset.class_count),
        "templates": bool(dataset.templates),
        "licence": dataset.licence != "unknown",
        "source": dataset.source != "unknown",
        "checksum": dataset.download is not None,
    }
    return [fact for fact, said in stated.items() if said and not dataset.sources.get(fact)]


def _told(name: str, download: Callable[[Path], None]) -> Callable[[Path], None]:
    """Say what went wrong with a download in one line."""

    def bring(root: Path) -> None:
        try:
            download(root)
        except (OSError, RuntimeError, EOFError) as error:
            raise DataError(f"{name}: the download failed: {one_line(error)}") from error

    return bring


def _noted(found: Pictures, count: int | None) -> Pictures:
    if count is None or len(found) == count:
        return found
    if len(found) < count:
        note = f"{len(found):,} of the published {count:,} images are here"
    else:
        note = f"{len(found):,} images are here, {count:,} are published"
    return replace(found, notes=(*found.notes, note))
