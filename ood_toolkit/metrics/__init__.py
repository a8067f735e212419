"""Metrics of two named arrays, `(id_scores, ood_scores)`, with the rule behind every number on record."""

from ood_toolkit.metrics.binomial import Share, accepted_share, clopper_pearson
from ood_toolkit.metrics.by_class import evaluate_by_class, macro_average
from ood_toolkit.metrics.calibration import accuracy, ece
from ood_toolkit.metrics.curves import Bins, RiskCoverage, Roc, reliability, risk_coverage, roc_curve
from ood_toolkit.metrics.decisions import accuracy_uncertain, f1_uncertain, id_accepted, ood_detected
from ood_toolkit.metrics.delong import Interval, auroc_interval, auroc_variance
from ood_toolkit.metrics.detection import (
    ap_in,
    ap_out,
    aupr_in,
    aupr_out,
    auroc,
    detection_error,
    fpr95_id,
    fpr95_ood,
    fpr_at,
    tnr_at_tpr95,
)
from ood_toolkit.metrics.discoveries import Flags, benjamini_hochberg, conformal_p_values
from ood_toolkit.metrics.open_set import OpenSetCurve, oscr, oscr_curve, oscr_interval
from ood_toolkit.metrics.paired import Difference, delong_test, holm, paired_bootstrap
from ood_toolkit.metrics.protocols import PROTOCOLS, Measure, Protocol, evaluate, find_protocol
from ood_toolkit.metrics.ranking import Counts, Ranking
from ood_toolkit.metrics.resampling import bootstrap, intervals
from ood_toolkit.metrics.selective import augrc, aurc, eaurc
from ood_toolkit.metrics.selective_intervals import selective_intervals

__all__ = [
    "PROTOCOLS",
    "Bins",
    "Counts",
    "Difference",
    "Flags",
    "Interval",
    "Measure",
    "OpenSetCurve",
    "Protocol",
    "Ranking",
    "RiskCoverage",
    "Roc",
    "Share",
    "accepted_share",
    "accuracy",
    "accuracy_uncertain",
    "ap_in",
    "ap_out",
    "augrc",
    "aupr_in",
    "aupr_out",
    "aurc",
    "auroc",
    "auroc_interval",
    "auroc_variance",
    "benjamini_hochberg",
    "bootstrap",
    "clopper_pearson",
    "conformal_p_values",
    "delong_test",
    "detection_error",
    "eaurc",
    "ece",
    "evaluate",
    "evaluate_by_class",
    "f1_uncertain",
    "find_protocol",
    "fpr95_id",
    "fpr95_ood",
    "fpr_at",
    "holm",
    "id_accepted",
    "intervals",
    "macro_average",
    "ood_detected",
    "oscr",
    "oscr_curve",
    "oscr_interval",
    "paired_bootstrap",
    "reliability",
    "risk_coverage",
    "roc_curve",
    "selective_intervals",
    "tnr_at_tpr95",
]
