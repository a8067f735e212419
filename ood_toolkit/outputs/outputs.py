"""`Outputs`: what one model put out for one set of images, and everything that is derived from it once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from ood_toolkit.errors import OutputsError, RowError
from ood_toolkit.outputs.arrays import ArrayLike, as_extra, as_ids, as_labels, as_tensor, check_rows, scoring_precision
from ood_toolkit.outputs.head import Bank, Head, ReadOnly, normalise
from ood_toolkit.outputs.largest import largest
from ood_toolkit.outputs.softmax import Softmax

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Bank", "Head", "Outputs", "as_outputs"]

DERIVED_LIMIT = 512 * 2**20
"""Bytes that a derived (n, k) array may take on a whole set."""
CHUNK_BYTES = 4 * 2**20
"""Bytes of one (rows, k) array of a default chunk, so that a few of them stay in cache."""
CONTRADICTION = 1e-3
STEP = {torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8, torch.float32: 2.0**-22, torch.float64: 0.0}
"""Relative rounding of a stored number; for float32 with room for another order of summation."""


NONNEGATIVE = "nonnegative_features"
"""The need of scores that assume features behind a ReLU."""


def _per_image(function: Callable[[Outputs], Tensor]) -> Any:
    """Make a derived (n,) array: at once on a chunk; on a larger set all of them in one walk over the chunks."""
    name = function.__name__

    def get(self: Outputs) -> Tensor:
        if len(self) <= self.chunk_rows:
            return function(self)
        walked = [[getattr(chunk, n) for n in PER_IMAGE] for chunk in self.chunks()]
        self.__dict__.update(
            {n: torch.cat(parts) for n, parts in zip(PER_IMAGE, zip(*walked, strict=True), strict=True)}
        )
        return self.__dict__[name]

    get.__doc__ = function.__doc__
    return cached_property(get)


PER_IMAGE = ("prediction", "max_logit", "logsumexp", "confidence", "entropy")


class Outputs:
    """Row-aligned arrays of one model for one set of images, plus the shared head; immutable.

    Inside are torch tensors on one device, or memory maps wrapped as such. What is stored in half precision is used
    as float32: float16 or bfloat16 logits are converted as they are, which keeps, but cannot mend, their rounding.
    The same type serves for a whole set and for a chunk of it: `x.chunks(rows)`, `x[index]`. Derived arrays are made
    when first asked for and shared by all who look at the same object.
    """

    features: Tensor | None
    """(n, d) as the model emitted them."""
    labels: Tensor | None
    """(n,) int64 class indices, ID only; -1 = none of the classes."""
    ids: np.ndarray | None
    """(n,) strings."""
    extras: Mapping[str, Tensor | np.ndarray]
    """Named per-image arrays, (n, ...)."""
    head: Head | None
    class_names: tuple[str, ...] | None

    def __init__(
        self,
        features: ArrayLike | None = None,
        logits: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        ids: Sequence[str] | np.ndarray | None = None,
        extras: Mapping[str, ArrayLike] | None = None,
        head: Head | None = None,
        class_names: Sequence[str] | None = None,
    ) -> None:
        """Take and check arrays: features (n, d), logits (n, k), labels (n,), ids (n,), extras (n, ...).

        Raises `OutputsError` for shapes that do not fit, NaN or infinity, no rows, labels outside the classes, and
        logits that contradict features and head by more than 1e-3 (beyond the rounding of half-precision storage).
        """
        if features is None and logits is None:
            raise OutputsError("Outputs: expected features, logits or both, got neither")
        made = None if features is None else _checked(features, "features", head)
        given = None if logits is None else _checked(logits, "logits", None)
        ready = None if given is None else scoring_precision(given)
        held = made if made is not None else ready
        rows, device = len(held), held.device  # type: ignore[arg-type, union-attr]
        ready = None if ready is None else ready.to(device)
        head = head if head is None or head.device == device else head.to(device)
        if made is not None and ready is not None and len(ready) != rows:
            raise OutputsError(f"logits: expected {rows} rows, as many as features, got {len(ready)}")
        names = _class_names(class_names, head, ready)
        self._set(
            features=made,
            _logits=ready,
            labels=None,
            ids=None if ids is None else as_ids(ids, rows),
            extras=ReadOnly({k: as_extra(v, k, rows, device) for k, v in (extras or {}).items()}),
            head=head,
            class_names=names,
        )
        if labels is not None:
            known = self.classes or len(names or ()) or None
            self._set(labels=as_labels(labels, "labels", rows, known).to(device))
        if made is not None and ready is not None and head is not None:
            self._check_contradiction(made, ready, head, STEP[given.dtype])  # type: ignore[union-attr]

    # -- short constructors ---------------------------------------------------------------------------------------

    @classmethod
    def from_logits(
        cls, logits: ArrayLike, labels: ArrayLike | None = None, class_names: Sequence[str] | None = None
    ) -> Outputs:
        """Wrap ready logits (n, k)."""
        return cls(logits=logits, labels=labels, class_names=class_names)

    @classmethod
    def from_embeddings(cls, embeddings: ArrayLike, head: Head, labels: ArrayLike | None = None) -> Outputs:
        """Wrap embeddings (n, d), normalised or not, with the head that classifies them."""
        return cls(features=embeddings, head=head, labels=labels)

    @classmethod
    def from_model(cls, module: nn.Module, loader: Any, layer: str | None = None) -> Outputs:
        """Run a torch classifier over a loader of batches, or of (batch, labels) pairs, once.

        Features are what enters the module's last `Linear` layer, which becomes the head. `layer` names another
        `Linear` to use as the head, or any other submodule whose output, flattened to (n, d), is kept as features
        beside the logits. Runs in eval mode without gradients and puts the module's mode back.
        Raises `OutputsError` where the logits are not what the head gives for those features.
        """
        from ood_toolkit.outputs.classifier import run_classifier

        return cls(**run_classifier(module, loader, layer))

    # -- shape ----------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.features if self.features is not None else self._logits)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        held = ", ".join(sorted(self.provides))
        return f"Outputs(n={len(self)}, classes={self.classes}, provides=[{held}])"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Outputs are immutable: cannot set {name!r}; make new ones")

    @property
    def classes(self) -> int:
        """Number of classes, k; 0 where there are only features."""
        if self._logits is not None:
            return self._logits.shape[1]
        return self.head.classes if self.head is not None else 0

    @property
    def device(self) -> torch.device:
        """Where the arrays lie."""
        return (self.features if self.features is not None else self._logits).device  # type: ignore[union-attr]

    @property
    def provides(self) -> frozenset[str]:
        """What a scorer's `needs` may ask of these outputs, in the same words."""
        held = {f"extra:{name}" for name in self.extras}
        if self.classes:
            held.add("logits")
        if self.features is not None:
            held.add("features")
            if self.head is not None:
                held.add("head")
                held.add("zero_shot" if self.head.kind == "zero_shot" else "linear_head")
                held |= {f"text:{name}" for name in self.head.banks}
        return frozenset(held)

    def lacking(self, needs: frozenset[str]) -> frozenset[str]:
        """Give those needs that these outputs do not meet; looks at the features only where they must not be signed."""
        signed = NONNEGATIVE in needs and not self.has_nonnegative_features
        return needs - self.provides - (frozenset() if signed else {NONNEGATIVE})

    @cached_property
    def has_nonnegative_features(self) -> bool:
        """Whether there are features and no number in them is below 0, as after a ReLU; one walk over the set."""
        if self.features is None:
            return False
        blocks = range(0, len(self), self.chunk_rows)
        return all(bool((self.features[start : start + self.chunk_rows] >= 0).all()) for start in blocks)

    @property
    def chunk_rows(self) -> int:
        """Rows of a default chunk: few enough that its (rows, k) arrays stay in cache."""
        width = max(self.classes, 0 if self.features is None else self.features.shape[1], 1)
        return max(256, CHUNK_BYTES // (4 * width))

    def __getitem__(self, index: int | slice | ArrayLike) -> Outputs:
        """Give the chosen rows; a slice is a view, nothing is checked again."""
        if isinstance(index, int | np.integer):
            if not -len(self) <= index < len(self):
                raise RowError(f"index: expected a row from {-len(self)} to {len(self) - 1}, got {index}")
            index = slice(int(index) % len(self), int(index) % len(self) + 1)
        if isinstance(index, slice) and (index.step or 1) < 0:
            index = np.arange(len(self))[index]  # torch takes no negative step
        if not isinstance(index, slice):
            index = self._places(index)
        host = index if isinstance(index, slice) else index.cpu().numpy()

        def take(array: Any) -> Any:
            return None if array is None else array[host if isinstance(array, np.ndarray) else index]

        chosen = self._like(
            features=take(self.features),
            _logits=take(self._logits),
            labels=take(self.labels),
            ids=take(self.ids),
            extras=ReadOnly({name: take(array) for name, array in self.extras.items()}),
        )
        if len(chosen) == 0:
            raise OutputsError(f"index: expected to choose at least one of {len(self)} rows, got none")
        return chosen

    def chunks(self, rows: int | None = None) -> Iterator[Outputs]:
        """Walk the rows in order, `rows` at a time; a set that fits one chunk is given as itself."""
        rows = self.chunk_rows if rows is None else rows
        if rows < 1:
            raise OutputsError(f"rows: expected at least 1, got {rows}")
        if rows >= len(self):
            yield self
            return
        for start in range(0, len(self), rows):
            yield self[start : start + rows]

    def map(self, fn: Callable[[Outputs], Tensor], rows: int | None = None) -> Tensor:
        """Apply `fn` to each chunk and join its (rows, ...) results to one (n, ...) tensor."""
        parts = [torch.as_tensor(fn(chunk)) for chunk in self.chunks(rows)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    # -- the same images, seen otherwise --------------------------------------------------------------------------

    def with_head(self, head: Head) -> Outputs:
        """Give the same images under another head; labels follow their class names, else become -1."""
        if self.features is None:
            raise OutputsError("with_head: expected features to put a head on, got ready logits only")
        head.check_width(self.features)
        return self._like(
            _logits=None,
            head=head.to(self.device),
            class_names=head.class_names,
            labels=self._labels_for(head),
        )

    def with_features(self, name: str) -> Outputs:
        """Give the same images with an extra (n, d) as features; logits stay those of the model, the head goes."""
        if name not in self.extras:
            held = ", ".join(sorted(self.extras)) or "none"
            raise OutputsError(f"extra:{name}: these outputs hold no such array (held: {held})")
        features = as_tensor(self.extras[name], f"extra:{name}", 2)
        return self._like(features=features, _logits=self.logits if self.classes else None, head=None)

    def without_labels(self) -> Outputs:
        """Give the same images as an OOD set: their own labels are kept in `extras["source_labels"]`."""
        if self.labels is None:
            return self
        return self._like(labels=None, extras=ReadOnly({"source_labels": self.labels, **self.extras}))

    def named(self, ids: Sequence[str]) -> Outputs:
        """Give the same images under these ids (n,)."""
        return self._like(ids=as_ids(ids, len(self)))

    def to(self, device: torch.device | str) -> Outputs:
        """Give the same outputs on another device."""

        def move(array: Any) -> Any:
            return array.to(device) if isinstance(array, Tensor) else array

        return self._like(
            features=move(self.features),
            _logits=move(self._logits),
            labels=move(self.labels),
            extras=ReadOnly({name: move(array) for name, array in self.extras.items()}),
            head=None if self.head is None else self.head.to(device),
        )

    # -- derived, (n, ...) ----------------------------------------------------------------------------------------

    @cached_property
    def embeddings(self) -> Tensor:
        """Features as unit rows, (n, d)."""
        features = self._features("embeddings")
        self._check_size(features.shape[1], "embeddings")
        return normalise(features)

    @property
    def head_input(self) -> Tensor:
        """What the head multiplies, (n, d): unit rows under a zero-shot head, features as they are under a linear one.

        A linear head that was trained on embeddings multiplies unit rows too. With this the logits are
        `head.apply(x.head_input)`, one linear layer for any kind.
        """
        if self.head is None:
            raise OutputsError("head_input: needs a head, got features or logits without one")
        return self.embeddings if self.head.takes_embeddings else scoring_precision(self._features("head_input"))

    @cached_property
    def cosine(self) -> Tensor:
        """Cosines with the class texts, (n, k); only with a zero-shot head."""
        head = self._zero_shot("cosine")
        self._check_size(self.classes, "cosine")
        return head.cosine(self.embeddings)

    @cached_property
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

    @cached_property
    def no_logits(self) -> Tensor:
        """Logits of the "no" texts, (n, k): scale * cosine + bias."""
        head = self._zero_shot("no_logits")
        self._check_size(self.classes, "no_logits")
        return head.logits_of_cosine(self.embeddings @ head.bank("no").embeddings.to(self.embeddings).T)

    @cached_property
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
        held: dict[tuple[bool, float], Softmax] = self.__dict__.setdefault("_tempered", {})
        if (apart, divisor) not in held:
            held[apart, divisor] = Softmax(self.cosine / divisor) if apart else self.softmax.cooled(divisor)
        return held[apart, divisor]

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
        held = self.__dict__.get("_sorted")
        if held is None or held.shape[1] < count:
            self._check_size(count, "top_logits")
            held = self.__dict__["_sorted"] = largest(self.logits, count)
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

    # -- inside ---------------------------------------------------------------------------------------------------

    _logits: Tensor | None

    def _places(self, index: ArrayLike) -> Tensor:
        """Turn a mask (n,) or whole numbers (m,) into places on this device."""
        places = index if isinstance(index, Tensor) else torch.as_tensor(np.asarray(index))
        if places.dtype == torch.bool:
            if tuple(places.shape) != (len(self),):
                raise OutputsError(f"index: expected a mask of shape ({len(self)},), got {tuple(places.shape)}")
            places = torch.nonzero(places).squeeze(1)
        if not places.numel():
            raise OutputsError(f"index: expected to choose at least one of {len(self)} rows, got none")
        if places.is_floating_point() or places.ndim != 1:
            raise OutputsError(
                f"index: expected a row of whole numbers or a mask, got {places.dtype} of {places.ndim}-d"
            )
        places = places.long()
        if not -len(self) <= int(places.min()) <= int(places.max()) < len(self):
            raise OutputsError(f"index: expected places among {len(self)} rows, got up to {int(places.max())}")
        return places.to(self.device)

    def _set(self, **values: object) -> None:
        self.__dict__.update(values)

    def _like(self, **changes: object) -> Outputs:
        other = object.__new__(Outputs)
        fields = ("features", "_logits", "labels", "ids", "extras", "head", "class_names")
        other._set(**({name: self.__dict__[name] for name in fields} | changes))
        return other

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

    def _labels_for(self, head: Head) -> Tensor | None:
        if self.labels is None or self.class_names == head.class_names:
            return self.labels
        if self.class_names is None:
            raise OutputsError("with_head: expected class names to carry the labels over, got none")
        places = {name: place for place, name in reversed(list(enumerate(head.class_names)))}
        moved = torch.tensor([places.get(name, -1) for name in self.class_names] + [-1], device=self.device)
        return moved[self.labels]

    def _check_size(self, columns: int, what: str, instead: str = "x.map(fn) or x.chunks()") -> None:
        held = self.features if self.features is not None else self._logits
        wanted = len(self) * columns * (8 if held is not None and held.dtype == torch.float64 else 4)
        if wanted > DERIVED_LIMIT:
            raise OutputsError(
                f"{what}: ({len(self)}, {columns}) would take {wanted / 2**20:.0f} MiB, more than "
                f"{DERIVED_LIMIT // 2**20}; walk the set with {instead}"
            )

    def _check_contradiction(self, features: Tensor, logits: Tensor, head: Head, logit_step: float) -> None:
        step = STEP[features.dtype]
        for start in range(0, len(features), self.chunk_rows):
            rows = slice(start, start + self.chunk_rows)
            block = scoring_precision(features[rows])
            length = torch.linalg.vector_norm(block, dim=1, keepdim=True)
            if head.kind == "zero_shot":
                bound: Tensor | float = head.scale
            else:
                bound = _lengths(head.weight.to(block)) * (1.0 if head.unit_rows else length)
            stored = logits[rows]
            allowed = CONTRADICTION + step * bound + logit_step * stored.abs()
            apart = (head.logits(block) - stored).abs() - allowed
            if bool((apart > 0).any()):
                row = int(torch.nonzero((apart > 0).any(dim=1))[0])
                raise OutputsError(
                    f"logits: row {start + row} contradicts features and head by more than {CONTRADICTION}; "
                    "they are of another model, another order or a rescaled head: give only one of the two"
                )


def _lengths(weight: Tensor) -> Tensor:
    return torch.linalg.vector_norm(weight, dim=1)[None, :]


def as_outputs(x: Outputs | ArrayLike, what: str = "x") -> Outputs:
    """Give outputs as they are, and take an array (n, k) as ready logits."""
    if isinstance(x, Outputs):
        return x
    if isinstance(x, type | str | bytes | Mapping):
        raise OutputsError(
            f"{what}: expected Outputs or logits (n, k), got {x if isinstance(x, type) else type(x).__name__}"
        )
    return Outputs.from_logits(x)


def _checked(value: ArrayLike, what: str, head: Head | None) -> Tensor:
    tensor = as_tensor(value, what, 2)
    if tensor.shape[1] == 0:
        raise OutputsError(f"{what}: expected at least one column, got shape {tuple(tensor.shape)}")
    check_rows(tensor, what, unit_rows=head is not None and head.takes_embeddings)
    if head is not None:
        head.check_width(tensor)
    return tensor


def _class_names(class_names: Sequence[str] | None, head: Head | None, logits: Tensor | None) -> tuple[str, ...] | None:
    names = None if class_names is None else tuple(str(name) for name in class_names)
    if head is not None:
        if logits is not None and logits.shape[1] != head.classes:
            raise OutputsError(
                f"logits: expected {head.classes} columns, one a class of the head, got {logits.shape[1]}"
            )
        if names is not None and names != head.class_names:
            raise OutputsError("class_names: they differ from the head's; leave them out")
        return head.class_names
    if names is not None and logits is not None and len(names) != logits.shape[1]:
        raise OutputsError(f"class_names: expected {logits.shape[1]}, one a column of logits, got {len(names)}")
    return names
