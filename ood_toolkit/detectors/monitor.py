"""`Monitor`: whether what a detector sees is still like what it was calibrated on."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from threading import RLock
from typing import Any

import numpy as np

from ood_toolkit.detectors.decisions import Decisions
from ood_toolkit.detectors.detector import Detector
from ood_toolkit.detectors.monitoring.evidence import Evidence
from ood_toolkit.detectors.monitoring.report import MonitorReport
from ood_toolkit.detectors.monitoring.state import is_position, read_state, write_state
from ood_toolkit.detectors.monitoring.tally import Tally
from ood_toolkit.errors import DetectorError, kind_of
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.arrays import to_numpy

__all__ = ["ALPHA", "Monitor"]

ALPHA = 0.01


class Monitor:
    """Watches a stream of images through the scores of a detector, in constant memory, safe under threads.

    The alarm may be looked at after every image: the chance of any false alarm, ever, is at most `alpha` while
    calibration images and stream come in random order from one source. It is an exchangeability martingale (Vovk,
    Nouretdinov and Gammerman 2003), mixed over directions and restarts. A stream that is sorted, or holds images twice,
    is not in random order although each image is ID: the alarm is then right about the order.

    >>> import numpy as np
    >>> from ood_toolkit import Detector, Monitor, Outputs
    >>> rng = np.random.default_rng(0)
    >>> val = Outputs.from_logits(4 * rng.normal(size=(200, 5)))  # of ID validation images
    >>> monitor = Monitor(Detector.fit("maxlogit", val, rule="conformal:target=0.9"))
    >>> monitor.observe(monitor.detector.decide(4 * rng.normal(size=(300, 5))))  # as before: no alarm
    False
    >>> monitor.observe(monitor.detector.decide(rng.normal(size=(300, 5))))  # flatter logits: alarm
    True
    >>> monitor.report().alarm_at > 300
    True
    """

    def __init__(self, detector: Detector, alpha: float = ALPHA, *, seed: int = 0) -> None:
        """Take a fitted detector and the chance of a false alarm; the seed places scores that are equal.

        `DetectorError` for a detector whose p-values promise nothing: one of format 1, or whose scorer took part in its
        calibration images. Choose `alpha` before you look.
        """
        if not 0 < alpha < 1:
            raise DetectorError(f"alpha: expected a chance between 0 and 1, got {alpha}")
        known = detector.calibration
        if detector.rows is None or known is None:
            raise DetectorError("monitor: a detector of format 1 has no calibration rows; fit it again")
        if not known.fresh:
            raise DetectorError(
                f"monitor: {detector.scorer.spec} took part in its calibration images, so its p-values promise "
                "nothing; fit a score without thresholds, such as msp, with --rule conformal"
            )
        self.detector, self.alpha, self.seed = detector, float(alpha), int(seed)
        self.resets = 0
        self.alarm_at: int | None = None
        """The image at which the alarm came, the first being 1."""
        self.fed: list[dict[str, Any]] = []
        """How far sources were fed, by their content; `oodkit monitor` keeps it."""
        self._evidence, self._tally = Evidence(detector.rows.score, self.seed), Tally(detector, detector.rows)
        self._lock = RLock()

    def __repr__(self) -> str:
        return (
            f"Monitor({self.detector.scorer.spec}, alpha {self.alpha:g}, {self.images:,} images, {self.bits:.1f} bits"
            f"{', ALARM' * self.alarm})"
        )

    @property
    def images(self) -> int:
        """Images that were scored since the start or the last reset."""
        return self._evidence.images

    @property
    def bits(self) -> float:
        """Evidence of drift now, log2 of the martingale."""
        return self._evidence.bits

    @property
    def highest_bits(self) -> float:
        """The most evidence since the start or the last reset."""
        return self._evidence.highest_bits

    @property
    def needed_bits(self) -> float:
        """From so much evidence on it is an alarm: log2(1 / alpha)."""
        return -math.log2(self.alpha)

    @property
    def alarm(self) -> bool:
        """Whether there was an alarm since the start or the last reset."""
        return self.alarm_at is not None

    def observe(self, x: Decisions | Any) -> bool:
        """Take `x`, decisions of the detector or scores (n,), in the order of the stream; tell if there is an alarm.

        Scores: higher = more in-distribution; NaN counts as an image that could not be scored. `DetectorError` for
        decisions with other class names, for scores of another shape, infinite ones, and bare scores where each class
        has a threshold of its own.
        """
        if isinstance(x, Decisions):
            if x.names and x.names != self._tally.names:
                raise DetectorError("monitor: these decisions name other classes: they are of another detector")
            return self._observe(x.score, x.threshold, x.codes)
        if self.detector.class_thresholds is not None:
            raise DetectorError("monitor: each class has its own threshold; give decisions, not bare scores")
        scores = _numbers(x)
        if scores.ndim != 1:
            raise DetectorError(f"monitor: expected scores (n,), one an image, got shape {scores.shape}")
        return self._observe(scores, np.full(len(scores), self.detector.threshold), None)

    def _observe(self, score: np.ndarray, threshold: np.ndarray, codes: np.ndarray | None) -> bool:
        if np.isinf(score).any():
            raise DetectorError("monitor: expected finite scores, or NaN for images without one, got infinity")
        known = ~np.isnan(score)
        with self._lock:
            done, scored = self._evidence.images, score[known]
            high = np.flatnonzero(self._evidence.observe(scored) >= -math.log(self.alpha))
            if self.alarm_at is None and len(high):
                self.alarm_at = done + int(high[0]) + 1
            self._tally.add(
                scored, scored < threshold[known], None if codes is None else codes[known], int((~known).sum())
            )
            return self.alarm

    def report(self) -> MonitorReport:
        """Compare what was seen with what the calibration images let expect."""
        with self._lock:
            found, counts = self._evidence, self._tally
            return MonitorReport(
                detector=self.detector.digest, alpha=self.alpha,
                calibration_n=0 if self.detector.rows is None else len(self.detector.rows), images=found.images,
                unreadable=counts.unreadable, resets=self.resets, alarm=self.alarm, alarm_at=self.alarm_at,
                bits=found.bits, highest_bits=found.highest_bits, needed_bits=self.needed_bits,
                rejected=counts.share_rejected(), exact=counts.exact_share, shift=counts.shift(),
                class_psi=counts.class_psi(), classes=counts.classes(),
            )  # fmt: skip

    def reset(self) -> None:
        """Begin again after an alarm was handled: counts and evidence are forgotten, what was fed is not fed again.

        From then on the chance of a false alarm is `alpha` once more.
        """
        with self._lock:
            self._evidence.restart()
            self._tally.restart()
            self.alarm_at, self.resets = None, self.resets + 1

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to `path` all that the monitor knows beside the detector, whole or not at all."""
        with self._lock:
            state = {
                "detector": self.detector.digest, "alpha": self.alpha, "seed": self.seed, "resets": self.resets,
                "alarm_at": self.alarm_at, "evidence": self._evidence.to_dict(), "counts": self._tally.to_dict(),
                "fed": self.fed,
            }  # fmt: skip
            write_state(path, state)

    @classmethod
    def load(cls, path: str | os.PathLike[str], detector: Detector) -> Monitor:
        """Go on from what `save` wrote to `path`; `DetectorError` where it is damaged, or of another detector."""
        return read_state(path, detector.digest, lambda state: cls._from(state, detector))

    @classmethod
    def _from(cls, state: Mapping[str, Any], detector: Detector) -> Monitor:
        made = cls(detector, state["alpha"], seed=state["seed"])
        made._evidence.take(state["evidence"])
        made._tally.take(state["counts"])
        made.resets, made.alarm_at, made.fed = state["resets"], state["alarm_at"], state["fed"]
        at = 1 if made.alarm_at is None else made.alarm_at
        fits = type(at) is int and 0 < at <= max(made.images, 1) and type(made.resets) is int and made.resets >= 0
        if not fits or made._tally.scored != made.images or not all(map(is_position, made.fed)):
            raise DetectorError("state: its numbers do not fit one another")
        return made


def _numbers(x: Any) -> np.ndarray:
    """Give bare scores as float64."""
    try:
        if not isinstance(x, Outputs):
            return np.asarray(to_numpy(x), dtype=np.float64)
    except (TypeError, ValueError):
        pass
    raise DetectorError(
        f"monitor: expected decisions, or scores (n,) as numbers, got {kind_of(x)}; give detector.decide(...)"
    )
