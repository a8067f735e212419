"""From settings to a detector: the sets that a run would gather, a scorer fitted on them, its operating point."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ood_toolkit.api.stream import each_alone
from ood_toolkit.benchmark.checks import averaged, check_options, check_sets, wants_averages
from ood_toolkit.benchmark.opening import asked_by, opened
from ood_toolkit.errors import DetectorError, OodkitError, ScorerError, UsageError

if TYPE_CHECKING:
    from ood_toolkit.api.registry import Registry
    from ood_toolkit.api.scorer import Scorer
    from ood_toolkit.benchmark.members import Member
    from ood_toolkit.benchmark.run import Told
    from ood_toolkit.benchmark.settings import Settings
    from ood_toolkit.detectors.detector import Detector
    from ood_toolkit.encode.sets import Sets
    from ood_toolkit.outputs import Outputs

__all__ = ["fit_detector"]

STREAM = "what it says of an image depends on the stream, so that it cannot be deployed; oodkit bench runs it"


def fit_detector(
    settings: Settings, registry: Registry, told: Told, rule: str, *, accept_all: bool = False, allow_same: bool = False
) -> Detector:
    """Fit the one scorer of the settings on their ID set and measure it on the ID test and the OOD sets.

    `ScorerError` where a need is unmet or training and calibration images are the same, `DetectorError` where the
    thresholds would accept everything, unless told otherwise.
    """
    from ood_toolkit.scorers.rules import Rule

    wanted = Rule.of(rule)  # what is wrong with it is said before anything is encoded
    if wants_averages(settings):
        settings = replace(settings, scorers=averaged(settings.scorers, registry))
    scorer = each_alone(registry.scorer(settings.scorers), STREAM)
    settings = settings if settings.ids else replace(settings, ids=settings.with_default_sets().ids)
    if len(settings.ids) > 1:
        raise UsageError(f"--id: a detector is of one ID set, got {len(settings.ids)}")
    if scorer.threshold is not None and wanted != Rule.of("tpr"):
        raise ScorerError(f"{scorer.spec}: decides by itself; give the rule to the scorer, as rule={wanted.name}")
    if settings.val_split == 0:
        raise ScorerError(f"{settings.ids[0]}: no images to calibrate on; leave out --val-split 0")
    if settings.groups:
        check_sets(settings, [scorer])
    check_options(settings)
    settings = asked_by(settings, [scorer], settings.scorers, registry)
    told.loading()
    sets = opened(settings, registry, told.progress)
    from ood_toolkit.benchmark.gather import ready_scores
    from ood_toolkit.benchmark.run import gathered

    if ready_scores(sets, [*settings.ids, *settings.ood]) is not None:
        raise DetectorError(f"{settings.ids[0]}: of it only ready scores were imported; a detector needs embeddings")
    found = gathered(settings, sets, scorer.needs, told)
    told.progress(f"fitting {scorer.name}")
    return _fitted(settings, scorer, rule, sets, found.members[settings.ids[0]], found.about, accept_all, allow_same)


def _fitted(
    settings: Settings, scorer: Scorer, rule: str, sets: Sets, member: Member, about: Mapping[str, Any],
    accept_all: bool, allow_same: bool,
) -> Detector:  # fmt: skip
    from ood_toolkit.detectors.calibration import measured
    from ood_toolkit.detectors.detector import Detector

    (name,) = settings.ids
    val = member.val[name] if isinstance(member.val, Mapping) else member.val
    if val is None:
        raise ScorerError(f"{name}: no images to calibrate on")

    head = None if scorer.prompts is None or member.heads is None else member.heads(scorer.prompts)

    def seen(x: Outputs) -> Outputs:
        same = head is None or (x.head is not None and x.head.fingerprint == head.fingerprint)
        return x if head is None or same else x.with_head(head)

    shared = _chose_the_head(settings, sets, name, val)
    with _blaming(scorer):
        made = Detector.fit(
            scorer, seen(val), None if member.train is None else seen(member.train), rule, seed=settings.seed,
            encoder=_encoder(sets), allow_same=allow_same, set=name, split=str(about["validation"][name]),
        )  # fmt: skip
    made.check_rejects(accept_all=accept_all)
    made = _on_negatives(made, member, seen(val))
    with _blaming(scorer):
        shares = {f"{name}/test": measured(made.predict(seen(member.tests[name])))}
        shares |= {ood: measured(made.predict(seen(x))) for ood, x in member.ood.items()}
    notes = [note for note in (*shared, *about["notes"]) if note not in made.notes]
    return replace(made.with_shares(shares), notes=(*made.notes, *notes))


@contextmanager
def _blaming(scorer: Scorer) -> Iterator[None]:
    """Say whose scorer raised what, a plugin's by its name; errors of this package pass unchanged."""
    from ood_toolkit.benchmark.scoring import scorer_blamed

    try:
        yield
    except OodkitError:
        raise
    except Exception as error:
        raise ScorerError(f"{scorer.spec}: {scorer_blamed(scorer, error)}") from error


def _on_negatives(made: Detector, member: Member, val: Outputs) -> Detector:
    """Remember the texts that the scorer chose, and say in its notes under which key, and whether they are too few."""
    from ood_toolkit.benchmark.mined_lists import with_list
    from ood_toolkit.scorers.families.small_banks import notes_on_bank

    own = getattr(made.scorer, "notes_", ())
    said = with_list(made.scorer, made.head, member.store)
    cautions = notes_on_bank(made.scorer, made.head, val)
    return replace(made, notes=(*said, *(note for note in made.notes if note not in own), *cautions))


def _chose_the_head(settings: Settings, sets: Sets, name: str, val: Outputs) -> list[str]:
    """Note which calibration images a trained head was validated on, as its file says: they chose among heads."""
    from ood_toolkit.scorers.calibration import copies
    from ood_toolkit.store.head_file import read_head

    if name not in settings.trained:
        return []
    data = read_head(settings.trained[name]).about.get("data")
    known = data.get("val") if isinstance(data, Mapping) else None
    if not isinstance(known, Mapping) or known.get("set") != name or settings.val_split is not None:
        return []
    count = copies(val, sets.bare(name, "val")) if sets.has(name, "val") else 0
    if not count:
        return []
    one = f"{count:,} of the {len(val):,} images to calibrate on also chose the head when it was trained"
    return [f"{one}; what is promised does not strictly hold"]


def _encoder(sets: Sets) -> dict[str, Any]:
    from ood_toolkit.detectors.identity import identity_of

    model = getattr(sets, "model", None)
    return sets.origin() if model is None else identity_of(model)
