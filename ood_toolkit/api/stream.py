"""`StreamScorer`: scores a stream of images and adapts to what it has seen of it; higher = more in-distribution."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from ood_toolkit.api.declaration import Declaration
from ood_toolkit.api.scorer import Scorer
from ood_toolkit.errors import ScorerError

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs

__all__ = ["AnyScorer", "StreamScorer", "each_alone", "mixed", "run_apart"]


class StreamScorer(Declaration):
    """A score with a memory; derive a dataclass whose fields are the hyper-parameters with the paper's defaults.

    `run` starts with an empty memory, sees batch after batch, and gives one finite number per image, higher = more
    in-distribution. What it says of an image depends on those before it and in its batch, so the ID test is scored anew
    with each OOD set, and no threshold is calibrated. It learns from the stream alone; one whose `needs` name a split
    of ID images has a `fit(val, train)` besides, as other scorers have, which is called once before any run.
    """

    order: ClassVar[str] = ""
    """How scores depend on the order of the images, in a sentence."""
    batch: int = 256
    """Images of one batch; mostly a field, as papers differ."""

    @abstractmethod
    def run(self, chunks: Iterable[Outputs], seed: int) -> Tensor:
        """Give the scores (n,) of all images of `chunks`, in their order; what is random is drawn with the seed."""


AnyScorer: TypeAlias = Scorer | StreamScorer


def each_alone(scorer: AnyScorer, instead: str) -> Scorer:
    """Give a scorer that scores each image by itself; `ScorerError` for one of streams, with what to do instead."""
    if isinstance(scorer, StreamScorer):
        raise ScorerError(f"{scorer.spec}: expected a scorer of single images, got one of streams; {instead}")
    return scorer


def run_apart(scorer: StreamScorer, x: Outputs) -> np.ndarray:
    """Score one set as a stream in its own row order, with seed 0: (n,) float64."""
    return _checked(scorer, [x], np.arange(len(x)), 0)


def mixed(scorer: StreamScorer, parts: Sequence[Outputs], seed: int) -> list[np.ndarray]:
    """Score several sets as one stream, shuffled with a seed; gives the scores of each in its own row order.

    The scorer sees features, logits and what extras it needs, never labels or ids.
    """
    order = np.random.default_rng(seed).permutation(sum(map(len, parts)))
    placed = np.empty(len(order))
    placed[order] = _checked(scorer, parts, order, seed)
    return np.split(placed, np.cumsum([len(part) for part in parts])[:-1])


def _checked(scorer: StreamScorer, parts: Sequence[Outputs], order: np.ndarray, seed: int) -> np.ndarray:
    from ood_toolkit.outputs.arrays import as_scores

    bare = [part.blind() for part in parts]
    return as_scores(scorer.run(_batches(scorer, bare, order), seed), scorer.spec, len(order))


def _batches(scorer: StreamScorer, parts: Sequence[Outputs], order: np.ndarray) -> Iterator[Outputs]:
    """Gather the images of each batch from the sets, so that no set is copied as a whole."""
    starts = np.cumsum([0, *map(len, parts)])
    extras = [word.removeprefix("extra:") for word in sorted(scorer.needs) if word.startswith("extra:")]
    for start in range(0, len(order), scorer.batch):
        rows = order[start : start + scorer.batch]
        owner = np.searchsorted(starts, rows, side="right") - 1  # which set each row is of
        chosen = [(np.flatnonzero(owner == i), part, rows[owner == i] - starts[i]) for i, part in enumerate(parts)]
        yield _joined([(places, part[local]) for places, part, local in chosen if len(places)], extras)


def _joined(pieces: Sequence[tuple[np.ndarray, Outputs]], extras: Sequence[str]) -> Outputs:
    """Join images of several sets, each to its place in the batch, without labels and ids."""
    import torch

    from ood_toolkit.outputs import Outputs

    back = np.argsort(np.concatenate([places for places, _ in pieces]))

    def join(arrays: list[Any]) -> Any:
        if any(array is None for array in arrays):
            return None
        return np.concatenate(arrays)[back] if isinstance(arrays[0], np.ndarray) else torch.cat(arrays)[back]

    sets, first = [x for _, x in pieces], pieces[0][1]
    ready = any(x._logits is not None for x in sets)  # of one set alone: the others give those of the head beside
    logits = join([x.logits if ready and x.classes else None for x in sets])
    made = Outputs(
        join([x.features for x in sets]),
        logits if first.head is None else None,
        extras={name: join([x.extras[name] for x in sets]) for name in extras},
        head=first.head,
        class_names=None if first.head is not None else first.class_names,
    )
    return made if first.head is None else made._like(_logits=logits)  # checked against the head when they were given
