"""`Board`: many runs as one ranking, apart for near, far and the full spectrum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ood_toolkit.errors import DataError
from ood_toolkit.metrics import find_protocol
from ood_toolkit.report.columns import MEASURES
from ood_toolkit.report.comparison import NOT_TESTED
from ood_toolkit.report.leaderboard.agreement import check_agreement, groups_of
from ood_toolkit.report.leaderboard.asked import Asked
from ood_toolkit.report.leaderboard.demands import COSTS, SUPERVISION
from ood_toolkit.report.leaderboard.entries import FULL_SPECTRUM, Contribution, Entry, Pair, Trial, Who
from ood_toolkit.report.leaderboard.standings import Part, ranked
from ood_toolkit.report.published import OTHER_MODEL
from ood_toolkit.report.results import UNION

__all__ = ["ALL", "Board", "board_of"]

ALL, OTHER = "all OOD sets", "other OOD sets"


@dataclass(frozen=True)
class Board:
    """A leaderboard."""

    protocol: str
    measures: tuple[str, ...]
    """AUROC, by which is ranked, and the protocol's FPR95."""
    parts: tuple[Part, ...]
    runs: tuple[str, ...]
    seeds: tuple[int | None, ...]
    sizes: Mapping[Pair, tuple[int, int]]
    """ID test and OOD images of each pair of sets."""
    never: Mapping[str, tuple[str, ...]]
    """What has no result anywhere, by the reason."""
    notes: tuple[str, ...]


def board_of(runs: Sequence[Contribution], asked: Asked) -> Board:
    """Rank the entries of runs that go together, as far as they are asked for.

    Raises `DataError` where runs do not go together, fewer than two entries are left, or none has a result on all sets.
    """
    check_agreement(runs)
    asked.check(runs)
    runs = [asked.of_sets(run) for run in runs]
    protocol = runs[0].protocol
    measures = tuple(MEASURES[protocol][:2])
    measured = _measured(runs)
    shown = [entry for entry in measured if asked.keeps(entry)]
    held = [entry for entry in shown if entry.results]
    if len(held) < 2:
        raise DataError(_too_few(runs, measured, held))
    trials = list(dict.fromkeys(trial for entry in held for trial in entry.results))
    trials.sort(key=lambda trial: -1 if trial.seed is None else trial.seed)
    published, notes = _published(runs, trials, protocol)
    entries = [*held, *(entry for entry in published if asked.keeps(entry))]
    parts = []
    for name, scope, pairs in _groups(runs, trials, protocol):
        wanted = [trial for pair in pairs for trial in trials if trial.pair == pair]
        parts.append(ranked(name, scope, wanted, entries, measures))
    if not any(part.ranked for part in parts):
        raise DataError(_nothing_common(runs))
    sizes = {pair: (test.size, ood.size) for run in runs for (_, pair), (test, ood) in run.images.items()}
    never: dict[str, list[str]] = {}
    for entry in shown:
        if not entry.results:
            never.setdefault(next(iter(entry.why.values())), []).append(entry.who.scorer)
    return Board(
        protocol,
        measures,
        tuple(parts),
        tuple(run.run for run in runs),
        tuple(dict.fromkeys(trial.seed for trial in trials)),
        sizes,
        {why: tuple(dict.fromkeys(names)) for why, names in never.items()},
        tuple(dict.fromkeys([*notes, *_said(runs)])),
    )


def _said(runs: Sequence[Contribution]) -> list[str]:
    return [note for run in runs for note in run.notes if not note.startswith(NOT_TESTED)]


def _measured(runs: Sequence[Contribution]) -> list[Entry]:
    found: dict[Who, Entry] = {}
    for run in runs:
        for result in run.results:
            entry = found.setdefault(result.who, Entry(result.who, result.who.scorer))
            trial = Trial(result.pair, run.seed)
            if result.metrics is None:
                entry.why.setdefault(trial, result.why)
                continue
            entry.results[trial] = result.metrics
            entry.cost = max(entry.cost, result.cost, key=lambda one: COSTS.index(one) if one else -1)
            entry.supervision = max(
                entry.supervision, result.supervision, key=lambda one: SUPERVISION.index(one) if one else -1
            )
    return list(found.values())


def _published(runs: Sequence[Contribution], trials: Sequence[Trial], protocol: str) -> tuple[list[Entry], list[str]]:
    """Give the published rows on the same sets and images; their FPR95 only where the rules are these."""
    found: dict[Who, Entry] = {}
    other_images: dict[str, None] = {}
    for run in runs:
        for item in run.published:
            if item["kind"] != "ood":
                continue
            if not item.get("same_images"):
                other_images[f"{item['method']} of {item['published_model']}"] = None
                continue
            source = f"{item['source']}{', secondary' if item['secondary'] else ''}"
            who = Who(item["published_model"], item["method"], source=source, protocol=item["published_protocol"])
            entry = found.setdefault(who, Entry(who, item["scorer"]))
            entry.cost, entry.supervision = _like(item, run)
            if item["metric"] != "auroc" and item["published_protocol"] != protocol:
                continue
            for trial in trials:
                if trial.pair == Pair(item.get("id", ""), item["ood"]):
                    held = dict(entry.results.get(trial, {}))
                    entry.results[trial] = held | {item["metric"]: item["published"] / 100}
    for entry in found.values():  # ranked is by AUROC
        entry.results = {trial: held for trial, held in entry.results.items() if "auroc" in held}
    notes = [f"published values of other images are left out: {', '.join(other_images)}"] if other_images else []
    return [entry for entry in found.values() if entry.results], notes


def _like(item: Mapping[str, Any], run: Contribution) -> tuple[str, str]:
    """Give cost and supervision of a published row: those of the measured one that it stands beside.

    What another model was trained on is not known here.
    """
    same = (one for one in run.results if (one.who.scorer, one.who.model) == (item["scorer"], item["model"]))
    found = next((one for one in same if one.metrics is not None), None)
    if found is None:
        return "", ""
    return found.cost, "" if item["verdict"] == OTHER_MODEL else found.supervision


def _groups(runs: Sequence[Contribution], trials: Sequence[Trial], protocol: str) -> list[tuple[str, str, list[Pair]]]:
    """Say which pairs are ranked together: those of a group, and all where the protocol averages over all."""
    groups, found = groups_of(runs), []
    together = find_protocol(protocol).averaging == "all sets"
    for scope in ("", FULL_SPECTRUM, UNION):
        pairs = list(dict.fromkeys(trial.pair for trial in trials if trial.pair.scope == scope))
        named = [(name, [pair for pair in pairs if pair.ood in sets]) for name, sets in groups.items()]
        named = [(name, held) for name, held in named if held]
        rest = [pair for pair in pairs if not any(pair in held for _, held in named)]
        if not named:
            named = [(ALL, pairs)]
        elif together and not any(len(held) == len(pairs) for _, held in named):
            named.append((ALL, pairs))
        elif rest:
            named.append((OTHER, rest))
        found += [(name, scope, held) for name, held in named if held]
    return found


def _too_few(runs: Sequence[Contribution], measured: Sequence[Entry], held: Sequence[Entry]) -> str:
    names = ", ".join(run.run for run in runs)
    if not any(entry.results for entry in measured):
        return f"nothing to rank: {names} have no result of an OOD set"
    if len([entry for entry in measured if entry.results]) < 2:
        return f"nothing to rank: {names} have one scorer of one model, {held[0].who.scorer}; name more runs"
    left = f"{held[0].who.scorer} of {held[0].who.model or 'one model'} alone" if held else "nothing"
    return f"nothing to rank: what is asked for leaves {left}; ask for more models, scorers or classes"


def _nothing_common(runs: Sequence[Contribution]) -> str:
    said = []
    for run in runs:
        pairs = dict.fromkeys(result.pair for result in run.results if result.metrics is not None)
        seed = "" if run.seed is None else f", seed {run.seed}"
        said.append(f"{run.run} has {'; '.join(map(str, pairs)) or 'none'}{seed}")
    if len(runs) > 1:
        return (
            f"nothing to rank: no scorer has a result on all sets and seeds ({'. '.join(said)}); --ood names sets that "
            "all have, or leave runs out"
        )
    return f"nothing to rank: no scorer of {runs[0].run} has a result on all sets; --ood names those that many have"
