"""`Asked`: which entries and sets of a leaderboard are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ood_toolkit.api.spec import nearest
from ood_toolkit.errors import DataError
from ood_toolkit.report.leaderboard.entries import Contribution, Entry

__all__ = ["Asked"]


@dataclass(frozen=True)
class Asked:
    """Which entries and sets are asked for; an empty choice is all."""

    models: Sequence[str] = ()
    """Parts of the names of models."""
    scorers: Sequence[str] = ()
    """Specs; what was published goes with the scorer that it stands beside."""
    supervision: Sequence[str] = ()
    costs: Sequence[str] = ()
    ood: Sequence[str] = ()
    """The only OOD sets to rank on."""

    def check(self, runs: Sequence[Contribution]) -> None:
        """Refuse, with the one line of a `DataError`, a name that no run has."""
        results = [result for run in runs for result in run.results]
        for flag, asked, names in (
            ("--scorers: no scorer", self.scorers, {one.who.scorer for one in results}),
            ("--ood: no OOD set", self.ood, {one.pair.ood for one in results}),
        ):
            for name in asked:
                if name not in names:
                    raise DataError(f"{flag} {name!r} in these runs; {nearest(name, names)}")
        models = {one.who.model for one in results}
        for text in self.models:
            if not any(_is_part(text, model) for model in models):
                raise DataError(f"--model: no model of these runs has {text!r} in its name; {nearest(text, models)}")

    def of_sets(self, run: Contribution) -> Contribution:
        """Give what a run says of these OOD sets."""
        if not self.ood:
            return run
        return replace(run, results=[result for result in run.results if result.pair.ood in self.ood])

    def keeps(self, entry: Entry) -> bool:
        """Tell whether an entry is asked for."""
        return (
            (not self.models or any(_is_part(text, entry.who.model) for text in self.models))
            and (not self.scorers or entry.spec in self.scorers)
            and (not self.supervision or entry.supervision in self.supervision)
            and (not self.costs or entry.cost in self.costs)
        )


def _is_part(text: str, name: str) -> bool:
    return text.casefold() in name.casefold()
