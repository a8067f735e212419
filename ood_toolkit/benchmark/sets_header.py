"""What a run's header says of its sets: model, prompts, validation, and what is to be known before a number is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ood_toolkit.benchmark.heads import templates_of
from ood_toolkit.benchmark.settings import Settings
from ood_toolkit.data.by_path import real_place
from ood_toolkit.encode.sets import Sets
from ood_toolkit.errors import DataError
from ood_toolkit.outputs.class_names import first_few
from ood_toolkit.store.head_file import read_head

__all__ = ["sets_header"]


def sets_header(
    settings: Settings, sets: Sets, where: Mapping[str, str], tune_splits: Mapping[str, str], notes: Sequence[str]
) -> dict[str, Any]:
    """Give the header's entries on opened sets.

    `where` says of each ID set where its validation images are from, `tune_splits` which split of each set is tuned on;
    `notes` are those that opening the sets gave.
    """
    templates = {name: templates_of(settings, sets, name) for name in settings.ids}
    return {
        "model": sets.label,
        "weights": sets.fingerprint,
        "prompts": _said(list(dict.fromkeys(t for named in templates.values() for t in named))),
        "templates": templates,
        **({"heads": dict(settings.trained), "shots": _shots(settings)} if settings.trained else {}),
        "recipe": settings.text_recipe,
        "validation": dict(where),
        **settings.told,
        "notes": [
            *sets.notes(),
            *_classes(settings, sets),
            *_one_place(settings),
            *_shared(settings, sets),
            *notes,
            *_also_tested(settings, sets, tune_splits),
        ],
        **({"tune_splits": tune_splits} if tune_splits else {}),
        **sets.about(),
    }


def _shots(settings: Settings) -> dict[str, int]:
    """Say of each ID set from how many images a class its head was trained, where it was not from all."""
    found = {name: read_head(file).about.get("shots") for name, file in settings.trained.items()}
    return {name: shots for name, shots in found.items() if isinstance(shots, int)}


def _classes(settings: Settings, sets: Sets) -> list[str]:
    """Say which classes an ID set has that is named by its place: there nobody else says so."""
    notes = []
    for name in settings.ids:
        try:
            known = sets.classes(name) if real_place(name) is not None else ()
        except DataError:  # a set without classes under a linear head
            known = ()
        if known:
            which = "1 class" if len(known) == 1 else f"{len(known):,} classes"
            notes.append(f"{name}: {which}: {first_few(known, 10, str)}")
    return notes


def _one_place(settings: Settings) -> list[str]:
    """Say which sets are one and the same place under two names, such as `folder:a` and `folder:./a`."""
    named: dict[str, str] = {}
    notes = []
    for name in dict.fromkeys((*settings.ids, *settings.ood, *settings.csid, *settings.tune)):
        place = real_place(name)
        other = name if place is None else named.setdefault(place, name)
        if other != name:
            notes.append(f"{other} and {name} are one place: its images are counted under both names")
    return notes


def _shared(settings: Settings, sets: Sets) -> list[str]:
    """Say which other sets hold images of an ID set's test split, known by their bytes."""
    notes = []
    for name in settings.ids:
        for other in (*settings.ood, *settings.csid):
            count, of = _copied(sets, (other, "test"), (name, "test"))
            if count:
                notes.append(f"{count:,} of the {of:,} images of {other} are also in {name}")
    return notes


def _also_tested(settings: Settings, sets: Sets, splits: Mapping[str, str]) -> list[str]:
    """Say which sets that parameters are searched on hold images that are tested on, known by their bytes."""
    notes = []
    for name, split in splits.items():
        for tested in (*settings.ids, *settings.ood, *settings.csid):
            count, of = _copied(sets, (name, split), (tested, "test"))
            if count:
                notes.append(f"{count:,} of the {of:,} images of {name} that are tuned on are also in {tested}")
    return notes


def _copied(sets: Sets, some: tuple[str, str], others: tuple[str, str]) -> tuple[int, int]:
    """Count the images of a set's split that another holds too, and all of them; 0 where images are not known."""
    keys, known = sets.keys(*some), sets.keys(*others)
    if keys is None or known is None:
        return 0, 0
    here = {key.tobytes() for key in known}
    return sum(key.tobytes() in here for key in keys), len(keys)


def _said(templates: Sequence[str]) -> str:
    shown = templates[:3] if len(templates) <= 3 else templates[:1]
    more = f" and {len(templates) - 1} more" if len(templates) > 3 else ""
    return "; ".join(f'"{template}"' for template in shown) + more
