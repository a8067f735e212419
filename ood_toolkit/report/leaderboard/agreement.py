"""Whether runs go together: one protocol, the same images, one setting of a model; one line says what differs."""

from __future__ import annotations

import reprlib
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from ood_toolkit.errors import DataError
from ood_toolkit.report.leaderboard.entries import Contribution, Images, Trial, Who

__all__ = ["check_agreement", "groups_of"]


def check_agreement(runs: Sequence[Contribution]) -> None:
    """Refuse, with the one line of a `DataError`, runs that cannot be ranked together."""
    _check_protocols(runs)
    _check_settings(runs)
    _check_images(runs)
    _check_groups(runs)
    _check_once(runs)


class Firsts:
    """What was found first under each key, and in which run: whatever comes later has to be the same."""

    def __init__(self) -> None:
        self.held: dict[Hashable, tuple[Any, str]] = {}

    def other(self, key: Hashable, value: Any, run: str) -> tuple[Any, str] | None:
        """Give what was first, with its run, where it differs from this."""
        first = self.held.setdefault(key, (value, run))
        return None if first[0] == value else first


def _check_protocols(runs: Sequence[Contribution]) -> None:
    firsts = Firsts()
    for run in runs:
        if other := firsts.other("", run.protocol, run.run):
            raise DataError(
                f"expected runs of one protocol, got {other[0]} in {other[1]} and {run.protocol} in {run.run}; "
                "--protocol NAME computes all of them again by one"
            )


def _check_settings(runs: Sequence[Contribution]) -> None:
    firsts = Firsts()
    for run in runs:
        for (model, head, own), settings in run.settings.items():
            for key, value in settings.items():
                if other := firsts.other((model, head, own, key), value, run.run):
                    said = f"{_shown(other[0])} in {other[1]} and {_shown(value)} in {run.run}"
                    raise DataError(
                        f"{model or 'the model'} on {own}: expected the same {key} in every run, got {said}; "
                        "leave one of them out"
                    )
        for (model, place), sha in run.arrays.items():
            if other := firsts.other((model, place), sha, run.run):
                raise DataError(
                    f"{place} of model {model}: expected the same imported arrays in every run, got others in "
                    f"{other[1]} than in {run.run}; leave one of them out"
                )


def _shown(value: Any) -> str:
    return "none" if value is None else reprlib.repr(value)


def _check_images(runs: Sequence[Contribution]) -> None:
    firsts = Firsts()
    for run in runs:
        limited = any(settings["limit"] is not None for settings in run.settings.values())
        several = len({model for model, _ in run.images}) > 1
        for (model, pair), (test, ood) in run.images.items():
            where = f"{run.run} ({model})" if several else run.run
            drawn = run.seed if limited else None  # without a limit all images of an OOD set are tested
            for name, key, images in ((pair.id, ("test", run.seed), test), (pair.ood, ("ood", drawn), ood)):
                if other := firsts.other((name, *key), images, where):
                    raise _other_images(name, *other, images, where)
    if not any(settings["limit"] is not None for run in runs for settings in run.settings.values()):
        _check_pools(runs)


def _check_pools(runs: Sequence[Contribution]) -> None:
    """Refuse runs whose seeds did not draw from the same images."""
    seen: dict[str, list[Contribution]] = {}
    for run in runs:
        for name, pool in run.pools.items():
            for other in seen.setdefault(name, []):
                if other.seed != run.seed and other.pools[name] != pool and _tests(other, name) != _tests(run, name):
                    raise _other_images(name, other.pools[name], other.run, pool, run.run)
            seen[name].append(run)


def _tests(run: Contribution, name: str) -> set[Images]:
    return {test for (_, pair), (test, _) in run.images.items() if pair.id == name}


def _other_images(name: str, first: Images, one: str, second: Images, two: str) -> DataError:
    which = "others" if first.size == second.size else f"{second.size:,}"
    return DataError(
        f"{name}: expected the same images in every run, got {first.size:,} in {one} and {which} in {two}, by their "
        "ids; rank runs of one split and limit, and of images under the same ids"
    )


def _check_groups(runs: Sequence[Contribution]) -> None:
    firsts = Firsts()
    for run in runs:
        for _, pair in run.images if run.groups else ():
            groups = sorted(name for name, sets in run.groups.items() if pair.ood in sets)
            if other := firsts.other((pair.id, pair.ood), groups, run.run):
                said = " and ".join(f"{_named(one)} in {where}" for one, where in (other, (groups, run.run)))
                raise DataError(f"{pair.ood}: expected one group in every run, got {said}; name groups alike")


def _named(groups: Sequence[str]) -> str:
    return ", ".join(groups) or "none"


def _check_once(runs: Sequence[Contribution]) -> None:
    """Refuse two results of one scorer, model and seed on the same sets."""
    seen: dict[tuple[Who, Trial], str] = {}
    for run in runs:
        for result in run.results:
            key = (result.who, Trial(result.pair, run.seed))
            if result.metrics is None or seen.setdefault(key, run.run) == run.run:
                continue
            seed = "no seed" if run.seed is None else f"seed {run.seed}"
            raise DataError(
                f"{result.who.scorer} of {result.who.model or 'one model'} on {result.pair}, {seed}: expected one "
                f"result, got one in {seen[key]} and one in {run.run}; leave one of them out"
            )


def groups_of(runs: Sequence[Contribution]) -> Mapping[str, list[str]]:
    """Give the OOD sets of each group, in the order of the runs."""
    found: dict[str, list[str]] = {}
    for run in runs:
        for name, sets in run.groups.items():
            held = found.setdefault(name, [])
            held += [one for one in sets if one not in held]
    return found
