"""`Fitted`: a scorer fitted for a detector, and the calibration rows that stand apart from what it learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ood_toolkit.api.scorer import Scorer
from ood_toolkit.detectors.calibration import Accepted, Calibration, accepted_by_class, guarantee
from ood_toolkit.detectors.probe import Probe
from ood_toolkit.detectors.rows import Rows
from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.arrays import to_numpy
from ood_toolkit.scorers.calibration import calibration_scores, copies, halves, learns_from_val
from ood_toolkit.scorers.classwise import Classwise
from ood_toolkit.scorers.families.margin import Margin
from ood_toolkit.scorers.rules import Rule, check_rule
from ood_toolkit.scorers.scores import fitted_on, scores_of

__all__ = ["Fitted", "fitted"]

HALVES = "fitted on one half of the calibration set and calibrated on the other, stratified, drawn with the seed"
FOLDED = "calibrated on cross-fitted scores of the images that it was fitted on"


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted scorer with its calibration rows."""

    scorer: Scorer
    rows: Rows
    probe: Probe
    notes: tuple[str, ...]
    how: str = ""
    """How calibration images and those it learnt from stand to each other; "" where it learns from none."""
    fresh: bool = True
    """Whether it took no part in the calibration images."""

    def margin_record(self, names: Sequence[str] | None, about: Mapping[str, Any]) -> Calibration:
        """Write down what may be expected of a scorer that decides by itself: of `classwise`, by predicted class."""
        scorer, rows = self.scorer, self.rows
        rule = check_rule(scorer.rule, scorer.target) if isinstance(scorer, Classwise) else None  # not of a mean
        kept = rows.score >= 0
        apart = rule is not None and rule.promises and about["how"] != FOLDED
        by_class = accepted_by_class(rows, kept, names, rule.rank if rule is not None and apart else None)
        text = f"{scorer.name} 0" if rule is None else rule.text
        said = guarantee(rule or Rule.of("tpr"), fresh=apart, each=True)
        always = getattr(scorer, "always_", None)
        return Calibration(
            rule="tpr" if rule is None else text, target=None if rule is None else rule.target, n=len(rows),
            guarantee=said, accepted=Accepted(float(kept.mean()), n=len(rows)), by_class=by_class,
            accepts_all=0 if always is None else int(always.sum()), **{**about, "fresh": False},
        )  # fmt: skip


def fitted(made: Scorer, val: Outputs, train: Outputs | None, rule: Rule, seed: int, *, allow_same: bool) -> Fitted:
    """Fit a scorer and score calibration images that it did not learn from, as far as the rule needs that."""
    notes = _same_images(made, val, train, allow_same)
    if isinstance(made, Margin):
        own = check_rule(made.rule) if isinstance(made, Classwise) else Rule.of("tpr")
        if own.promises and learns_from_val(made.base):
            first, second = halves(val, seed)
            return _calibrated(made.clone().fit_apart(first, second, train), second, HALVES, seed, notes, fresh=False)
        return _calibrated(fitted_on(made.clone(), val, train), val, "", seed, notes, fresh=False)
    if not learns_from_val(made):
        return _calibrated(fitted_on(made.clone(), val, train), val, "", seed, notes)
    if rule.promises:
        first, second = halves(val, seed)
        said = (f"learns from validation: fitted on {len(first)} images and calibrated on {len(second)} others",)
        return _calibrated(fitted_on(made.clone(), first, train), second, HALVES, seed, notes + said)
    scorer = fitted_on(made.clone(), val, train)
    known = calibration_scores(made, val, train, scorer, seed=seed)
    return _of_scores(scorer, val, known.scores, FOLDED, seed, notes + known.notes, fresh=False)


def _calibrated(
    scorer: Scorer, val: Outputs, how: str, seed: int, notes: tuple[str, ...], *, fresh: bool = True
) -> Fitted:
    return _of_scores(scorer, val, scores_of(scorer, val.blind()), how, seed, notes, fresh=fresh)


def _of_scores(
    scorer: Scorer, val: Outputs, scores: np.ndarray, how: str, seed: int, notes: tuple[str, ...], *, fresh: bool
) -> Fitted:
    prediction = to_numpy(val.prediction) if val.classes else None
    label = None if val.labels is None else to_numpy(val.labels)
    rows = Rows.of(scores, prediction, label, seed)
    said = tuple(getattr(scorer, "notes_", ())) + notes
    if len(rows) < len(val):
        said += (f"{len(rows):,} of {len(val):,} calibration images are kept, drawn with seed {seed}",)
    return Fitted(scorer, rows, Probe.of(scorer, val.blind()), said, how, fresh)


def _same_images(made: Scorer, val: Outputs, train: Outputs | None, allow_same: bool) -> tuple[str, ...]:
    """Refuse to calibrate on what a scorer was trained on, unless told to; note where it is a part."""
    if train is None or not {"train", "train_labels"} & made.needs:
        return ()
    count = len(val) if train is val else copies(val, train)
    if count == len(val) and not allow_same:
        raise ScorerError(
            f"{made.spec}: all {len(val)} images to calibrate on are also trained on, so that images to come will seem "
            "strange; bring others, or pass allow_same (--allow-same)"
        )
    if not count:
        return ()
    return (
        f"{count:,} of the {len(val):,} images to calibrate on are also trained on; what is promised does not hold",
    )
