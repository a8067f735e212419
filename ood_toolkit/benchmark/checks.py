"""What of the settings of a run can be refused before anything is loaded or encoded."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from ood_toolkit.api.prompts import WORDNET
from ood_toolkit.api.registry import Registry
from ood_toolkit.benchmark.settings import RECIPES, Settings
from ood_toolkit.errors import DataError, ScorerError, UsageError

if TYPE_CHECKING:
    from ood_toolkit.api.stream import AnyScorer

__all__ = ["averaged", "check_comparisons", "check_labels", "check_sets", "check_texts", "reference", "wants_averages"]


def check_comparisons(ci: bool, ci_replicates: int, paired: bool, against: str) -> None:
    """Refuse an option that has no effect without another."""
    if against != "first" and not paired:
        raise UsageError("--against: goes with --paired")
    if ci_replicates != 1000 and not ci:
        raise UsageError("--ci-replicates: goes with --ci")


def check_labels(labels: Collection[str], specs: Collection[str]) -> None:
    """Refuse, with a `DataError`, ready scores that bear the name of a scorer of the run."""
    if both := [label for label in labels if label in specs]:
        raise DataError(f"ready scores {both[0]!r}: a scorer of this run has that name; give them another label")


def check_sets(settings: Settings, scorers: Sequence[AnyScorer]) -> None:
    """Refuse sets that have two parts in one run, and what needs several ID sets, or one."""
    ids, ood, tune, csid = settings.ids, settings.ood, settings.tune, settings.csid
    if not ood:
        raise UsageError("--ood: name the OOD sets, such as --ood letters,patches")
    if both := [name for name in ids if name in ood]:
        raise DataError(f"{both[0]}: named after --id and --ood; an OOD set cannot be an ID set too")
    if settings.combiners and len(ids) < 2:
        raise UsageError("--combiners: merges the models of several ID sets; repeat --id")
    if tune:
        _check_tuned(settings, scorers)
    if csid and len(ids) > 1:
        raise DataError(f"--csid: expected one ID set, got {len(ids)}: {', '.join(ids)}; give each a run of its own")
    for option, others in (("--id", ids), ("--ood", ood), ("--tune", tune)):
        if both := [name for name in csid if name in others]:
            raise DataError(f"{both[0]}: named after --csid and {option}; a set has one part in a run")


def _check_tuned(settings: Settings, scorers: Sequence[AnyScorer]) -> None:
    """Refuse a search on sets that are tested on, without ID validation, or of nothing."""
    from ood_toolkit.benchmark.tuning import check_searched

    ids = settings.ids
    for option, tested in (("--id", ids), ("--ood", settings.ood)):
        if both := [name for name in settings.tune if name in tested]:
            raise DataError(f"{both[0]}: named after --tune and {option}; it cannot be tested on too")
    if len(ids) > 1:
        raise DataError(f"--tune: expected one ID set, got {len(ids)}: {', '.join(ids)}; tune each in a run of its own")
    if settings.val_split == 0:
        raise DataError("--tune: needs ID validation images; leave out --val-split 0")
    check_searched(scorers)


def check_texts(settings: Settings, scorers: Sequence[AnyScorer], needs: Collection[str], registry: Registry) -> None:
    """Refuse further texts that no scorer of the run looks at: most likely the name is mistyped."""
    asked = {need.removeprefix("text:") for need in needs if need.startswith("text:")}
    for bank in settings.texts:
        if bank not in asked:
            known = f"; they ask for {', '.join(sorted(asked))}" if asked else ""
            raise DataError(f"--texts: no scorer of this run asks for text:{bank}{known}")
    if settings.negatives and not any(map(has_negatives, scorers)):
        known = ", ".join(scorer.spec for scorer in registry.scorers("clip", {}) if has_negatives(scorer))
        raise DataError(f"--negatives: no scorer of this run has negatives; these have: {known}")


def has_negatives(scorer: AnyScorer) -> bool:
    """Tell whether a scorer has negative labels mined from words."""
    return scorer.prompts is not None and any(bank.source == WORDNET for bank in scorer.prompts.banks)


def wants_averages(settings: Settings) -> bool:
    """Tell whether scores are to be averaged over prompts."""
    return settings.recipe == RECIPES[-1]


def averaged(scorers: str, registry: Registry) -> str:
    """Make each scorer average over prompts."""
    from ood_toolkit.api.stream import each_alone
    from ood_toolkit.scorers.prompt_average import averaged as average

    made = [each_alone(scorer, f"leave out --recipe {RECIPES[-1]}") for scorer in registry.scorers(scorers)]
    return ",".join(average(scorer).spec for scorer in made)


def reference(settings: Settings, registry: Registry) -> str:
    """Give the spec of the scorer that others are to be tested against; `first` and `best` stay."""
    against = settings.against
    if against in ("first", "best", *settings.ready):
        return against
    texts = (against, settings.scorers)
    one, listed = (averaged(text, registry) if wants_averages(settings) else text for text in texts)
    wanted, known = registry.scorer(one).spec, [scorer.spec for scorer in registry.scorers(listed, {})]
    if wanted not in known:
        raise ScorerError(f"--against: expected one of the scorers of this run, {', '.join(known)}; got {against!r}")
    if settings.tune:
        from ood_toolkit.scorers.candidates import searched

        if searched(registry.scorer(one)):
            raise ScorerError(f"--against: --tune is yet to choose the parameters of {one}; expected first or best")
    return wanted
