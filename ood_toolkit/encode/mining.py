"""Mining: of many candidate texts, those that are least like the classes of the ID set, as NegLabel picks them.

Jiang et al., ICLR 2024, arXiv 2403.20078; with the rules of CSP (Chen, Gao and Xu, NeurIPS 2024, arXiv 2410.08611) and
of OpenOOD-VLM as options. Rows are unit text embeddings throughout: candidates w (m, d) and class texts t (k, d).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ood_toolkit.errors import OutputsError, ScorerError
from ood_toolkit.outputs.arrays import check_rows, scoring_precision

__all__ = ["both_ends", "class_similarity", "mine_by_kind"]

BLOCK = 1 << 22
"""Cosines that are held at once."""
UNIT = 1e-2
"""How far from 1 a row's length may be: embeddings kept in half precision are near enough."""


def mine_by_kind(
    nouns: Tensor,
    adjectives: Tensor,
    class_texts: Tensor,
    share: float = 0.15,
    quantile: float = 0.95,
    exclude_above: float | None = None,
    *,
    count: int | None = None,
) -> Tensor:
    """Mine nouns and adjectives apart, and give places in the rows of both: the nouns kept, then the adjectives.

    Of each kind the first int(share * m) by `class_similarity` are kept, or, by OpenOOD-VLM's rule, exactly `count` in
    proportion, those of the adjectives rounded down. Either kind may have no rows. The places are int64, the least
    similar first; equals keep their order. `ScorerError` for a parameter out of range or where none would be kept,
    `OutputsError` for rows that do not fit.
    """
    kinds = (nouns, adjectives)
    _check(kinds, class_texts, share, quantile, count)
    kept = _kept_of_each(len(nouns), len(adjectives), share, count)
    if sum(kept) == 0:
        total = len(nouns) + len(adjectives)
        raise ScorerError(f"mining: share={share} of {total} candidates keeps none; raise share")
    places = []
    for rows, wanted, before in zip(kinds, kept, (0, len(nouns)), strict=True):
        if wanted:
            similarity = class_similarity(rows, class_texts, quantile, exclude_above, between=count is None)
            places.append(similarity.argsort(stable=True)[:wanted] + before)
    return torch.cat(places)


def both_ends(candidates: Tensor, class_texts: Tensor, count: int, rank: int = 50) -> tuple[Tensor, Tensor]:
    """Give the places (int64) of the count // 2 least similar candidates and of the rest of `count`, the most similar.

    The similarity of a candidate is its `rank`-th largest cosine with the class texts, the least of fewer classes; it
    is given beside the places, both in rising order. All are kept where there are fewer. `ScorerError` for a count or
    rank below 1, `OutputsError` for rows that do not fit.
    """
    for name, value in (("count", count), ("rank", rank)):
        if value < 1:
            raise ScorerError(f"mining: {name}={value}; expected at least 1")
    _check((candidates,), class_texts, 1.0, 1.0, None)
    texts, found = class_texts.double(), [class_texts.new_empty(0, dtype=torch.float64)]
    step, last = max(1, BLOCK // len(texts)), min(rank, len(texts))
    for start in range(0, len(candidates), step):
        cosine = candidates[start : start + step].to(texts) @ texts.T
        found.append(cosine.topk(last, dim=1).values[:, -1])
    similarity = torch.cat(found)
    order = similarity.argsort(stable=True)
    if count < len(order):
        far = count // 2
        order = torch.cat([order[:far], order[len(order) - (count - far) :]])
    return order, similarity[order]


def class_similarity(
    candidates: Tensor,
    class_texts: Tensor,
    quantile: float = 0.95,
    exclude_above: float | None = None,
    *,
    between: bool = True,
) -> Tensor:
    """Give of each candidate the quantile over the classes of cos(w, t), (m,) float64.

    As `torch.quantile`, linear between the two sorted cosines around place quantile * (k - 1); with `between=False` it
    is the one at place int(quantile * k), OpenOOD-VLM's rule. Where `exclude_above` is given, as by CSP with 0.95, a
    candidate with a larger cosine to any class gets 1, so that it comes last.
    """
    texts = class_texts.double()  # the order decides which words share a group, so near-ties are told apart
    classes = len(texts)
    place = quantile * (classes - 1) if between else float(min(int(quantile * classes), classes - 1))
    below = int(place)
    above = min(below + 1, classes - 1)
    step = max(1, BLOCK // classes)
    found = [texts.new_empty(0)]
    for start in range(0, len(candidates), step):
        cosine = candidates[start : start + step].to(texts) @ texts.T  # (at most step, k)
        largest = cosine.topk(classes - below, dim=1).values  # in falling order
        value = torch.lerp(largest[:, classes - 1 - below], largest[:, classes - 1 - above], place - below)
        if exclude_above is not None:
            value = value.masked_fill(largest[:, 0] > exclude_above, 1.0)
        found.append(value)
    return torch.cat(found)


def _kept_of_each(nouns: int, adjectives: int, share: float, count: int | None) -> tuple[int, int]:
    if count is None:
        return int(nouns * share), int(adjectives * share)
    total = nouns + adjectives
    if not 1 <= count <= total:
        raise ScorerError(f"mining: count={count}; expected 1 to {total}, the number of candidates")
    of_adjectives = count * adjectives // total
    return count - of_adjectives, of_adjectives


def _check(kinds: tuple[Tensor, ...], class_texts: Tensor, share: float, quantile: float, count: int | None) -> None:
    if count is None and not 0 < share <= 1:
        raise ScorerError(f"mining: share={share}; expected more than 0 and at most 1")
    if not 0 <= quantile <= 1:
        raise ScorerError(f"mining: quantile={quantile}; expected 0 to 1")
    if sum(len(rows) for rows in kinds) == 0:
        raise OutputsError("mining: expected at least one candidate, got none")
    for rows, what in (*((kind, "candidates") for kind in kinds), (class_texts, "class texts")):
        if rows.ndim != 2 or rows.shape[1] != class_texts.shape[-1]:
            wanted = f"(rows, {class_texts.shape[-1]})"
            raise OutputsError(f"mining: {what}: expected shape {wanted}, got {tuple(rows.shape)}")
        if len(rows) or rows is class_texts:
            check_rows(rows, f"mining: {what}", unit_rows=True)
            length = torch.linalg.vector_norm(scoring_precision(rows), dim=1)
            if bool(((length - 1).abs() > UNIT).any()):
                far = float(length[(length - 1).abs().argmax()])
                raise OutputsError(f"mining: {what}: expected unit rows, got one of length {far:.4g}; normalise them")
