"""Named sets to `Outputs`: which model answers for them, which of their images are for what, under which head."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ood_toolkit.benchmark.heads import head_for, head_of_prompts
from ood_toolkit.benchmark.members import Member
from ood_toolkit.benchmark.sets_header import sets_header
from ood_toolkit.benchmark.settings import Settings
from ood_toolkit.benchmark.splits import Split, of_known_classes, split_of
from ood_toolkit.encode.choice import Find, Imported
from ood_toolkit.encode.encoded_sets import EncodedSets
from ood_toolkit.encode.images import encode_pictures
from ood_toolkit.encode.imported_sets import ImportedSets
from ood_toolkit.encode.ray.cluster import encode_on_ray
from ood_toolkit.encode.sets import Place, Sets, drawn
from ood_toolkit.errors import DataError
from ood_toolkit.models.names import Choice
from ood_toolkit.models.remembered import remembered
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.store.imports import Imports

__all__ = ["Gathered", "gather", "open_sets", "ready_scores"]


@dataclass(frozen=True, eq=False)
class Gathered:
    """Everything that `bench` needs, from names."""

    members: dict[str, Member]
    groups: dict[str, tuple[str, ...]]
    about: dict[str, Any]
    tune: dict[str, Outputs] = field(default_factory=dict)


def open_sets(
    choice: Choice | Imported,
    find: Find,
    place: Place,
    kinds: Sequence[str] = (),
    wished: Sequence[str] = (),
    progress: Callable[..., None] = lambda *told: None,
) -> Sets:
    """Load the chosen model, or open the arrays that were imported under its label.

    `kinds` are encoded beside the features, and those `wished` that the model has.
    """
    if isinstance(choice, Imported):
        return ImportedSets(Imports(place.store), choice.label, place.effort.device)
    progress(f"loading {choice.name}", 0, 0)
    encoder = encode_on_ray if place.effort.engine == "ray" else encode_pictures
    if place.needs_pictures or place.effort.compile or encoder is encode_on_ray:  # the network itself is asked for
        model = choice.load()
    else:
        model = remembered(choice, place.store, again=place.effort.rehash)
    kept = dict.fromkeys([*kinds, *(kind for kind in wished if kind in model.kinds)])
    return EncodedSets(model, find, place, tuple(kept), progress, encoder)


def gather(settings: Settings, sets: Sets, *, with_train: bool) -> Gathered:
    """Open every set of the settings under the head of each ID set."""
    sets.look_for((*settings.ids, *settings.ood, *settings.csid))
    tune_splits = {one: "val" if sets.has(one, "val", download=True) else "test" for one in settings.tune}
    for one, split in tune_splits.items():
        sets.look_for([one], split)
    heads = {name: head_for(settings, sets, name) for name in settings.ids}
    of_prompts = {name: head_of_prompts(settings, sets, name) for name in settings.ids}
    if settings.local is not None and sets.has_text_tower():
        for name, head in heads.items():
            if name not in settings.trained:
                sets.take_local_under(head, of_prompts[name](settings.local))
    splits = {name: _split(sets, name, head, settings) for name, head in heads.items()}
    members, tune, notes = {}, dict[str, Outputs](), list[str]()
    validated = all("val" in split.parts for split in splits.values())
    for name, head in heads.items():
        csid, left_out = _shifted(sets, name, head, settings)
        notes += left_out
        train = with_train and sets.has(name, "train", download=True)
        members[name] = Member(
            val=_parts(sets, splits, "val", head, name) if validated else None,
            tests=_parts(sets, splits, "test", head, name),
            ood={one: _ood(sets, one, head, "test", settings) for one in settings.ood},
            train=_limited(_with_ids(sets.outputs(name, "train", head), name, "train"), settings) if train else None,
            heads=None if head is None or head.kind == "linear" or name in settings.trained else of_prompts[name],
            reads_prompts=sets.has_text_tower(),
            csid=csid,
            store=sets.store,
        )
        for one, split in tune_splits.items():
            tune[one] = _ood(sets, one, head, split, settings)
    where = {name: split.where for name, split in splits.items()}
    about = sets_header(settings, sets, where, tune_splits, notes)
    return Gathered(members, {k: v for k, v in settings.groups.items() if k}, about, tune)


def _split(sets: Sets, name: str, head: Head | None, settings: Settings) -> Split:
    x = sets.outputs(name, "test", head)
    own = settings.val_split is None and sets.has(name, "val")
    val = sets.outputs(name, "val", head) if own else None
    return split_of(sets, name, x, settings.val_split, settings.seed, settings.limit, val)


def _parts(sets: Sets, splits: Mapping[str, Split], part: str, head: Head | None, own: str) -> dict[str, Outputs]:
    """Take of every ID set the images that are for a part, `test` or `val`, under the head of the ID set `own`."""
    found = {}
    for name, split in splits.items():
        theirs, rows = split.parts[part]
        x = _with_ids(sets.outputs(name, theirs, head, own=name == own), name, theirs)
        found[name] = x if rows is None else x[rows]
    return found


def _ood(sets: Sets, name: str, head: Head | None, split: str, settings: Settings) -> Outputs:
    return _limited(_with_ids(sets.ood(name, head, split), name, split), settings)


def _shifted(sets: Sets, of: str, head: Head | None, settings: Settings) -> tuple[dict[str, Outputs], list[str]]:
    """Take the covariate-shifted sets, each without the classes that the ID set lacks; and say what was left out."""
    found, notes = {}, list[str]()
    for name in settings.csid:
        x, left_out = of_known_classes(sets.shifted(name, of, head), name, of)
        found[name] = _limited(_with_ids(x, name, "test"), settings)
        notes += left_out
    return found, notes


def ready_scores(sets: Sets, names: Iterable[str]) -> dict[str, dict[str, np.ndarray]] | None:
    """Give the arrays of sets of which only ready scores were imported, by name; None where none is such a set."""
    if not isinstance(sets, ImportedSets):
        return None
    found = {name: sets.arrays(name, "test") for name in names}
    with_scores = [name for name, arrays in found.items() if "scores" in arrays]
    if not with_scores:
        return None
    if len(with_scores) < len(found):
        other = next(name for name in found if name not in with_scores)
        raise DataError(f"{with_scores[0]} holds ready scores but {other} does not; import both the same way")
    return found


def _limited(x: Outputs, settings: Settings) -> Outputs:
    rows = drawn(len(x), settings.limit, settings.seed)
    return x if rows is None else x[rows]


def _with_ids(x: Outputs, name: str, split: str) -> Outputs:
    """Name nameless rows by their place, so that a row of the results says which image it was."""
    return x if x.ids is not None else x.named([f"{name}/{split}/{i}" for i in range(len(x))])
