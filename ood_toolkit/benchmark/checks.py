"""What is refused before torch is imported: options of a command that contradict each other, the sets, the scorers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from ood_toolkit.api.combiner import PROBABILITIES, Combiner
from ood_toolkit.api.prompts import WORDNET
from ood_toolkit.benchmark.settings import RECIPES, Settings, options
from ood_toolkit.errors import DataError, ScorerError, UsageError

if TYPE_CHECKING:
    from ood_toolkit.api.registry import Registry
    from ood_toolkit.api.stream import AnyScorer

__all__ = [
    "SEMINAR", "averaged", "check_command", "check_comparisons", "check_labels", "check_options", "check_scorers",
    "check_seminar", "check_sets", "has_negatives", "merging", "reference", "wants_averages",
]  # fmt: skip

SEMINAR = "ust-etri"
"""The preset that is a dozen runs whose tables cross."""
ONE_RUN = ("seed", "ci", "paired")
"""Fields that say of one run what `--seeds` says of several, or what those have no place for."""


def check_command(
    given: Collection[str], *, preset: str | None, on: str | None, seeds: str | None, dry_run: bool,
    keeps: bool, html: bool, gallery: bool,
) -> None:  # fmt: skip
    """Refuse what is typed after `oodkit bench` beside the settings where it goes without another, or not with it.

    `given` names the fields that the user set, `keeps` says whether `--output` was given, and so on.
    """
    if gallery and not (keeps or html):
        raise UsageError("--gallery: goes with --output DIR or --html FILE, which keep the thumbnails")
    several = "--seeds" if seeds is not None else f"--preset {SEMINAR}" if preset == SEMINAR else ""
    for option, asked in (("--html", html), ("--gallery", gallery)):
        if asked and several:
            raise UsageError(f"{option}: goes without {several}")
    if on is not None and preset != SEMINAR:
        raise UsageError(f"--on: goes with --preset {SEMINAR}")
    for option, asked in (("--dry-run", dry_run), ("--seeds", seeds is not None)):
        if asked and preset == SEMINAR:
            raise UsageError(f"{option}: does not go with --preset {SEMINAR}")
    if seeds is not None and (other := [name for name in ONE_RUN if name in given]):
        raise UsageError(f"--seeds: goes without {options()[other[0]].flag}")


def check_seminar(settings: Settings, given: Collection[str], vectors: str | None) -> None:
    """Refuse options that the seminar decides, or that mean nothing for the vectors in a folder."""
    for name, option in options().items():
        if name in given and option.decides == "benchmark":
            raise UsageError(f"{option.flag}: does not go with --preset {SEMINAR}, which decides it")
        if name in given and option.decides == "images" and vectors is not None:
            raise UsageError(f"{option.flag}: the vectors in {vectors} are used as they are; leave it out")
    if len(settings.models) > 1:
        raise UsageError(f"--model: --preset {SEMINAR} runs one model at a time")


def check_options(settings: Settings) -> None:
    """Refuse options that contradict each other, and folders and trained heads that are not there."""
    check_comparisons(settings)
    if settings.exchange and settings.engine == "local":
        raise UsageError("--share goes with --engine ray")
    if settings.data_root is not None and not settings.data_root.is_dir() and not settings.download:
        raise DataError(f"--data-root: no such folder: {settings.data_root}")
    for part in settings.each_classifier() if settings.combines_classifiers else [settings]:
        if part.heads and part.prompts:
            raise UsageError("--head and --prompts are two heads; give one")
        _ = part.trained  # looks for the files


def check_comparisons(settings: Settings) -> None:
    """Refuse an option that has no effect without another."""
    usual = Settings()
    if settings.against != usual.against and not settings.paired:
        raise UsageError("--against: goes with --paired")
    if settings.ci_replicates != usual.ci_replicates and not settings.ci:
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
    if settings.combines_classifiers:
        _check_classifiers(settings)
    if tune:
        _check_tuned(settings, scorers)
    if csid and len(ids) > 1:
        raise DataError(f"--csid: expected one ID set, got {len(ids)}: {', '.join(ids)}; give each a run of its own")
    for option, others in (("--id", ids), ("--ood", ood), ("--tune", tune)):
        if both := [name for name in csid if name in others]:
            raise DataError(f"{both[0]}: named after --csid and {option}; a set has one part in a run")


def _check_classifiers(settings: Settings) -> None:
    """Refuse combiners of one classifier, and what goes with one alone."""
    if twice := [head for head in settings.heads if settings.heads.count(head) > 1]:
        raise DataError(f"--head: {twice[0]} is named twice; each classifier counts once")
    if max(len(settings.models), 1) + len(settings.heads) < 2:
        raise UsageError(
            "--combiners: merges several classifiers; repeat --model, add a trained --head, or repeat --id to merge "
            "models of several ID sets"
        )
    for flag, given in (("--scores", settings.ready), ("--tune", settings.tune)):
        if given:
            raise UsageError(f"{flag}: goes with one classifier; leave out --combiners")


def merging(
    combiners: str | Combiner | Iterable[str | Combiner], registry: Registry, several_sets: bool
) -> list[Combiner]:
    """Give the combiners of a run; `UsageError` for one of probabilities where models of several ID sets are merged.

    Those have different classes. `all` is then all the others.
    """
    found = registry.combiners(combiners) if combiners else []
    if not several_sets:
        return found
    unfit = [combiner for combiner in found if PROBABILITIES in combiner.needs]
    if unfit and combiners != "all":
        raise UsageError(
            f"combiners: {unfit[0].name} averages probabilities of the same classes, but there are several ID sets; "
            "give one ID set and several classifiers, by --model or --head"
        )
    return [combiner for combiner in found if combiner not in unfit]


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
    if scorers:  # none where they could not be made, which is said by then
        check_searched(scorers)


def check_scorers(settings: Settings, scorers: Sequence[AnyScorer], registry: Registry) -> None:
    """Refuse scorers that need one thing in two ways, and further texts that none of them looks at.

    The name of such a text is most likely mistyped.
    """
    local = {s.prompts: s for s in scorers if "extra:local" in s.needs and s.prompts is not None}
    if len(local) > 1 and not settings.prompts:
        names = " and ".join(scorer.spec for scorer in local.values())
        raise UsageError(f"--scorers: {names} need extra:local under different prompts; run them apart")
    asked = {need.removeprefix("text:") for scorer in scorers for need in scorer.needs if need.startswith("text:")}
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
