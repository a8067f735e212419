"""`Part`: entries ranked on one group of sets, with means over sets and seeds and their intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ood_toolkit.report.leaderboard.entries import Entry, Pair, Trial

__all__ = ["CONFIDENCE", "Estimate", "Part", "Standing", "ranked", "ranks", "spread_quantile"]

CONFIDENCE = 0.95
Values = Mapping[Trial, float]


@dataclass(frozen=True)
class Estimate:
    """A mean over sets, with the ends of its interval where there is one."""

    value: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, values: Values, least: float, most: float) -> Estimate:
        """Average over seeds, then over sets; each set counts the same.

        The interval is Student's t over the sets' means, over the seeds where there is one set, and cut to what is
        possible, `least` to `most`; a single value has none.
        """
        means = list(by_set(values))
        value = float(np.mean(means))
        sample = np.array(means if len(means) > 1 else list(values.values()))
        if len(sample) < 2:
            return cls(value)
        half = spread_quantile(len(sample) - 1) * float(sample.std(ddof=1)) / math.sqrt(len(sample))
        return cls(value, max(value - half, least), min(value + half, most))


def by_set(values: Values) -> Iterable[float]:
    """Give the mean over seeds of each pair of sets."""
    pairs = dict.fromkeys(trial.pair for trial in values)
    return [float(np.mean([value for trial, value in values.items() if trial.pair == pair])) for pair in pairs]


def spread_quantile(freedom: int) -> float:
    """Give how many standard errors a 95 % interval reaches to either side, with so many degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + CONFIDENCE / 2))


def ranks(values: Sequence[float], among: Sequence[float]) -> np.ndarray:
    """Rank each value (n,) among those (m,) that it is one of: 1 is the largest, equal ones share their mean rank."""
    mine, all_of_them = np.asarray(values)[:, None], np.asarray(among)[None, :]
    return (all_of_them > mine).sum(axis=1) + ((all_of_them == mine).sum(axis=1) + 1) / 2


@dataclass(frozen=True)
class Standing:
    """Where an entry stands."""

    entry: Entry
    place: int | None
    """1 for the best; entries of equal mean rank share it. None for what is published, and what lacks a set."""
    rank: Estimate | None
    """None where a set is lacking."""
    measures: Mapping[str, Estimate]
    lacking: tuple[Trial, ...] = ()

    @property
    def results(self) -> int:
        """How many trials it has a result on."""
        return len(self.entry.results)


@dataclass(frozen=True)
class Part:
    """A ranking on one group of sets."""

    name: str
    scope: str
    trials: tuple[Trial, ...]
    standings: tuple[Standing, ...]

    @property
    def pairs(self) -> list[Pair]:
        """The pairs of sets, each once."""
        return list(dict.fromkeys(trial.pair for trial in self.trials))

    @property
    def over(self) -> str:
        """What the intervals are over: `sets`, `seeds`, or "" where there is one result alone."""
        return "sets" if len(self.pairs) > 1 else "seeds" if len(self.trials) > 1 else ""

    @property
    def ranked(self) -> int:
        """How many were ranked among each other."""
        return sum(standing.place is not None for standing in self.standings)


def ranked(name: str, scope: str, trials: Sequence[Trial], entries: Sequence[Entry], measures: Sequence[str]) -> Part:
    """Rank measured entries that have a result on every trial; each published one alone against them.

    Those that lack a result stand below, without a rank and without intervals.
    """
    held = [entry for entry in (_only(entry, trials) for entry in entries) if entry.results]
    whole = [entry for entry in held if len(entry.results) == len(trials)]
    measured = [entry for entry in whole if not entry.who.source]
    columns = {trial: [entry.results[trial]["auroc"] for entry in measured] for trial in trials}
    found = []
    for entry in whole:
        alone = bool(entry.who.source)
        values = {}
        for trial in trials:
            own = entry.results[trial]["auroc"]
            values[trial] = float(ranks([own], [*columns[trial], own] if alone else columns[trial])[0])
        rank = Estimate.of(values, 1, len(measured) + alone)
        found.append(Standing(entry, None, rank, _estimates(entry, measures, trials)))
    found.sort(key=_order)
    rest = [Standing(entry, None, None, _means(entry, measures), _lacking(entry, trials)) for entry in held]
    rest = sorted((standing for standing in rest if standing.lacking), key=_order)
    return Part(name, scope, tuple(trials), (*_placed(found), *rest))


def _placed(found: Sequence[Standing]) -> list[Standing]:
    """Give measured entries their places."""
    values = [standing.rank.value for standing in found if standing.rank and not standing.entry.who.source]
    made: list[Standing] = []
    for standing in found:
        assert standing.rank is not None
        better = sum(value < standing.rank.value - 1e-9 for value in values)
        place = None if standing.entry.who.source else better + 1
        made.append(Standing(standing.entry, place, standing.rank, standing.measures))
    return made


def _order(standing: Standing) -> tuple[Any, ...]:
    rank = standing.rank.value if standing.rank else math.inf
    return round(rank, 9), -standing.measures["auroc"].value, bool(standing.entry.who.source), *standing.entry.who


def _only(entry: Entry, trials: Sequence[Trial]) -> Entry:
    results = {trial: entry.results[trial] for trial in trials if trial in entry.results}
    why = {trial: entry.why[trial] for trial in trials if trial in entry.why}
    return replace(entry, results=results, why=why)


def _lacking(entry: Entry, trials: Sequence[Trial]) -> tuple[Trial, ...]:
    return tuple(trial for trial in trials if trial not in entry.results)


def _estimates(entry: Entry, measures: Sequence[str], trials: Sequence[Trial]) -> dict[str, Estimate]:
    """Average each metric that the entry has on every trial."""
    known = [m for m in measures if all(m in entry.results[trial] for trial in trials)]
    return {m: Estimate.of({trial: entry.results[trial][m] for trial in trials}, 0, 1) for m in known}


def _means(entry: Entry, measures: Sequence[str]) -> dict[str, Estimate]:
    """Average what there is, without intervals."""
    made = _estimates(entry, measures, list(entry.results))
    return {measure: Estimate(found.value) for measure, found in made.items()}
