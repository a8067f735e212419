"""InterNeg's choice of negatives, by the mean images of the classes: Xu et al., CVPR 2026, arXiv 2603.02618."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ood_toolkit.api.component import DEPENDS
from ood_toolkit.api.prompts import Mining, TextBank
from ood_toolkit.api.scorer import positive
from ood_toolkit.errors import ScorerError
from ood_toolkit.scorers.families.negatives import check_share, texts_of

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.api.component import Component
    from ood_toolkit.outputs import Outputs
    from ood_toolkit.outputs.head import Bank, Head

__all__ = ["COUNT", "INTER", "QUANTILE", "Criterion", "MinesTexts", "check_mine", "chosen", "class_means", "criterion"]

Self = TypeVar("Self", bound="MinesTexts")

QUANTILE, INTER = "quantile", "inter"
COUNT = 2000
"""Texts that InterNeg keeps."""
BLOCK = 1 << 22
"""Cosines that are held at once."""
EQUAL = 1e-6
"""Cosines that differ by no more are equal, as texts are held in float32: a class's own text never passes."""


class MinesTexts:
    """What scores share that may have their negatives chosen by images: `fit` with `mine=inter`.

    A subclass has the fields `mine` and `count`, and perhaps `share`.
    """

    mine: str
    count: int

    @property
    def by_images(self) -> bool:
        """Whether the negatives are chosen by the mean images of the classes."""
        return self.mine == INTER

    @property
    def mining_needs(self) -> frozenset[str]:
        """What choosing the negatives needs."""
        if self.by_images:
            return frozenset({"features", "text:candidates", "train", "train_labels"})
        return frozenset({"text:negatives"})

    def text_bank(self, mining: Mining | None, **words: Any) -> TextBank:
        """Declare the bank: mined by the class texts, or all candidates where images choose."""
        if self.by_images:
            return TextBank("candidates", **words)
        return TextBank("negatives", mining=mining, **words)

    def fit(self: Self, val: Outputs, train: Outputs | None = None) -> Self:
        """Choose the negatives by the training images where `mine=inter` asks for it."""
        if self.by_images:
            self._choose(train)
        return self

    def bank(self, head: Head) -> Bank:
        """Give the negatives: the head's, or those that were chosen."""
        from ood_toolkit.outputs.head import Bank

        if not self.by_images:
            return head.bank("negatives")
        return Bank(self.negatives_, candidates=head.bank("candidates").rows, places=self.places_)

    def _choose(self, train: Outputs | None) -> None:
        name = getattr(self, "name", "")
        if train is None:
            raise ScorerError(f"{name}: needs train to fit with mine={INTER}, got none; pass train=")
        head = texts_of(train)
        candidates = head.bank("candidates")
        means, seen = class_means(train, name)
        found = criterion(candidates.rows, means[seen], head.weight[seen])
        limit = min(self.count, int(getattr(self, "share", 1.0) * len(candidates.rows)))
        places = chosen(found, candidates.nouns, limit, name)
        self.negatives_ = candidates.rows[places]  # (m, d), the largest gap first, nouns before adjectives
        self.places_ = places  # (m,) in the candidates
        self.gap_, self.least_ = found.gap[places], found.least[places]  # (m,) each
        self.closest_ = seen.nonzero()[:, 0][found.closest[places]]  # (m,) classes
        words, passed = len(candidates.rows), int(found.passes.sum())
        self.notes_ = [f"{len(places):,} negatives, mined from {words:,} words of which {passed:,} pass mine={INTER}"]
        if lacking := int((~seen).sum()):
            self.notes_.append(f"{lacking} of {len(seen)} classes have no training images and choose no negatives")


@dataclass(frozen=True, eq=False)
class Criterion:
    """How much less similar than its own text candidates (m,) are to the mean images of the classes, in float64."""

    gap: Tensor
    """(m,) mean over the classes of m_k . t_k - m_k . w."""
    least: Tensor
    """(m,) the least of these."""
    closest: Tensor
    """(m,) the class of the least."""

    @property
    def passes(self) -> Tensor:
        """Which candidates (m,) are less similar to every class's mean image than the class's own text."""
        return self.least > EQUAL


def class_means(train: Outputs, name: str) -> tuple[Tensor, Tensor]:
    """Give the unit means (k, d) of the unit embeddings of each class, float64, and which classes have images (k,).

    `ScorerError`, of the scorer of that name, where no image has a class.
    """
    import torch

    sums: Tensor | None = None
    for chunk in train.chunks():
        if chunk.labels is None:
            break
        known = chunk.labels >= 0
        rows = chunk.embeddings[known].double()
        sums = rows.new_zeros(train.classes, rows.shape[1]) if sums is None else sums
        sums.index_add_(0, chunk.labels[known], rows)
    length = torch.zeros(1) if sums is None else torch.linalg.vector_norm(sums, dim=1, keepdim=True)
    if sums is None or not bool((length > 0).any()):
        raise ScorerError(f"{name}: needs train_labels, training images of at least one class")
    return sums / length.clamp(min=1e-300), length[:, 0] > 0


def criterion(candidates: Tensor, means: Tensor, texts: Tensor) -> Criterion:
    """Compare candidates (m, d) with the mean images (k, d) of the classes and the classes' own texts (k, d)."""
    import torch

    own = (means * texts.to(means)).sum(dim=1)  # (k,)
    gap, least, closest = [], [], []
    step = max(1, BLOCK // len(means))
    for start in range(0, len(candidates), step):
        apart = own - candidates[start : start + step].to(means) @ means.T  # (at most step, k)
        lowest = apart.min(dim=1)
        gap.append(apart.mean(dim=1))
        least.append(lowest.values)
        closest.append(lowest.indices)
    return Criterion(torch.cat(gap), torch.cat(least), torch.cat(closest))


def chosen(found: Criterion, nouns: int | None, limit: int, name: str) -> Tensor:
    """Give the places (at most `limit`) of the candidates that pass, the largest gap first; equals keep their order.

    The first `nouns` are nouns, the others adjectives, and where not all have room each kind is kept in proportion to
    how many of it pass, that of the adjectives rounded down; nouns come first. `ScorerError` where none is kept.
    """
    import torch

    total, kinds = len(found.gap), []
    nouns = total if nouns is None else nouns
    for part in (slice(0, nouns), slice(nouns, total)):
        order = found.gap[part].argsort(descending=True, stable=True)
        kinds.append(order[found.passes[part][order]] + part.start)
    passed = sum(map(len, kinds))
    if not passed:
        raise ScorerError(
            f"{name}: mine={INTER} keeps none of the {total:,} candidates: each is as similar to the mean image of a "
            f"class as the class's own text; give other words, or mine={QUANTILE}"
        )
    limit = min(limit, passed)
    if limit < 1:
        raise ScorerError(f"{name}: mine={INTER}: the share of {total:,} candidates keeps none; raise share")
    of_adjectives = limit * len(kinds[1]) // passed
    return torch.cat([kinds[0][: limit - of_adjectives], kinds[1][:of_adjectives]])


def check_mine(scorer: Component, rules: dict[str, dict[str, Any]]) -> None:
    """Refuse an unknown rule, give the parameters that depend on it their values, and refuse those that cannot be."""
    rule = getattr(scorer, "mine", None)
    if not isinstance(rule, str) or rule not in rules:
        raise ScorerError(f"{scorer.name}: mine: expected {' or '.join(rules)}, got {rule!r}")
    for name, value in scorer.parameters().items():
        if value is DEPENDS:
            setattr(scorer, name, scorer.default_of(name))
    if "share" in scorer.parameters():
        check_share(scorer, scorer.parameters()["share"])
    if rules[rule].get("count", 1) == 0:
        if scorer.parameters()["count"] != 0:
            raise ScorerError(f"{scorer.name}: count: goes with mine={INTER}; mine={rule} keeps a share")
    else:
        positive(scorer, "count")
