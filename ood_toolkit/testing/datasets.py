"""`check_dataset`: the checks of data sets, on the splits that are here."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ood_toolkit.api.dataset import DataSet, Pictures
from ood_toolkit.api.guards import check_pictures
from ood_toolkit.errors import AbsentError, DataError
from ood_toolkit.testing.expectations import BreachError, expect
from ood_toolkit.testing.outcome import CheckReport, outcome

__all__ = ["check_dataset"]

LOOKED_AT = 5
"""Pictures of each split that are decoded, first, last and between."""


def check_dataset(dataset: DataSet | str, root: Path | str | None = None) -> CheckReport:
    """Open every split of `dataset` below the data root and check its pictures; `ConformanceError` lists what failed.

    A split whose pictures are not here is not checked, and said in the report's `exempted`. Raises `DataError` for what
    is no data set.
    """
    made = _found(dataset)
    folder = Path() if root is None else Path(root)
    checks: dict[str, Callable[[], None]] = {"declaration": partial(_declaration, made)}
    absent: dict[str, str] = {}
    for split in made.counts:
        names = {f"{split}-{name}": partial(check, made, split, folder) for name, check in CHECKS.items()}
        checks |= names
        try:
            made.open(split, folder)
        except AbsentError as error:
            absent |= dict.fromkeys(names, f"not here: {error}")
        except Exception:
            continue  # the checks say so
    return outcome(made.name, checks, absent, getattr(made.open, "__module__", None) or "")


def _found(dataset: DataSet | str) -> DataSet:
    if isinstance(dataset, str):
        from ood_toolkit.api.registry import get_registry

        made: DataSet = get_registry().get("datasets", dataset)
        return made
    if not isinstance(dataset, DataSet):
        raise DataError(f"expected a DataSet or its name, got {dataset!r}")
    return dataset


def _declaration(dataset: DataSet) -> None:
    slug = re.fullmatch(r"[a-z0-9]+([-_.][a-z0-9]+)*", str(dataset.name)) is not None
    expect(slug, "name to be a slug such as my-set", repr(dataset.name))
    expect(dataset.description.strip() != "", "a description of one line", repr(dataset.description))
    expect("\n" not in dataset.description, "a description of one line", repr(dataset.description))
    expect(len(dataset.counts) > 0, "counts to name at least one split", repr(dataset.counts))
    strange = sorted(set(dataset.counts) - {"train", "val", "test"})
    expect(not strange, "splits called train, val or test", ", ".join(strange))
    if dataset.classes:
        expect(len(set(dataset.classes)) == len(dataset.classes), "distinct class names", "one that repeats")
        same = dataset.class_count in (0, len(dataset.classes))
        expect(same, f"class_count {len(dataset.classes)}, as there are classes", dataset.class_count)
    for template in dataset.templates:
        expect(template.count("{}") == 1, "templates with one {} for the class name", repr(template))


def _opened(dataset: DataSet, split: str, root: Path) -> Pictures:
    try:
        return check_pictures(dataset.open(split, root), split, dataset.classes)
    except DataError as error:
        raise BreachError(str(error)) from None


def _pictures(dataset: DataSet, split: str, root: Path) -> None:
    made = _opened(dataset, split, root)
    wanted = dataset.counts[split]
    if wanted is not None and not made.notes:
        expect(len(made) == wanted, f"{wanted} pictures, as counts says, or a note", len(made))
    if dataset.classes and made.labels is not None:
        same = not made.classes or tuple(made.classes) == tuple(dataset.classes)
        expect(same, "the classes that the data set declares", f"{made.classes[:3]} ...")


def _ids(dataset: DataSet, split: str, root: Path) -> None:
    made, again = _opened(dataset, split, root), _opened(dataset, split, root)
    expect(made.ids == again.ids, "the same ids in the same order when opened again", "others")
    local = next((name for name in made.ids if Path(name).is_absolute() or str(root.resolve()) in name), None)
    expect(local is None, "ids that hold on any machine, without its folders", repr(local))


def _images(dataset: DataSet, split: str, root: Path) -> None:
    from PIL.Image import Image

    made = _opened(dataset, split, root)
    places = sorted({round(i * (len(made) - 1) / (LOOKED_AT - 1)) for i in range(LOOKED_AT)})
    for place in places:
        image, item = made.images[place], made.items[place]
        expect(isinstance(image, Image), f"picture {made.ids[place]!r} to decode to a PIL image", type(image).__name__)
        expect(min(image.size) > 0, f"picture {made.ids[place]!r} to have pixels", image.size)
        same = item.read() == item.read()
        expect(same, f"picture {made.ids[place]!r} to read the same bytes again", "others")


CHECKS: dict[str, Callable[[DataSet, str, Path], None]] = {"pictures": _pictures, "ids": _ids, "images": _images}
