"""`Member`: what one model put out for all sets of a run; how members' sets are called, checked and aligned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ood_toolkit.api.scorer import Prompts
from ood_toolkit.api.spec import nearest
from ood_toolkit.errors import DataError, OutputsError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.class_names import ClassNames
from ood_toolkit.outputs.head import Head
from ood_toolkit.report.results import TEST, VAL, test_key

__all__ = [
    "Member",
    "check_groups",
    "check_shifted",
    "class_names",
    "common_names",
    "has_shared_val",
    "head_print",
    "member_sets",
    "named",
    "shared_set",
    "sharing",
]


@dataclass(frozen=True, eq=False)
class Member:
    """One model of an ensemble: what it put out for all sets of the run."""

    val: Outputs | Mapping[str, Outputs] | None
    """ID validation of its own set, or of every member's set by name, its own among them."""
    tests: Mapping[str, Outputs]
    """The ID test of every member's set by name, under this model's head."""
    ood: Mapping[str, Outputs]
    """The OOD sets by name, under this model's head."""
    train: Outputs | None = None
    """ID training images, for scorers that learn from them."""
    heads: Callable[[Prompts], Head] | None = field(default=None, repr=False)
    """Makes the head of a scorer's own prompts, where the model has a text tower or texts to choose from."""
    reads_prompts: bool = True
    """Whether `heads` can encode other prompts; without a text tower it only chooses among given texts."""
    csid: Mapping[str, Outputs] = field(default_factory=dict)
    """Covariate-shifted ID sets by name, for the full spectrum: images of the same classes, taken otherwise."""
    store: Path | None = None
    """Where the lists of texts that its scorers choose are remembered; None where nothing is."""


def named(members: Mapping[str, Member] | Sequence[Member]) -> dict[str, Member]:
    """Give members by the name of their ID set; `OutputsError` where one lacks a set or they are not aligned."""
    named = dict(members) if isinstance(members, Mapping) else _by_own_set(members)
    if not named:
        raise OutputsError("members: expected one for each ID set, under its name, got none")
    for name, member in named.items():
        for other in named:
            if other not in member.tests:
                raise OutputsError(f"members: {name!r} has no outputs for the ID test of {other!r}")
        if set(member.ood) != set(next(iter(named.values())).ood):
            raise OutputsError(f"members: {name!r} has other OOD sets than the first member")
    return {name: _aligned(name, member, named) for name, member in named.items()}


def check_groups(groups: Mapping[str, Sequence[str]], ood: Mapping[str, Outputs]) -> None:
    """Refuse a group of an OOD set that is not there."""
    for group, names in groups.items():
        for name in names:
            if name not in ood:
                raise OutputsError(f"groups: {group!r} names the unknown OOD set {name!r}; {nearest(name, ood)}")


def shared_set(members: Mapping[str, Member] | Sequence[Member]) -> str | None:
    """Give the one ID set that several members are classifiers of; None where each has a set of its own."""
    listed = list(members.values() if isinstance(members, Mapping) else members)
    tests = {tuple(member.tests) for member in listed}
    only = next(iter(tests), ())
    return only[0] if len(listed) > 1 and len(tests) == len(only) == 1 else None


def sharing(members: Mapping[str, Member] | Sequence[Member], id_name: str) -> dict[str, Member]:
    """Give the classifiers of one ID set by name, all with the images in the order of the first.

    `OutputsError` where they have no names, other OOD or covariate-shifted sets, or other images.
    """
    if not isinstance(members, Mapping):
        raise OutputsError(
            f"members: expected one for each ID set, got {len(members)} for {id_name}; pass a dict by the names of the "
            "classifiers"
        )
    first = next(iter(members.values()))
    for name, member in members.items():
        for kind, sets, others in (("OOD", member.ood, first.ood), ("csid", member.csid, first.csid)):
            if set(sets) != set(others):
                raise OutputsError(f"members: {name!r} has other {kind} sets than the first member")
    wanted = _on_one_set(first, id_name)
    return {name: _like_first(name, _on_one_set(member, id_name), wanted, id_name) for name, member in members.items()}


def _on_one_set(member: Member, id_name: str) -> Member:
    return replace(member, val=_val_of(member, id_name, id_name))


def _like_first(name: str, member: Member, first: Member, id_name: str) -> Member:
    """Bring every set of a classifier into the row order of the first one's."""
    val, like = member.val, first.val
    assert not isinstance(val, Mapping)
    assert not isinstance(like, Mapping)
    if (val is None) != (like is None):
        raise OutputsError(f"members: expected validation images of every classifier or of none; see {name!r}")
    return replace(
        member,
        val=None if val is None else _like(name, f"the validation of {id_name}", val, like),
        tests={id_name: _like(name, id_name, member.tests[id_name], first.tests[id_name])},
        ood={key: _like(name, key, member.ood[key], x) for key, x in first.ood.items()},
        csid={key: _like(name, key, member.csid[key], x) for key, x in first.csid.items()},
    )


def check_shifted(members: Mapping[str, Member]) -> None:
    """Refuse covariate-shifted sets beside several ID sets, that are also something else, or of other classes."""
    for name, member in members.items():
        if member.csid and len(members) > 1:
            raise OutputsError(f"csid: expected one ID set, got {len(members)}: {', '.join(members)}; leave csid out")
        for shifted, x in member.csid.items():
            if shifted in (*member.tests, *member.ood):
                raise OutputsError(f"csid: {shifted!r} is an ID test or OOD set too; give each set one part")
            strange = 0 if x.labels is None else int((x.labels < 0).sum())
            if strange:
                raise OutputsError(
                    f"csid: expected images of the classes of {name!r} in {shifted!r}, got {strange} with label -1; "
                    "leave them out"
                )


def _by_own_set(members: Sequence[Member]) -> dict[str, Member]:
    """Name each member by its first ID test; where all list the same ones, by that of its own place in the list."""
    listed = [list(member.tests) for member in members]
    same = len(members) > 1 and all(names == listed[0] for names in listed) and len(listed[0]) >= len(members)
    own = [names[place if same else 0] for place, names in enumerate(listed) if names]
    if len(set(own)) != len(members):
        raise OutputsError(
            f"members: expected one for each ID set, got {', '.join(own)}; pass a dict by name of the set"
        )
    return dict(zip(own, members, strict=True))


def _aligned(name: str, member: Member, named: Mapping[str, Member]) -> Member:
    """Bring each set of a member into the row order in which the set's own member, or the first, has it."""
    first = next(iter(named.values()))
    tests = {
        other: _like(name, other, x, named[other].tests[other]) if other in named else x
        for other, x in member.tests.items()
    }
    val = member.val
    if isinstance(val, Mapping):
        val = {
            other: _like(name, other, x, _val_of(named[other], other, other)) if other in named else x
            for other, x in val.items()
        }
    ood = {other: _like(name, other, x, first.ood[other]) for other, x in member.ood.items()}
    return replace(member, tests=tests, val=val, ood=ood)


def _like(name: str, key: str, x: Outputs, own: Outputs | None) -> Outputs:
    """Put rows into the order of another member's ids; `OutputsError` where they are not of the same images."""
    if own is None or x is own:
        return x
    if x.ids is None or own.ids is None:
        if len(x) == len(own):
            return x  # without ids only the caller knows
    elif len(x) == len(own) and not bool((x.ids != own.ids).any()):
        return x
    elif len(x) == len(own) == len(np.unique(own.ids)) and set(x.ids) == set(own.ids):
        places = {identity: place for place, identity in enumerate(x.ids)}
        return x[[places[identity] for identity in own.ids]]
    raise OutputsError(
        f"members are not aligned: the ids of {name!r} differ on {key}; give the same images, each under one id"
    )


def has_shared_val(member: Member, names: Sequence[str]) -> bool:
    """Tell whether a member has seen the validation of every set."""
    return isinstance(member.val, Mapping) and all(name in member.val for name in names)


def member_sets(name: str, member: Member) -> dict[str, Outputs]:
    """Give all that a member put out, but training, by key; `OutputsError` where heads differ."""
    sets = {test_key(name, other): x for other, x in member.tests.items()}
    if isinstance(member.val, Mapping):
        sets |= {VAL if name == other else f"val:{other}": x for other, x in member.val.items()}
    elif member.val is not None:
        sets[VAL] = member.val
    sets |= {f"csid:{shifted}": x for shifted, x in member.csid.items()}
    for ood, x in member.ood.items():
        if x.labels is not None:
            x = x.without_labels()
        sets[f"ood:{ood}"] = x
    if TEST not in sets:
        raise OutputsError(f"bench: {name!r} has no ID test outputs")
    test = sets[TEST]
    for key, x in sets.items():
        if x.classes != test.classes or head_print(x.head) != head_print(test.head):
            raise OutputsError(f"bench: {key} has another head or number of classes than the ID test; use one head")
    return sets


def head_print(head: Head | None) -> str:
    """Give the fingerprint of a head, "" of none."""
    return "" if head is None else head.fingerprint


def class_names(x: Outputs) -> np.ndarray:
    """Give the class names (k,), as objects so that a million predictions share them; "0", "1", ... where unnamed."""
    names = x.class_names if x.class_names is not None else [str(i) for i in range(x.classes)]
    return np.array(names, dtype=object)


def common_names(tests: Mapping[str, Outputs]) -> dict[str, np.ndarray]:
    """Give the class names (k,) of each member, whose outputs for its ID test `tests` are.

    A class of one has the name that an earlier one has for it. Names are matched as labels are: as they are, else in
    the form that is compared, so that `Apple-Pie` of one member is the `apple_pie` of another. `DataError` for a name
    that fits two classes, and for two that fit one.
    """
    known: dict[str, None] = {}
    found = {}
    for name, test in tests.items():
        places, where = ClassNames(known), f"members: {name!r}"
        meant: dict[str, str] = {}
        for own in class_names(test):
            at = places.place(own, where)
            meant[own] = own if at < 0 else places.names[at]
        taken: dict[str, str] = {}
        for own, other in meant.items():
            if taken.setdefault(other, own) != own:
                raise DataError(
                    f"{where}: its classes {taken[other]!r} and {own!r} both fit {other!r} of another member"
                )
        found[name] = np.array([meant[own] for own in class_names(test)], dtype=object)
        known |= dict.fromkeys(found[name])
    return found


def labelled(name: str, x: Outputs, key: str, members: Mapping[str, Member]) -> tuple[str, Outputs | None]:
    """Give the outputs that know the true classes of a set of a member, and whose they are; None for an OOD set."""
    kind, _, other = key.partition(":")
    if kind == "ood":
        return name, None
    if not other or kind == "csid":
        return name, x
    return other, members[other].tests[other] if kind == TEST else _val_of(members[other], other, other)


def _val_of(member: Member, name: str, other: str) -> Outputs | None:
    """Give what a member put out for the validation of a set, if it did."""
    if isinstance(member.val, Mapping):
        return member.val.get(other)
    return member.val if name == other else None
