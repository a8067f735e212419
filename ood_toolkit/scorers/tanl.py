"""TANL, test-time activated negative labels: Zhang et al., CVPR 2026, arXiv 2603.25250."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ood_toolkit.api.prompts import Prompts, TextBank
from ood_toolkit.api.scorer import between, positive
from ood_toolkit.api.stream import StreamScorer
from ood_toolkit.scorers.families.mining import COUNT, INTER, MinesTexts, check_mine
from ood_toolkit.scorers.families.negatives import texts_of

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs

ROWS = 128
"""Images whose probabilities over all candidates are held at once: of 70,000 candidates 34 MiB."""
GRID = 100
"""Steps of the adaptive threshold."""
RULES: dict[str, dict[str, Any]] = {"all": {}, INTER: {}}
"""The rules of mining."""


@dataclass
class TANL(MinesTexts, StreamScorer):
    """Probability of the ID classes against the negative labels that the stream itself activates, in (0, 1).

    p_j(v) is the softmax over the k classes and all c candidates, at the model's scale. One queue holds sure ID images,
    one sure OOD images; they start with the class texts and with pictures of noise. The activation of a candidate is
    Act_j = mean over the OOD queue of p_j - mean over the ID queue of p_j. With the M most activated candidates in
    falling order and A = sum_k exp(z_k),

        S = mean over m = step, 2 step, ..., M of A / (A + sum_{j <= m} exp(z~_j)).

    Of each batch S gives sure images, S > t + g (1 - t) and S < t - g t, with t the Otsu threshold of all scores so
    far; then Act is computed anew with alpha times a queue's mean plus (1 - alpha) times the mean of the batch's own
    sure images, where there are any, the batch is scored with that, and its sure images enter the queues.

    As in the reference code the scores so far begin with those of the class texts and the noise, and of several
    thresholds that part the scores alike the middle one is taken. Its queues hold probabilities; these hold
    embeddings and sums, since 2 x 300 x 70,000 probabilities would be 170 MB. With `mine=inter` training images choose
    the candidates first, as `neglabel` says.
    """

    labels: int = 1000
    """M, activated candidates."""
    step: int = 1
    """By how many candidates the sums grow; the reference script's and configuration's default. M: one sum."""
    queue: int = 300
    """Images that each queue holds at most."""
    gap: float = 0.5
    """The g that keeps unsure images out of the queues, in [0, 1]."""
    alpha: float = 0.0
    """Weight of a queue against the batch in the final activation, in [0, 1]."""
    history: int = 20000
    """Scores that the threshold is found from at most."""
    noise: int = 3
    """Pictures of each of the five kinds of noise."""
    batch: int = 256
    """Images that are scored, and taken in, together."""
    mine: str = "all"
    """How candidates are chosen: all of them stay, or inter, those that training images choose."""
    count: int = COUNT
    """With mine=inter, how many of the candidates stay at most."""

    name = "tanl"
    group = "clip"
    bounds = (0.0, 1.0)
    order = "an image is scored with labels that the sure images of its batch, or of those before, activate"

    def __post_init__(self) -> None:
        check_mine(self, RULES)
        positive(self, "labels", "step", "queue", "history", "noise", "batch")
        between(self, "gap", 0, 1)
        between(self, "alpha", 0, 1)

    @property
    def needs(self) -> frozenset[str]:
        """All candidates, and the images that choose among them where they do."""
        return frozenset({"zero_shot", "text:candidates", "text:noise"}) | (
            self.mining_needs if self.by_images else frozenset()
        )

    @property
    def prompts(self) -> Prompts:
        """The reference code's prompts, all candidates unmined, and the pictures of noise."""
        bank = TextBank("candidates", adjectives=("This is a {} photo.",))
        return Prompts(("The nice {}.",), banks=(bank,), noise=self.noise)

    def run(self, chunks: Iterable[Outputs], seed: int) -> Tensor:
        """Give S (n,) float64; the seed decides which class texts and noise leave their queues first."""
        import torch

        state, parts = None, []
        for x in chunks:
            state = state or self._start(x, seed)
            parts.append(self._batch(x.embeddings, state))
        return torch.cat(parts)

    def _start(self, x: Outputs, seed: int) -> _State:
        import torch

        head, draw = texts_of(x), torch.Generator().manual_seed(seed)
        candidates = self.bank(head) if self.by_images else head.bank("candidates")
        texts = _Texts(head.weight, candidates.rows, head.scale)
        known, noise = texts.classes.to(x.embeddings), head.bank("noise").rows.to(x.embeddings)
        queues = [_Queue(texts, self.queue), _Queue(texts, self.queue)]
        for queue, rows in zip(queues, (known, noise), strict=True):
            queue.put(rows[torch.randperm(len(rows), generator=draw).to(rows.device)])
        state = _State(texts, *queues)
        active = self._active(texts, state.outside.mean - state.inside.mean)
        state.scores = torch.cat([texts.score(rows, active, self.step) for rows in (known, noise)])[-self.history :]
        return state

    def _active(self, texts: _Texts, activation: Tensor) -> Tensor:
        """Give the embeddings of the most activated candidates, (M, d), in falling order."""
        order = activation.sort(descending=True, stable=True).indices
        return texts.candidates[order[: self.labels].to(texts.candidates.device)]

    def _batch(self, rows: Tensor, state: _State) -> Tensor:
        import torch

        texts, inside, outside = state.texts, state.inside, state.outside
        first = texts.score(rows, self._active(texts, outside.mean - inside.mean), self.step)
        state.scores = torch.cat([state.scores, first])[-self.history :]
        cut = otsu(state.scores)
        sure_inside = rows[first > cut + self.gap * (1 - cut)]
        sure_outside = rows[first < cut - self.gap * cut]
        activation = self._blend(outside, sure_outside) - self._blend(inside, sure_inside)
        scores = texts.score(rows, self._active(texts, activation), self.step)
        inside.put(sure_inside)
        outside.put(sure_outside)
        return scores

    def _blend(self, queue: _Queue, sure: Tensor) -> Tensor:
        """Give the mean probabilities (c,) of a queue and of the batch's own sure images."""
        if not len(sure):
            return queue.mean
        return self.alpha * queue.mean + (1 - self.alpha) * queue.texts.sums(sure) / len(sure)


def otsu(scores: Tensor) -> float:
    """Give the threshold of 0, 0.01, ..., 0.99 that makes the variance within the two parts of scores (n,) smallest.

    `scores >= threshold` is the upper part, and neither may be empty. Of equal thresholds, such as all within a gap,
    the middle one is taken; 0.5 where every threshold leaves a part empty.
    """
    import torch

    values = scores.double().sort().values
    grid = torch.arange(GRID, dtype=torch.float64, device=values.device) / GRID
    below = torch.searchsorted(values, grid)  # how many scores are smaller
    centred = values - values.mean()
    sums = torch.cat([centred.new_zeros(1), centred.cumsum(dim=0)])
    squares = centred.square().sum()
    lower, upper = below.double(), len(values) - below.double()
    within = squares - sums[below].square() / lower - (sums[-1] - sums[below]).square() / upper
    within = within.where((below > 0) & (below < len(values)), torch.inf)
    best = (within == within.min()).nonzero().flatten()
    return float(grid[best[len(best) // 2]])


@dataclass(eq=False)
class _Texts:
    """The texts of classes (k, d) and of all candidates (c, d), unit rows, and what cosines are multiplied by."""

    classes: Tensor
    candidates: Tensor
    scale: float

    def sums(self, rows: Tensor) -> Tensor:
        """Give the sum over unit rows (n, d) of the candidates' probabilities, (c,) float64, a few rows at a time."""
        import torch

        total = rows.new_zeros(len(self.candidates), dtype=torch.float64)
        for start in range(0, len(rows), ROWS):
            part = rows[start : start + ROWS] * self.scale
            known = (part @ self.classes.to(part).T).logsumexp(dim=1)
            logits = part @ self.candidates.to(part).T  # (at most ROWS, c)
            largest = torch.maximum(logits.amax(dim=1), known)
            odds = logits.sub_(largest[:, None]).exp_()
            total += (odds.sum(dim=1) + (known - largest).exp()).reciprocal() @ odds
        return total

    def score(self, rows: Tensor, active: Tensor, step: int) -> Tensor:
        """Give the mean over growing sums of the probability of the classes, (n,) float64."""
        rows = rows * self.scale
        known = (rows @ self.classes.to(rows).T).logsumexp(dim=1).double()
        grown = (rows @ active.to(rows).T).double().logcumsumexp(dim=1)  # (n, M)
        ends = [*range(step - 1, len(active) - 1, step), len(active) - 1]
        return (known[:, None] - grown[:, ends]).sigmoid().mean(dim=1)


@dataclass(eq=False)
class _Queue:
    """The last images put in, first in, first out, with the sum of their probabilities."""

    texts: _Texts
    most: int
    rows: Any = None
    total: Any = None

    @property
    def mean(self) -> Tensor:
        """Mean probability of each candidate, (c,) float64."""
        mean: Tensor = self.total / len(self.rows)
        return mean

    def put(self, rows: Tensor) -> None:
        """Take in unit rows (n, d); the oldest go where there are too many."""
        import torch

        if not len(rows):
            return
        held = rows if self.rows is None else torch.cat([self.rows, rows])
        gone, stay = len(held) - min(len(held), self.most), held[-self.most :]
        if self.rows is None or gone >= len(self.rows):
            self.total = self.texts.sums(stay)
        else:
            self.total = self.total + self.texts.sums(rows) - self.texts.sums(held[:gone])
        self.rows = stay


@dataclass(eq=False)
class _State:
    """What a run has seen so far."""

    texts: _Texts
    inside: _Queue
    outside: _Queue
    scores: Any = field(default=None)
