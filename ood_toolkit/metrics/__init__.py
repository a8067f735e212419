"""Metrics of two named arrays, `(id_scores, ood_scores)`, with the rule behind every number on record."""

from ood_toolkit.metrics.calibration import accuracy, ece
from ood_toolkit.metrics.decisions import accuracy_uncertain, f1_uncertain, id_accepted, ood_detected
from ood_toolkit.metrics.detection import (
    ap_in,
    ap_out,
    aupr_in,
    aupr_out,
    auroc,
    detection_error,
    fpr95_id,
    fpr95_ood,
    tnr_at_tpr95,
)
from ood_toolkit.metrics.protocols import PROTOCOLS, Measure, Protocol, evaluate, find_protocol
from ood_toolkit.metrics.ranking import Counts, Ranking
from ood_toolkit.metrics.selective import aurc, eaurc

__all__ = [
    "PROTOCOLS",
    "Counts",
    "Measure",
    "Protocol",
    "Ranking",
    "accuracy",
    "accuracy_uncertain",
    "ap_in",
    "ap_out",
    "aupr_in",
    "aupr_out",
    "aurc",
    "auroc",
    "detection_error",
    "eaurc",
    "ece",
    "evaluate",
    "f1_uncertain",
    "find_protocol",
    "fpr95_id",
    "fpr95_ood",
    "id_accepted",
    "ood_detected",
    "tnr_at_tpr95",
]
