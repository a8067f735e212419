"""Which rule gave a printed number: our own metrics and those of six published code bases, by name.

"FPR95" and "AUPR" stand for different quantities in different papers. A protocol fixes the positive class,
the rule for FPR95, the kind of AUPR and how the code averages over OOD sets, and says so in words. Keys name
what they hold: `fpr95_id`, `fpr95_ood` the positive class, `aupr_*` a trapezoid, `ap_*` an average precision.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Literal, TypeAlias

from numpy.typing import ArrayLike

from ood_toolkit.errors import MetricError
from ood_toolkit.metrics import roc
from ood_toolkit.metrics.precision_recall import step_area, trapezoid_area
from ood_toolkit.metrics.ranking import Counts, Ranking

Rule: TypeAlias = Callable[[Counts], float]


@dataclass(frozen=True)
class Measure:
    """A rule applied to one reading of the ranking."""

    rule: Rule
    """What is computed from the counts."""
    positive: Literal["id", "ood"]
    """The class the counts take for positive."""

    def __call__(self, ranking: Ranking) -> float:
        """Apply the rule."""
        return self.rule(ranking.id_positive if self.positive == "id" else ranking.ood_positive)


@dataclass(frozen=True)
class Protocol:
    """How one code base evaluates scores."""

    name: str
    """What `--protocol` and `evaluate` call it."""
    description: str
    """Whose rules these are."""
    positive: Literal["id", "ood", "both"]
    """The positive class of its FPR95; "both" gives both under their own names."""
    fpr_rule: str
    """Where on the ROC curve its FPR95 is read, in words."""
    aupr: str
    """The kind of area under its precision-recall curve, in words; "none" where it has none."""
    averaging: Literal["all sets", "near and far separately"]
    """Over which OOD sets it averages; the mean is unweighted."""
    measures: Mapping[str, Measure] = field(repr=False, hash=False)
    """The metrics by name, in the order of printing."""

    def evaluate(self, ranking: Ranking) -> dict[str, float]:
        """Compute every metric of this protocol from a ranking, scores sorted once, as shares between 0 and 1."""
        return {key: measure(ranking) for key, measure in self.measures.items()}


def evaluate(id_scores: ArrayLike, ood_scores: ArrayLike, protocol: str = "native") -> dict[str, float]:
    """Compute all metrics of a protocol from one sort, as shares between 0 and 1.

    `id_scores` (n,) and `ood_scores` (m,), higher = more in-distribution; `protocol` is a name in
    `PROTOCOLS`. Raises `MetricError` for an unknown protocol and for arrays that are empty, not
    one-dimensional or hold NaN.
    """
    return find_protocol(protocol).evaluate(Ranking.of(id_scores, ood_scores))


def find_protocol(name: str) -> Protocol:
    """Look a protocol up by name; `MetricError` with the nearest known name when there is none."""
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    near = difflib.get_close_matches(str(name).lower(), PROTOCOLS, n=1, cutoff=0.3)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise MetricError(f"protocol: unknown name {name!r}; {hint}Known are {', '.join(PROTOCOLS)}")


def _one_minus_fpr95(counts: Counts) -> float:
    """Return the share of negatives rejected at the threshold of `fpr95_first`."""
    return 1.0 - roc.fpr95_first(counts)


_AUROC = {"auroc": Measure(roc.roc_area, "id")}
_TRAPEZOIDS = {"aupr_in": Measure(trapezoid_area, "id"), "aupr_out": Measure(trapezoid_area, "ood")}
_FROM_ZERO = partial(trapezoid_area, start=0.0)

_NATIVE = Protocol(
    name="native",
    description="The metrics of ood_toolkit under names that say the positive class",
    positive="both",
    fpr_rule="first threshold with TPR >= 0.95, all distinct scores, counted in integers",
    aupr="trapezoid (aupr_*) and average precision (ap_*)",
    averaging="all sets",
    measures=MappingProxyType(
        _AUROC
        | {"fpr95_id": Measure(roc.fpr95_first, "id"), "fpr95_ood": Measure(roc.fpr95_first, "ood")}
        | _TRAPEZOIDS
        | {"ap_in": Measure(step_area, "id"), "ap_out": Measure(step_area, "ood")}
        | {"tnr_at_tpr95": Measure(_one_minus_fpr95, "id"), "detection_error": Measure(roc.least_error, "id")}
    ),
)
_OPENOOD = Protocol(
    name="openood-v1.5",
    description="OpenOOD v1.5, arXiv 2306.09301: openood/evaluators/metrics.py",
    positive="ood",
    fpr_rule="first point with TPR >= 0.95 after scikit-learn's roc_curve has dropped collinear points",
    aupr="trapezoid",
    averaging="near and far separately",
    measures=MappingProxyType(_AUROC | {"fpr95_ood": Measure(roc.fpr95_first_corner, "ood")} | _TRAPEZOIDS),
)
_PYTORCH_OOD = Protocol(
    name="pytorch-ood",
    description="pytorch-ood 0.4.0: metrics/functional.py",
    positive="ood",
    fpr_rule="first threshold with TPR >= 0.95, all distinct scores",
    aupr="trapezoid",
    averaging="all sets",
    measures=MappingProxyType(_AUROC | {"fpr95_ood": Measure(roc.fpr95_first, "ood")} | _TRAPEZOIDS),
)
_MCM = Protocol(
    name="mcm",
    description="MCM, arXiv 2211.13445, with GL-MCM, LoCoOp, EOE, NegLabel, CSP: utils/detection_util.py",
    positive="id",
    fpr_rule="recall nearest to 0.95, which may lie below; of equal recalls the lowest threshold",
    aupr="average precision, ID positive (printed as AUPR)",
    averaging="all sets",
    measures=MappingProxyType(
        _AUROC | {"fpr95_id": Measure(roc.fpr95_nearest, "id"), "ap_in": Measure(step_area, "id")}
    ),
)
_CLIPN = Protocol(
    name="clipn",
    description="CLIPN, arXiv 2308.12213, and CMA: src/zero_shot_infer.py",
    positive="id",
    fpr_rule="linear interpolation of the ROC curve at TPR 0.95",
    aupr="none",
    averaging="all sets",
    measures=MappingProxyType(_AUROC | {"fpr95_id": Measure(roc.fpr95_interpolated, "id")}),
)
_KNN_OOD = Protocol(
    name="knn-ood",
    description="Deep nearest neighbours, arXiv 2204.06507, and NPOS: util/metrics.py",
    positive="id",
    fpr_rule="share of OOD strictly above the ID score at position round(0.05 n) of the rising order",
    aupr="trapezoid that starts at recall 0 with precision 0 instead of 1",
    averaging="all sets",
    measures=MappingProxyType(
        _AUROC
        | {"fpr95_id": Measure(roc.fpr95_strict_rank, "id")}
        | {"aupr_in": Measure(_FROM_ZERO, "id"), "aupr_out": Measure(_FROM_ZERO, "ood")}
    ),
)
_VIM = Protocol(
    name="vim",
    description="ViM, arXiv 2203.10807, and TAG: benchmark.py",
    positive="id",
    fpr_rule="share of OOD at or above the floor(0.95 n)-th largest ID score",
    aupr="trapezoid (computed there, never printed)",
    averaging="all sets",
    measures=MappingProxyType(_AUROC | {"fpr95_id": Measure(roc.fpr95_floor_rank, "id")} | _TRAPEZOIDS),
)

PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {p.name: p for p in (_NATIVE, _OPENOOD, _PYTORCH_OOD, _MCM, _CLIPN, _KNN_OOD, _VIM)}
)
"""Every protocol by name, our own first."""
