"""`Derived`: everything that is derived from features, logits and head, once, and shared by all who look."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ood_toolkit.errors import OutputsError
from ood_toolkit.outputs.arrays import ArrayLike, scoring_precision
from ood_toolkit.outputs.head import Bank, Head, normalise
from ood_toolkit.outputs.ledger import once, shared
from ood_toolkit.outputs.softmax import Softmax, largest

__all__ = ["PER_IMAGE", "Derived"]

DERIVED_LIMIT = 512 * 2**20
"""Bytes that a derived (n, k) array may take on a whole set."""
CHUNK_BYTES = 4 * 2**20
"""Bytes of one (rows, k) array of a default chunk, so that a few of them stay in cache."""


def _per_image(function: Callable[[Any], Tensor]) -> Any:
    """Make a derived (n,) array: at once on a chunk; on a larger set all of them in one walk over the chunks."""
    name = function.__name__

    def get(self: Derived) -> Tensor:
        if len(self) <= self.chunk_rows:
            return function(self)
        walked = [[getattr(chunk, n) for n in PER_IMAGE] for chunk in self.chunks()]
        self.__dict__.update(
            {n: torch.cat(parts) for n, parts in zip(PER_IMAGE, zip(*walked, strict=True), strict=True)}
        )
        return self.__dict__[name]

    get.__doc__ = function.__doc__
    return shared(get)


PER_IMAGE = ("prediction", "max_logit", "logsumexp", "confidence", "entropy")
HELD = 2**24
"""Numbers (n, k) of logits that a set hands on to its parts; with more each part makes its own."""


class Derived(ABC):
    """The arrays of one model for one set of images, and what follows from them."""

    features: Tensor | None
    """(n, d) as the model emitted them."""
    labels: Tensor | None
    """(n,) int64 class indices, ID only; -1 = none of the classes."""
    ids: np.ndarray | None
    """(n,) strings."""
    extras: Mapping[str, Tensor | np.ndarray]
    """Named per-image arrays, (n, ...)."""
    head: Head | None
    _logits: Tensor | None
    """(n, k) ready logits."""
    class_names: tuple[str, ...] | None

    @abstractmethod
    def chunks(self, rows: int | None = None) -> Iterator[Derived]:
        """Walk the rows in order."""

    def __len__(self) -> int:
        return len(self.features if self.features is not None else self._logits)  # type: ignore[arg-type]

    @property
    def classes(self) -> int:
        """Number of classes, k; 0 where there are only features."""
        if self._logits is not None:
            return self._logits.shape[1]
        return self.head.classes if self.head is not None else 0

    @property
    def ready_logits(self) -> Tensor | None:
        """The logits (n, k) that were given, not those that a head makes; None where there are none."""
        return self._logits

    @property
    def device(self) -> torch.device:
        """Where the arrays lie."""
        return (self.features if self.features is not None else self._logits).device  # type: ignore[union-attr]

    @property
    def chunk_rows(self) -> int:
        """Rows of a default chunk: few enough that its (rows, k) arrays stay in cache."""
        width = max(self.classes, 0 if self.features is None else self.features.shape[1], 1)
        return max(256, CHUNK_BYTES // (4 * width))

    def hold(self) -> None:
        """Derive what follows of each image in one walk, and its logits where they are few, for all parts of the set.

        Chunks and chosen rows of it then have these arrays, and need no product of their own.
        """
        if "_handed_on" in self.__dict__ or not self.classes:
            return
        few = self._logits is None and len(self) * self.classes <= HELD
        names = ("logits", *PER_IMAGE) if few else PER_IMAGE
        walked = [[getattr(chunk, name) for name in names] for chunk in self.chunks()]
        arrays = [torch.cat(parts) for parts in zip(*walked, strict=True)]
        self.__dict__.update(zip(names, arrays, strict=True))
        self.__dict__["_handed_on"] = names

    # -- derived, (n, ...) ----------------------------------------------------------------------------------------

    @shared
    def embeddings(self) -> Tensor:
        """Features as unit rows, (n, d)."""
        features = self._features("embeddings")
        self._check_size(features.shape[1], "embeddings")
        return normalise(features)

    @cached_property
    def row_keys(self) -> np.ndarray:
        """A 64-bit number for what each row holds, its features or else its logits in float32: (n,) uint64.

        Rows with equal numbers hold the same, so that they are of the same picture; one walk over the set.
        """
        array = self.features if self.features is not None else self._logits
        width = array.shape[1]  # type: ignore[union-attr]
        weights = np.random.default_rng(0).integers(1, 2**63, width, dtype=np.uint64) | np.uint64(1)
        found = []
        for start in range(0, len(self), self.chunk_rows):
            rows = array[start : start + self.chunk_rows].detach().to("cpu", torch.float32)  # type: ignore[index]
            words = np.ascontiguousarray(rows.numpy()).view(np.uint32).astype(np.uint64)
            found.append((words ^ (words >> np.uint64(7))) @ weights)  # modulo 2^64
        return np.concatenate(found)

    @property
    def head_input(self) -> Tensor:
        """What the head multiplies, (n, d): unit rows under a zero-shot head, features as they are under a linear one.

        A linear head that was trained on embeddings multiplies unit rows too. With this the logits are
        `head.apply(x.head_input)`, one linear layer for any kind.
        """
        if self.head is None:
            raise OutputsError("head_input: needs a head, got features or logits without one")
        return self.embeddings if self.head.takes_embeddings else scoring_precision(self._features("head_input"))

    @shared
    def cosine(self) -> Tensor:
        """Cosines with the class texts, (n, k); only with a zero-shot head."""
        head = self._zero_shot("cosine")
        self._check_size(self.classes, "cosine")
        return head.cosine(self.embeddings)

    @shared
    def logits(self) -> Tensor:
        """The ready logits, else what the head gives, (n, k)."""
        if self._logits is not None:
            return self._logits
        if self.head is None:
            raise OutputsError("logits: expected ready logits or a head, got features only")
        self._check_size(self.classes, "logits")
        if self.head.kind == "zero_shot":
            return self.head.logits_of_cosine(self.cosine)
        return self.head.apply(self.head_input)

    @shared
    def no_logits(self) -> Tensor:
        """Logits of the "no" texts, (n, k): scale * cosine + bias."""
        head = self._zero_shot("no_logits")
        self._check_size(self.classes, "no_logits")
        return head.logits_of_cosine(self.embeddings @ head.bank("no").embeddings.to(self.embeddings).T)

    @shared
    def softmax(self) -> Softmax:
        """The softmax of the logits with all that is derived from it; for chunks and sets of a chunk's size."""
        self._check_size(self.classes, "softmax")
        return Softmax(self.logits)

    def tempered(self, temperature: float, of: Literal["logits", "cosine"] = "logits") -> Softmax:
        """Give the softmax of the logits, or of the cosines, divided by a temperature; shared like all else."""
        head = None if of == "logits" else self._zero_shot("cosine")
        apart = head is not None and (self._logits is not None or bool(head.bias.any()))
        # Without ready logits and bias, cosines are logits / scale: what is known of these serves for both.
        divisor = temperature * head.scale if head is not None and not apart else temperature
        if divisor == 1.0 and not apart:
            return self.softmax

        def make() -> Softmax:
            return Softmax(self.cosine / divisor) if apart else self.softmax.cooled(divisor)

        return once(self, f"_tempered {apart} {divisor!r}", make)

    @property
    def probs(self) -> Tensor:
        """Softmax of the logits, (n, k)."""
        return self.softmax.probs

    @property
    def log_probs(self) -> Tensor:
        """Log of the softmax, (n, k)."""
        return self.softmax.log_probs

    @_per_image
    def prediction(self) -> Tensor:
        """Index of the largest logit, (n,); a tie goes to the lower index."""
        return self.softmax.index

    @property
    def right(self) -> Tensor | None:
        """Whether the prediction is right, (n,) bool, classes of one name being one class; None without labels."""
        if self.labels is None:
            return None
        if self.class_names is None or len(set(self.class_names)) == len(self.class_names):
            return self.prediction == self.labels
        first = {name: place for place, name in reversed(list(enumerate(self.class_names)))}
        same = torch.tensor([*(first[name] for name in self.class_names), -1], device=self.device)
        return same[self.prediction] == same[self.labels]

    @_per_image
    def max_logit(self) -> Tensor:
        """Largest logit, (n,)."""
        return self.softmax.largest

    @_per_image
    def logsumexp(self) -> Tensor:
        """Log of the sum of exponentials of the logits, (n,) float64."""
        return self.softmax.logsumexp

    @_per_image
    def confidence(self) -> Tensor:
        """Largest softmax probability, (n,) float64, from its complement: distinct until that is 1e-16."""
        return self.softmax.confidence

    @_per_image
    def entropy(self) -> Tensor:
        """Shannon entropy of the softmax in nats, (n,) float64."""
        return self.softmax.entropy

    def top_logits(self, count: int) -> Tensor:
        """Give the `count` largest logits in falling order, (n, min(count, k)); shared, the widest asked for wins."""
        count = min(count, self.classes)
        known = self.__dict__.get("_sorted")
        if known is not None and known.shape[1] < count:
            del self.__dict__["_sorted"]
        self._check_size(count, "top_logits")
        held = once(self, "_sorted", lambda: largest(self.logits, count))
        return held[:, :count]

    def cosine_to(self, bank: str | Bank | ArrayLike) -> Tensor:
        """Give the cosines with a bank of texts: (n, m), or (n, p, k) for a bank of prompt sets."""
        texts = self._bank(bank)
        self._check_size(len(texts.rows), "cosine_to", "x.blocks(bank, size)")
        cosine = self.embeddings @ texts.rows.to(self.embeddings).T
        return cosine.reshape(len(self), *texts.embeddings.shape[:-1])

    def blocks(self, bank: str | Bank | ArrayLike, size: int = 1024) -> Iterator[Tensor]:
        """Stream the cosines with a bank in blocks of its rows, (n, at most size)."""
        if size < 1:
            raise OutputsError(f"size: expected at least 1, got {size}")
        rows = self._bank(bank).rows
        for start in range(0, len(rows), size):
            yield self.embeddings @ rows[start : start + size].to(self.embeddings).T

    def _features(self, what: str) -> Tensor:
        if self.features is None:
            raise OutputsError(f"{what}: needs features, but only ready logits were given")
        return self.features

    def _zero_shot(self, what: str) -> Head:
        if self.head is None or self.head.kind != "zero_shot":
            got = "no head" if self.head is None else "a linear head"
            raise OutputsError(f"{what}: needs zero_shot, a head of text embeddings; got {got}")
        return self.head

    def _bank(self, bank: str | Bank | ArrayLike) -> Bank:
        return self._zero_shot(f"text:{bank}").bank(bank) if isinstance(bank, str) else Bank.of(bank, "bank")

    def _check_size(self, columns: int, what: str, instead: str = "x.map(fn) or x.chunks()") -> None:
        held = self.features if self.features is not None else self._logits
        wanted = len(self) * columns * (8 if held is not None and held.dtype == torch.float64 else 4)
        if wanted > DERIVED_LIMIT:
            raise OutputsError(
                f"{what}: ({len(self)}, {columns}) would take {wanted / 2**20:.0f} MiB, more than "
                f"{DERIVED_LIMIT // 2**20}; walk the set with {instead}"
            )
