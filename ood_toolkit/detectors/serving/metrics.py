"""`Metrics`: what a server tells Prometheus of its requests, its decisions and its scores."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from ood_toolkit.detectors.decisions import Decisions
from ood_toolkit.detectors.detector import Detector

__all__ = ["Metrics"]

SHARES = (0.001, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
"""Quantiles of the calibration scores that bound the bins: of ID images each bin gets a known share."""
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
RECENT = 1000
"""Rows over which the recent share is taken."""


class Metrics:
    """Counts for one server, in a registry of its own."""

    def __init__(self, detector: Detector) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        mine: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter("oodkit_requests", "Requests to /predict, by status.", ["status"], **mine)
        self.seconds = Histogram(
            "oodkit_request_seconds", "Seconds from a request's headers to its answer.", buckets=SECONDS, **mine
        )
        self.rows = Counter(
            "oodkit_rows", "Rows, by what came of them: accepted, rejected, or unreadable.", ["decision"], **mine
        )
        for name in ("accepted", "rejected", "unreadable"):
            self.rows.labels(name)
        self.scores = Histogram(
            "oodkit_score", "Scores; bins end at quantiles of the calibration scores and at the threshold.",
            buckets=_bins(detector), **mine,
        )  # fmt: skip
        self.batch_rows = Histogram("oodkit_batch_rows", "Rows decided together.", ["lane"], buckets=ROWS, **mine)
        self.batch_seconds = Histogram(
            "oodkit_batch_seconds", "Seconds of one forward pass and decision.", ["lane"], buckets=SECONDS, **mine
        )
        self.observer_failures = Counter(
            "oodkit_observer_failures", "Batches that the observer of decisions could not take.", **mine
        )
        self.recent: deque[bool] = deque(maxlen=RECENT)
        self.gauge(
            "rejected_share", f"Share rejected of the last {RECENT} rows that were scored.",
            lambda: 1 - sum(self.recent) / len(self.recent) if self.recent else float("nan"),
        )  # fmt: skip

    def gauge(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Add a number that is looked at when it is asked for."""
        Gauge(f"oodkit_{name}", what, registry=self.registry).set_function(value)

    def gauges(self, names: Mapping[str, str], values: Callable[[], Mapping[str, float]]) -> None:
        """Add several numbers of one source, by name and meaning."""
        for name, what in names.items():
            self.gauge(name, what, partial(_one_of, values, name))

    def answered(self, status: int, seconds: float) -> None:
        """Count a request."""
        self.requests.labels(str(status)).inc()
        self.seconds.observe(seconds)

    def decided(self, decisions: Decisions) -> None:
        """Count a batch."""
        known = ~np.isnan(decisions.score)
        accepted = int(decisions.accepted.sum())
        scored = int(known.sum())
        self.rows.labels("accepted").inc(accepted)
        self.rows.labels("rejected").inc(scored - accepted)
        self.unreadable(len(decisions) - scored)
        self.recent.extend(decisions.accepted[known].tolist())
        for score in decisions.score[known].tolist():
            self.scores.observe(score)

    def ran(self, lane: str, rows: int, seconds: float) -> None:
        """Count a forward pass."""
        self.batch_rows.labels(lane).observe(rows)
        self.batch_seconds.labels(lane).observe(seconds)

    def unreadable(self, rows: int) -> None:
        """Count what could not be scored."""
        self.rows.labels("unreadable").inc(rows)

    def text(self) -> bytes:
        """Give all of it as Prometheus reads it."""
        return generate_latest(self.registry)


def _one_of(values: Callable[[], Mapping[str, float]], name: str) -> float:
    return values().get(name, float("nan"))


def _bins(detector: Detector) -> list[float]:
    """Choose where bins of scores end: ends at quantiles of the calibration scores, and at the thresholds."""
    ends = [detector.threshold]
    if detector.rows is not None:
        ends += np.quantile(detector.rows.score, SHARES).tolist()
    finite = sorted({float(end) for end in ends if np.isfinite(end)})
    return finite or [0.0]
