"""AdaNeg, adaptive negative proxies: Zhang and Zhang, NeurIPS 2024, arXiv 2410.20149."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ood_toolkit.api.component import DEPENDS
from ood_toolkit.api.prompts import Mining, Prompts
from ood_toolkit.api.scorer import between, not_negative, positive
from ood_toolkit.api.stream import StreamScorer
from ood_toolkit.scorers.families.mining import COUNT, INTER, QUANTILE, MinesTexts, check_mine
from ood_toolkit.scorers.families.negatives import grouped, share_of_classes, texts_of

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


RULES: dict[str, dict[str, Any]] = {QUANTILE: {"count": 10_000}, INTER: {"count": COUNT}}
"""What the parameters are by default, by the rule of mining."""


@dataclass
class AdaNeg(MinesTexts, StreamScorer):
    """NegLabel's score with proxies that take in images of the stream, S = S_1 + lambda S_0, in (0, 1 + lambda).

    S_0 (n,) is NegLabel's score with the texts t of the k classes and m negatives; S_1 (n,) is the same score with
    the proxies w in place of t. Each label has L places: the first holds its text, the others images. Of a batch,
    images with S_0 > thr + g (1 - thr) go to their most likely class and those with S_0 < thr - g thr to their most
    likely negative label, one after the other. Where all L - 1 places are taken, an image takes that of the largest
    entropy if its own is smaller; the entropy is that of the softmax over the classes, or over the negatives, at the
    model's scale. Then w is the mean of what a label's places hold, as a unit row, and the batch is scored.

    The reference code counts an empty last place too, so that L = 10 are 9 images, as here. Its other setting, in which
    proxies depend on the image (`samada`), is not the one published and is left out. The negatives are mined as in that
    code: exactly M of the candidates, nouns and adjectives in proportion to how many there are of each, the least
    similar first, and the similarity of a candidate is the sorted cosine at place int(0.95 k). With
    `mine=inter` training images choose them, as `neglabel` says.
    """

    groups: int = 5
    """G, of NegLabel's score."""
    middle: float = 0.5
    """Thr, on S_0, in (0, 1)."""
    gap: float = 0.5
    """The g that keeps unsure images out of the memory, in [0, 1]."""
    length: int = 10
    """L, places of a label, its text among them."""
    weight: float = 0.1
    """Lambda, of S_0 in the sum, 0 or above."""
    count: int = DEPENDS
    """M, how many of the candidate words become negatives, all where there are fewer. By default 10,000, with
    mine=inter 2,000."""
    negatives_seed: int = 0
    """Of the order in which negatives fall into groups."""
    batch: int = 256
    """Images that are taken in, and scored, together."""
    mine: str = QUANTILE
    """How negatives are chosen: quantile, by their cosines with the class texts, or inter, by training images."""

    name = "adaneg"
    group = "clip"
    order = "an image is scored with what the batches up to its own have left in the memory"

    def __post_init__(self) -> None:
        check_mine(self, RULES)
        positive(self, "groups", "length", "batch")
        not_negative(self, "weight", "negatives_seed")
        between(self, "middle", 0, 1, ends=False)
        between(self, "gap", 0, 1)

    def default_of(self, name: str) -> Any:
        """Give the value of a parameter that is not given, which may depend on `mine`."""
        known = super().default_of(name)
        return RULES[self.mine][name] if known is DEPENDS else known

    @property
    def needs(self) -> frozenset[str]:
        """Negatives, or candidates and the images that choose among them."""
        return frozenset({"zero_shot"}) | self.mining_needs

    @property
    def bounds(self) -> tuple[float, float]:
        """From 0 to 1 + lambda."""
        return 0.0, 1.0 + self.weight

    @property
    def prompts(self) -> Prompts:
        """The reference code's prompts, and how its negatives are chosen."""
        bank = self.text_bank(Mining(count=self.count), adjectives=("This is a {} photo.",))
        return Prompts(("The nice {}.",), banks=(bank,))

    def run(self, chunks: Iterable[Outputs], seed: int) -> Tensor:
        """Give S_1 + lambda S_0, (n,) float64; nothing but the order of the stream is random."""
        import torch

        memory, parts = None, []
        for x in chunks:
            memory = memory or self._empty(x)
            first = grouped(x, memory.negatives.texts[memory.order], self.groups)
            self._take_in(x, first, memory)
            parts.append(self._adapted(x, memory) + self.weight * first)
        return torch.cat(parts)

    def _empty(self, x: Outputs) -> _Memory:
        """Make a memory of texts alone; as many negatives as fill the groups, in a random order, are scored with."""
        import torch

        head = texts_of(x)
        negatives = self.bank(head).rows
        used = len(negatives) - len(negatives) % min(self.groups, len(negatives))
        order = torch.randperm(used, generator=torch.Generator().manual_seed(self.negatives_seed))
        return _Memory(_Places(head.weight), _Places(negatives), order.to(negatives.device))

    def _take_in(self, x: Outputs, scores: Tensor, memory: _Memory) -> None:
        sure = (scores > self.middle + self.gap * (1 - self.middle), scores < self.middle - self.gap * self.middle)
        for places, chosen in zip((memory.classes, memory.negatives), sure, strict=True):
            if bool(chosen.any()):
                places.write(x.embeddings[chosen], texts_of(x).scale, self.length - 1)

    def _adapted(self, x: Outputs, memory: _Memory) -> Tensor:
        """Give the grouped score with the proxies, S_1."""
        negatives = memory.negatives.proxies[memory.order]
        return share_of_classes(x.embeddings, memory.classes.proxies, negatives, self.groups, texts_of(x).scale)


class _Places:
    """The images that labels hold, only of labels that hold any, and the proxies (labels, d)."""

    def __init__(self, texts: Tensor) -> None:
        self.texts, self.proxies = texts, texts.clone()
        self.images: dict[int, list[Tensor]] = {}
        self.entropies: dict[int, list[float]] = {}

    def write(self, images: Tensor, scale: float, most: int) -> None:
        """Put images (n, d) to their most likely labels, one after the other, and renew the proxies of these."""
        logits = images @ self.texts.to(images).T * scale
        log_probs = logits.double().log_softmax(dim=1)
        entropies = -(log_probs.exp() * log_probs).sum(dim=1)
        labels = logits.argmax(dim=1).tolist()
        for label, image, entropy in zip(labels, images, entropies.tolist(), strict=True):
            self._put(label, image, entropy, most)
        for label in set(labels):
            total = sum(self.images[label], self.texts[label].to(images))
            self.proxies[label] = total / total.norm()

    def _put(self, label: int, image: Tensor, entropy: float, most: int) -> None:
        """Put an image into a free place, or into that of the largest entropy if its own is smaller."""
        images, entropies = self.images.setdefault(label, []), self.entropies.setdefault(label, [])
        if len(images) < most:
            images.append(image.clone())
            entropies.append(entropy)
        elif entropies and entropy < max(entropies):
            worst = entropies.index(max(entropies))
            images[worst], entropies[worst] = image.clone(), entropy


@dataclass(frozen=True, eq=False)
class _Memory:
    """What a run has seen so far."""

    classes: _Places
    negatives: _Places
    order: Tensor
    """Places (m,) of the negatives that are scored with, as they are cut into groups."""
