"""`Detector`: a fitted scorer with its thresholds, for one model; decides, saves, loads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ood_toolkit.api.registry import get_registry
from ood_toolkit.api.scorer import SPLIT_NEEDS, Scorer
from ood_toolkit.api.stream import each_alone
from ood_toolkit.detectors.calibration import Accepted, Calibration, cuts_of, measured, record, with_measured
from ood_toolkit.detectors.decisions import Decisions, empty, merged, unscored
from ood_toolkit.detectors.file import digest_of, write
from ood_toolkit.detectors.fitting import fitted
from ood_toolkit.detectors.identity import check_same_outputs
from ood_toolkit.detectors.inputs import as_matrix, is_empty, unusable
from ood_toolkit.detectors.notebook import detector_html
from ood_toolkit.detectors.probe import Probe
from ood_toolkit.detectors.rows import Rows
from ood_toolkit.detectors.saving import laid_out, restored
from ood_toolkit.detectors.soundness import check_predicts
from ood_toolkit.errors import DetectorError, ScorerError
from ood_toolkit.outputs import Outputs, as_outputs
from ood_toolkit.outputs.arrays import ArrayLike, to_numpy
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.rules import Rule, is_of_rule
from ood_toolkit.scorers.scores import STREAM, check_needs, scores_of
from ood_toolkit.store.foreign.guard import guarded

__all__ = ["Detector"]

BLOCK = 4096
"""Rows of a plain array that are looked at together."""


@dataclass(frozen=True, eq=False, repr=False)
class Detector:
    """A fitted scorer, the thresholds from which it says "in-distribution", and the head it was fitted with.

    >>> import numpy as np
    >>> from ood_toolkit import Detector, Outputs
    >>> val = Outputs.from_logits(np.random.default_rng(0).normal(size=(200, 5)))  # of ID validation images
    >>> detector = Detector.fit("msp", val)
    >>> float(detector.predict(val).mean())  # accepts 95 % of them
    0.95
    """

    scorer: Scorer
    """The scorer as it was fitted."""
    threshold: float
    """The threshold for all images, or that of the rule on all classes together where each class has its own."""
    rule: str
    """What the thresholds were chosen by, such as `conformal:target=0.9`."""
    head: Head | None
    """That of the outputs it was fitted on; None where they had ready logits alone."""
    classes: int
    """How many classes there are."""
    width: int | None
    """Width of the features, where there were any."""
    notes: tuple[str, ...] = ()
    """What is worth knowing of the fit, a sentence each."""
    class_names: tuple[str, ...] | None = None
    """(k,) names in the order of the logits; None where they are not known."""
    class_thresholds: np.ndarray | None = None
    """(k,) float64 thresholds by predicted class, where the rule gives them."""
    calibration: Calibration | None = None
    """How the thresholds came about; None for a file of format 1."""
    rows: Rows | None = None
    """The calibration rows; None for a file of format 1."""
    encoder: Mapping[str, Any] = field(default_factory=dict)
    """Which model the outputs are of: model, weights, architecture, preprocessing, precision, where they are known."""
    probe: Probe | None = None
    """A few calibration images with their scores, by which a formula that changed since is noticed."""

    @classmethod
    def fit(
        cls,
        scorer: str | Scorer,
        val: Outputs,
        train: Outputs | None = None,
        rule: str | Rule = "tpr",
        target: float | None = None,
        *,
        seed: int = 0,
        encoder: Mapping[str, Any] | None = None,
        allow_same: bool = False,
        **origin: str,
    ) -> Detector:
        """Fit a scorer on ID outputs and its thresholds on ID validation.

        `rule` is one such as `tpr`, `conformal:by=predicted`, `pac:target=0.95:delta=0.05`; `target` holds where it
        names none. A scorer that decides by itself (a margin) keeps its own threshold of 0. A scorer that learns from
        validation is, for a rule that promises something, fitted on one half and calibrated on the other, drawn with
        the seed; for other rules the threshold is from cross-fitted scores (`calibration_scores`). `set`, `split` and
        `encoder`, of `origin`, are recorded. Raises `ScorerError` where a need is unmet, and where `train` holds all of
        `val`, unless `allow_same`; `OutputsError` for what are no outputs, `SpecError` for an unknown scorer.
        """
        made, val = each_alone(get_registry().scorer(scorer), STREAM), as_outputs(val, "val")
        check_needs(made, val, val, train)
        wanted = Rule.of(rule, target)
        if made.threshold is not None and (wanted.name != "tpr" or wanted.target != 0.95):
            raise ScorerError(
                f"{made.spec}: decides by itself; give rule and target to the scorer, such as "
                f"classwise:rule={wanted.name}"
            )
        found = fitted(made, val, train, wanted, seed, allow_same=allow_same)
        width = None if val.features is None else val.features.shape[1]
        bare = cls(
            found.scorer, 0.0, wanted.text, val.head, val.classes, width, found.notes, val.class_names,
            encoder=dict(encoder or {}), probe=found.probe, rows=found.rows,
        )  # fmt: skip
        about = {"seed": seed, "how": found.how, "fresh": found.fresh, **origin}
        if made.threshold is not None:
            known = found.margin_record(val.class_names, about)
            return replace(bare, threshold=float(made.threshold), calibration=known)
        return bare._with(wanted, about)

    def _with(self, rule: Rule, about: Mapping[str, Any]) -> Detector:
        """Take thresholds from the calibration rows."""
        assert self.rows is not None
        cuts = cuts_of(rule, self.rows, self.classes, self.class_names)
        known = record(rule, self.rows, cuts, self.classes, self.class_names, **about)
        return replace(
            self, threshold=cuts.overall, class_thresholds=cuts.by_class, rule=rule.text, calibration=known,
            notes=self.notes + cuts.notes,
        )  # fmt: skip

    def __repr__(self) -> str:
        cut = f"threshold {self.threshold:.6g}"
        if self.class_thresholds is not None:
            cut = f"{len(self.class_thresholds)} thresholds"
        of = "" if self.calibration is None else f", calibrated on {self.calibration.n} images"
        if self.calibration is not None and self.calibration.set:
            of += f" of {self.calibration.set}"
        model = self.encoder.get("model")
        return (
            f"Detector({self.scorer.spec}, {self.rule}, {cut}, {self.classes} classes"
            f"{'' if model is None else f', model {model}'}{of})"
        )

    def _repr_html_(self) -> str:
        return detector_html(self)

    # -- deciding -------------------------------------------------------------------------------------------------

    def score(self, x: Outputs | ArrayLike) -> np.ndarray:
        """Score `x`: (n,) float64, higher = more in-distribution; `DetectorError` for outputs of another model.

        No rows give no scores.
        """
        if is_empty(x):
            return np.empty(0)
        return scores_of(self.scorer, self._same_model(x).blind())

    def predict(self, x: Outputs | ArrayLike) -> np.ndarray:
        """Decide for each image of `x`: (n,) bool, True = in-distribution; `DetectorError` as for `score`.

        No rows give no decisions.
        """
        if is_empty(x):
            return np.empty(0, dtype=bool)
        x = self._same_model(x).blind()
        scores = scores_of(self.scorer, x)
        if self.class_thresholds is None:
            return scores >= self.threshold
        accepted: np.ndarray = scores >= self.class_thresholds[to_numpy(x.prediction)]
        return accepted

    def decide(self, x: Any) -> Decisions:
        """Decide on `x`, outputs of the same model, or its features (n, d), else logits (n, k), as people have them.

        Arrays, tensors, lists, data frames, columns of vectors and Arrow columns are taken, and iterators of any of
        these and of `Outputs`. A row that cannot be scored (NaN, infinity, zeros without a direction) is rejected with
        the reason; no rows give no decisions. `DetectorError` where the numbers are of another model.
        """
        if isinstance(x, Iterator):
            return Decisions.joined(self.stream(x))
        return Decisions.joined(self._parts(x)) if not is_empty(x) else empty(self._names)

    def stream(self, chunks: Iterable[Any]) -> Iterator[Decisions]:
        """Decide on one of `chunks` after the other, each as for `decide`, in constant memory."""
        done = 0
        for chunk in chunks:
            for part in self._parts(chunk) if not is_empty(chunk) else ():
                yield replace(part, first=done)
                done += len(part)

    def p_values(self, x: Outputs | ArrayLike, *, by_class: bool = False, seed: int | None = None) -> np.ndarray:
        """Give the conformal p-value of each image of `x`, (n,) float64: small = unlike the calibration images.

        (1 + #{calibration scores <= s}) / (n + 1): at most a with probability at most a, for an ID image that is
        exchangeable with calibration images which the scorer did not learn from (`calibration.fresh`). `by_class`
        compares with the calibration images predicted as the same class. A seed randomises ties. NaN for a row that
        cannot be scored. `DetectorError` for a file of format 1, which has no calibration rows.
        """
        rows = self._rows()
        made = self.decide(x)
        found, known = np.full(len(made), np.nan), ~np.isnan(made.score)
        codes = made.codes[known] if by_class else None
        found[known] = rows.p_values(made.score[known], codes, seed)
        return found

    def to(self, device: torch.device | str) -> Detector:
        """Move the scorer's learned state and the head to a device, and give the detector there."""
        head = None if self.head is None else self.head.to(device)
        return replace(self, scorer=self.scorer.to(device), head=head)

    def moved(self, rule: str | Rule, target: float | None = None) -> Detector:
        """Give the same detector with other thresholds, from the stored calibration rows, as `fit` would give them.

        The record counts it: a target picked after looking promises nothing. `ScorerError` for a rule or target that
        there is not, `DetectorError` for a file of format 1, for a scorer that decides by itself, for a rule that needs
        labels which the rows lack, and between rules with and without a promise where the scorer learns from
        validation, as `fit` calibrates these otherwise.
        """
        rows, known, wanted = self._rows(), self.calibration, Rule.of(rule, target)
        assert known is not None
        if self.scorer.threshold is not None:
            raise DetectorError(
                f"{self.scorer.spec}: decides by itself, by a rule that is its parameter; fit it again, such as "
                f"classwise:rule={wanted.name}"
            )
        if not rows.known.any() and (wanted.needs_right or wanted.by == "true"):
            raise DetectorError(f"{wanted.text}: needs labels of the calibration images, and this detector has none")
        if known.how and wanted.promises != known.fresh:
            raise DetectorError(
                f"{self.scorer.spec}: learns from validation, which {wanted.text} and {self.rule} divide differently; "
                f"fit it again with --rule {wanted.text}"
            )
        about = {name: getattr(known, name) for name in ("seed", "how", "fresh", "set", "split")}
        bare = replace(self, notes=tuple(note for note in self.notes if not is_of_rule(note)))
        return bare._with(wanted, {**about, "moved": known.moved + 1})

    def with_measured(self, **sets: Outputs) -> Detector:
        """Record what share of `sets` is accepted, which chose no threshold; `DetectorError` as for `score`."""
        return self.with_shares({name: measured(self.predict(x)) for name, x in sets.items()})

    def with_shares(self, shares: Mapping[str, Accepted]) -> Detector:
        """Record shares that were measured; `DetectorError` for a detector of format 1."""
        if self.calibration is None:
            raise DetectorError("a detector of format 1 has no record to write to; fit it again")
        return replace(self, calibration=with_measured(self.calibration, shares))

    @property
    def accepts_everything(self) -> bool:
        """Whether no image can be rejected."""
        known, cuts = self.calibration, self.class_thresholds
        if known is not None:
            return known.accepts_all >= max(self.classes, 1)
        return self.threshold == -np.inf if cuts is None else bool(np.isneginf(cuts).all())

    def check_rejects(self, *, accept_all: bool) -> None:
        """Raise `DetectorError` where the thresholds accept everything, unless `accept_all`."""
        if self.accepts_everything and not accept_all:
            of = "" if self.rows is None else f" on {len(self.rows)} images"
            raise DetectorError(
                f"{self.scorer.spec}: {self.rule}{of} accepts everything: too few for what it promises; bring more, "
                "lower the target, or pass --accept-all"
            )

    # -- the file -------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `path`, safetensors with JSON metadata, whole or not at all; `NotSavableError` if it cannot be."""
        write(path, *laid_out(self._fields))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Detector:
        """Read `path`, which `save` wrote, to the CPU; the scorer's class is found by its registered name.

        `DetectorError` in one line for a file that is damaged, of a later version, of a plugin that is not here, or of
        a scorer whose formula has changed since.
        """
        with guarded(f"{path}: damaged", "a detector written by Detector.save", DetectorError):
            detector = cls(**restored(path))
        check_predicts(detector, path)
        return detector

    @property
    def digest(self) -> str:
        """The start of a hash of all that this decides with, by which its decisions are known as its own."""
        if "_digest" not in self.__dict__:
            self.__dict__["_digest"] = digest_of(*laid_out(self._fields))[:16]
        known: str = self.__dict__["_digest"]
        return known

    @property
    def _fields(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)}

    # -- inside ---------------------------------------------------------------------------------------------------

    def _rows(self) -> Rows:
        if self.rows is None:
            raise DetectorError("a detector of format 1 has no calibration rows; fit it again with this version")
        return self.rows

    @property
    def _names(self) -> tuple[str, ...]:
        """Names of the classes, numbers where they have none."""
        return self.class_names or tuple(map(str, range(self.classes)))

    def _parts(self, x: Any) -> Iterator[Decisions]:
        if isinstance(x, Outputs):
            x = self._same_model(x).blind()
            for chunk in x.chunks():
                yield self._decided(chunk)
            return
        matrix = as_matrix(x)
        for start in range(0, len(matrix), BLOCK):
            yield self.decide_rows(matrix[start : start + BLOCK])

    def decide_rows(
        self, block: Tensor, extras: Mapping[str, Tensor] | None = None, is_features: bool | None = None
    ) -> Decisions:
        """Decide on `block`, features (n, d) or logits (n, k), of which some rows may be no numbers; extras are by row.

        Without `is_features` the width says which it is. `DetectorError` for another, `ScorerError` for scores that are
        not one a row.
        """
        is_features = self._takes_features(block.shape[1]) if is_features is None else is_features
        unit_rows = is_features and self.head is not None and self.head.takes_embeddings
        block = block if self.head is None else block.to(self.head.device)
        held = dict(extras or {})
        reasons = unusable(block, unit_rows=unit_rows)
        for array in held.values():
            reasons = {**unusable(array.reshape(len(array), -1), unit_rows=False), **reasons}
        if not reasons:
            return self._decided(self._wrapped(block, is_features, held))
        good = [row for row in range(len(block)) if row not in reasons]
        self._check_width(block.shape[1])
        if not good:
            return unscored([reasons[row] for row in range(len(block))], self._names)
        held = {name: array[good] for name, array in held.items()}
        return merged(self._decided(self._wrapped(block[good], is_features, held)), good, reasons, None)

    @property
    def features_width(self) -> int | None:
        """Width of the features that this decides on; None where it takes logits alone."""
        return self.head.width if self.head is not None else self.width if not self.classes else None

    def _takes_features(self, width: int) -> bool:
        return width == self.features_width

    def _wrapped(self, block: Tensor, is_features: bool, extras: Mapping[str, Tensor]) -> Outputs:
        if is_features:
            return Outputs(block, extras=extras, head=self.head)
        return self._same_model(Outputs(logits=block, class_names=self._check_width(block.shape[1])))

    def _check_width(self, width: int) -> tuple[str, ...] | None:
        """Refuse rows that are neither features nor logits of this model."""
        if not self._takes_features(width) and width != self.classes:
            wanted = [f"features of width {w}" for w in [self.head.width if self.head else self.width] if w]
            wanted += [f"logits of {self.classes} classes"] if self.classes else []
            raise DetectorError(f"{self.scorer.spec}: expected {' or '.join(wanted)}, got width {width}: "
                                "they are of another model")  # fmt: skip
        return self.class_names

    def _decided(self, x: Outputs) -> Decisions:
        """Decide on checked outputs; a score that is no number rejects its row."""
        missing = sorted(x.lacking(frozenset(self.scorer.needs) - SPLIT_NEEDS))
        if missing:
            raise DetectorError(f"{self.scorer.spec}: needs {', '.join(missing)}, which these outputs do not provide")
        n = len(x)
        with torch.no_grad():
            scores = to_numpy(self.scorer.score(x)).astype(np.float64)
            codes = to_numpy(x.prediction).astype(np.int32) if x.classes else np.full(n, -1, np.int32)
            confidence = to_numpy(x.confidence).astype(np.float64) if x.classes else np.full(n, np.nan)
        if scores.shape != (n,):
            raise ScorerError(f"{self.scorer.spec}: expected scores of shape ({n},), one an image, got {scores.shape}")
        cuts = np.full(n, self.threshold) if self.class_thresholds is None else self.class_thresholds[codes]
        reasons = {}
        for row in np.flatnonzero(~np.isfinite(scores)).tolist():
            reasons[row] = f"not scored: {self.scorer.name} gives {'NaN' if np.isnan(scores[row]) else 'infinity'}"
            scores[row] = np.nan
        accepted = scores >= cuts  # NaN is never
        p = np.full(n, np.nan)
        if self.rows is not None:
            known = ~np.isnan(scores)
            p[known] = self.rows.p_values(scores[known])
        return Decisions(scores, cuts, accepted, confidence, p, codes, self._names, x.ids, reasons)

    def _same_model(self, x: Outputs | ArrayLike) -> Outputs:
        """Take outputs of the model that this was fitted on, or its features (n, d), or else its logits (n, k)."""
        if not isinstance(x, Outputs) and self.head is not None and np.shape(x)[-1:] == (self.head.width,):
            x = Outputs(features=x)
        x = as_outputs(x)
        width = None if x.features is None else x.features.shape[1]
        if x.head is None and self.head is not None and width == self.head.width and not x.classes:
            return x.with_head(self.head)
        check_same_outputs(x, self.head, self.class_names, self.classes, self.width, self.scorer.spec)
        return x
