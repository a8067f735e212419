"""`points95`: where on the curve each published rule reads its FPR95."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike

from ood_toolkit.metrics.protocols import PROTOCOLS
from ood_toolkit.metrics.ranking import Ranking
from ood_toolkit.metrics.roc import Fpr95

__all__ = ["Point95", "points95"]


@dataclass(frozen=True)
class Point95:
    """The point of one rule, which several protocols may have."""

    metric: str
    """`fpr95_id` or `fpr95_ood`: which class is positive."""
    protocols: tuple[str, ...]
    rule: str
    """In words."""
    id_accepted: float
    """How many ID images pass; between two counts where the rule interpolates."""
    ood_accepted: float
    value: float
    """The FPR95 that the rule gives."""


def points95(id_scores: ArrayLike, ood_scores: ArrayLike) -> list[Point95]:
    """Give the point of every rule for FPR95, in the order of `PROTOCOLS`, each once.

    `id_scores` (n,) and `ood_scores` (m,), higher = more in-distribution. Raises `MetricError` as `evaluate` does.
    """
    ranking = Ranking.of(id_scores, ood_scores)
    n, m = ranking.id_positive.positives, ranking.id_positive.negatives
    found: dict[tuple[object, str], Point95] = {}
    for protocol in PROTOCOLS.values():
        for metric, measure in protocol.measures.items():
            if not isinstance(measure.rule, Fpr95):
                continue
            known = found.get((measure.rule, measure.positive))
            if known is None:
                counts = ranking.id_positive if measure.positive == "id" else ranking.ood_positive
                tp, fp = measure.rule.point(counts)
                accepted = (tp, fp) if measure.positive == "id" else (n - fp, m - tp)
                made = Point95(metric, (protocol.name,), protocol.fpr_rule, *accepted, measure(ranking))
            else:
                made = Point95(**{**known.__dict__, "protocols": (*known.protocols, protocol.name)})
            found[measure.rule, measure.positive] = made
    return list(found.values())
