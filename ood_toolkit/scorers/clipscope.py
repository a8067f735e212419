"""CLIPScope, confidence scaled by how often a class is predicted: WACV 2025, arXiv 2405.14737."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ood_toolkit.api.component import DEPENDS
from ood_toolkit.api.prompts import Mining, Prompts, TextBank
from ood_toolkit.api.scorer import Scorer, given, positive
from ood_toolkit.api.stream import StreamScorer
from ood_toolkit.errors import ScorerError
from ood_toolkit.scorers.families.mining import COUNT, INTER, MinesTexts, check_mine
from ood_toolkit.scorers.families.negatives import grouped, texts_of

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs

ENDS = "ends"
PRIORS = ("none", "val")
PROMPT = "a photo of a {}"
NEAR = "a photo of {}"
MINED_UNDER = "the {}"
ADJECTIVES = ("adj.all", "adj.pert", "adj.ppl")
RULES: dict[str, dict[str, Any]] = {ENDS: {"count": 10_000}, INTER: {"count": COUNT}}
"""What the parameters are by default, by the rule of mining."""


class Scoped(MinesTexts):
    """What CLIPScope's two forms share: their texts, and the score without a prior."""

    rank: int

    def __post_init__(self) -> None:
        check_mine(self, RULES)  # type: ignore[arg-type]
        positive(self, "rank")  # type: ignore[arg-type]

    def default_of(self, name: str) -> Any:
        """Give the value of a parameter that is not given, which may depend on `mine`."""
        known = super().default_of(name)  # type: ignore[misc]
        return RULES[self.mine][name] if known is DEPENDS else known

    @property
    def prompts(self) -> Prompts:
        """The reference code's prompts: nouns are mined under one, and the two ends encoded under two others."""
        if self.by_images:
            bank = TextBank("candidates", without=ADJECTIVES)
        else:
            mining = Mining(count=self.count, ends=True, rank=self.rank)
            bank = TextBank("negatives", templates=(MINED_UNDER,), without=ADJECTIVES, mining=mining,
                            kept_as=(PROMPT, NEAR))  # fmt: skip
        return Prompts((PROMPT,), banks=(bank,))

    def scoped(self, x: Outputs) -> Tensor:
        """Give max_k p_k P_ID of a chunk, (n,) float64."""
        return x.confidence.double() * grouped(x, self.bank(texts_of(x)).rows, 1)


@dataclass
class CLIPScope(Scoped, Scorer):
    """Confidence times the probability of the ID classes against negatives, max_k p_k P_ID, in (0, 1).

    p is the softmax over the class logits, P_ID the ID part of the softmax over the class logits and those of the
    bank `negatives`, A / (A + B). The paper divides by the share pi of the predicted class among the predictions so
    far, which needs a stream: that is `clipscope-stream`. Here there is no prior, or with `prior=val`, which the paper
    does not have, that of ID validation: pi_k = (1 + its predictions of k) / (K + n).

    The negatives are both ends of a word list, by the 50th largest cosine with the class texts: half of `count` the
    least similar, half the most, all of a shorter list. With fewer than 50 classes the least cosine decides. As in the
    reference code nouns are mined under "the {}", and encoded under "a photo of a {}" where they are far and under
    "a photo of {}" where near; its list of nouns is not published, here they are WordNet's. With `mine=inter` training
    images choose, as `neglabel` says.
    """

    prior: str = "none"
    """What the score is divided by: none, or val, the share of the predicted class in predictions of ID validation."""
    count: int = DEPENDS
    """How many of the candidate words become negatives, all where there are fewer; by default 10,000, with mine=inter
    2,000."""
    rank: int = 50
    """Which of the largest cosines with the class texts is the similarity of a word."""
    mine: str = ENDS
    """How negatives are chosen: ends, by their cosines with the class texts, or inter, by training images."""

    name = "clipscope"
    group = "clip"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prior not in PRIORS:
            raise ScorerError(f"{self.name}: prior: expected none or val, got {self.prior!r}")

    @property
    def needs(self) -> frozenset[str]:
        """Negatives, or what chooses them, and ID validation where the prior is its."""
        return frozenset({"zero_shot", *(["val"] if self.prior == "val" else [])}) | self.mining_needs

    @property
    def bounds(self) -> tuple[float, float] | None:
        """From 0 to 1 without a prior."""
        return (0.0, 1.0) if self.prior == "none" else None

    def fit(self, val: Outputs, train: Outputs | None = None) -> CLIPScope:
        """Choose the negatives where images do, and count the predictions of ID validation where they are the prior."""
        super().fit(val, train)
        if self.prior == "val":
            import torch

            val = given(self, val, "val")
            counts = torch.zeros(val.classes, dtype=torch.float64, device=val.device)
            for chunk in val.chunks():
                counts += torch.bincount(chunk.prediction, minlength=val.classes)
            self.prior_ = (1 + counts) / (val.classes + len(val))  # (k,)
        return self

    def score(self, x: Outputs) -> Tensor:
        """Give the score (n,) float64."""
        return x.map(self._score)

    def _score(self, x: Outputs) -> Tensor:
        found = self.scoped(x)
        return found / self.prior_[x.prediction] if self.prior == "val" else found


@dataclass
class CLIPScopeStream(Scoped, StreamScorer):
    """CLIPScope over a stream, max_k p_k P_ID / pi, above 0: pi is the share of the predicted class among those before.

    p and P_ID are those of `clipscope`. pi_k = c_k / sum_j c_j with counts c that start at 1, one for each class, and
    grow by one for the class that is predicted, after each image is scored. So classes that the stream has shown often
    count less, and OOD images that gather in few classes score lower with time.
    """

    count: int = DEPENDS
    """How many of the candidate words become negatives, all where there are fewer; by default 10,000, with mine=inter
    2,000."""
    rank: int = 50
    """Which of the largest cosines with the class texts is the similarity of a word."""
    mine: str = ENDS
    """How negatives are chosen: ends, by their cosines with the class texts, or inter, by training images."""
    batch: int = 256
    """Images that are held at once; counts grow image by image all the same."""

    name = "clipscope-stream"
    group = "clip"
    order = "an image is divided by the share of its predicted class among all images before it"

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "batch")

    @property
    def needs(self) -> frozenset[str]:
        """Negatives, or candidates and the images that choose among them."""
        return frozenset({"zero_shot"}) | self.mining_needs

    def run(self, chunks: Iterable[Outputs], seed: int) -> Tensor:
        """Give the scores (n,) float64; nothing is random."""
        import torch

        counts: Tensor | None = None
        parts = []
        for x in chunks:
            counts = torch.ones(x.classes, dtype=torch.float64, device=x.device) if counts is None else counts
            seen = torch.nn.functional.one_hot(x.prediction, x.classes).double()
            before = counts + seen.cumsum(dim=0) - seen  # (n, k) counts as each image comes
            share = before.gather(1, x.prediction[:, None])[:, 0] / before.sum(dim=1)
            parts.append(self.scoped(x) / share)
            counts = counts + seen.sum(dim=0)
        return torch.cat(parts)
