"""`Drift`: a monitor that sees all decisions of a server, for its metrics."""

from __future__ import annotations

from ood_toolkit.detectors.decisions import Decisions
from ood_toolkit.detectors.detector import Detector
from ood_toolkit.detectors.monitor import Monitor
from ood_toolkit.detectors.serving.metrics import Metrics
from ood_toolkit.errors import DetectorError

__all__ = ["Drift", "drift_of"]

GAUGES = {
    "drift_bits": "Evidence of drift since the server started: log2 of an exchangeability martingale.",
    "drift_bits_highest": "The most evidence of drift since the server started.",
    "drift_bits_needed": "From so much evidence on it is an alarm: log2(1 / alpha).",
    "drift_alarm": "1 from an alarm on, else 0.",
    "drift_images": "Images that the evidence is of.",
}


class Drift:
    """Sees batches as an `Observer`; begins anew with each start of the server."""

    def __init__(self, monitor: Monitor, metrics: Metrics) -> None:
        self.monitor = monitor
        metrics.gauges(GAUGES, self.values)

    def decided(self, decisions: Decisions) -> None:
        """Take a batch, in the order in which batches were decided."""
        self.monitor.observe(decisions)

    def values(self) -> dict[str, float]:
        """Give the numbers for the metrics."""
        one = self.monitor
        return {
            "drift_bits": one.bits, "drift_bits_highest": one.highest_bits, "drift_bits_needed": one.needed_bits,
            "drift_alarm": float(one.alarm), "drift_images": float(one.images),
        }  # fmt: skip


def drift_of(detector: Detector, metrics: Metrics) -> Drift | None:
    """Make it for a detector whose p-values promise something; None for another."""
    try:
        return Drift(Monitor(detector), metrics)
    except DetectorError:
        return None
