"""`Outputs`: what one model put out for one set of images, checked on entry and immutable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ood_toolkit.errors import OutputsError, RowError
from ood_toolkit.outputs.arrays import (
    ArrayLike,
    as_extra,
    as_ids,
    as_labels,
    as_tensor,
    rows_of,
    scoring_precision,
)
from ood_toolkit.outputs.checking import STEP, check_contradiction, checked, checked_names, numbered
from ood_toolkit.outputs.class_names import ClassNames, first_few
from ood_toolkit.outputs.derived import Derived
from ood_toolkit.outputs.head import Bank, Head, ReadOnly
from ood_toolkit.outputs.notebook import facts_html

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Bank", "Head", "Outputs", "as_outputs"]

SOURCE_LABELS = "source_labels"
"""The extra in which an OOD set's own labels are kept; no scorer sees it."""
NONNEGATIVE = "nonnegative_features"
"""The need of scores that assume features behind a ReLU."""


class Outputs(Derived):
    """Row-aligned arrays of one model for one set of images, plus the shared head; immutable.

    Inside are torch tensors on one device, or memory maps wrapped as such. What is stored in half precision is used
    as float32: float16 or bfloat16 logits are converted as they are, which keeps, but cannot mend, their rounding.
    The same type serves for a whole set and for a chunk of it: `x.chunks(rows)`, `x[index]`. Derived arrays are made
    when first asked for and shared by all who look at the same object.

    >>> from ood_toolkit import Outputs
    >>> x = Outputs.from_logits([[2.0, 0.0], [0.0, 1.0]], labels=[0, 1], class_names=["cat", "dog"])
    >>> len(x), x.classes, x.prediction.tolist(), x.right.tolist()
    (2, 2, [0, 1], [True, True])
    """

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

        Labels are class indices, -1 for none of the classes, or class names that the head or `class_names` know.

        Raises `OutputsError` for shapes that do not fit, NaN or infinity, no rows, labels outside the classes, and
        logits that contradict features and head by more than 1e-3 (beyond the rounding of half-precision storage).
        """
        if features is None and logits is None:
            raise OutputsError("Outputs: expected features, logits or both, got neither")
        made = None if features is None else checked(features, "features", head)
        given = None if logits is None else checked(logits, "logits", None)
        ready = None if given is None else scoring_precision(given)
        held = made if made is not None else ready
        rows, device = len(held), held.device  # type: ignore[arg-type, union-attr]
        ready = None if ready is None else ready.to(device)
        head = head if head is None or head.device == device else head.to(device)
        if made is not None and ready is not None and len(ready) != rows:
            raise OutputsError(f"logits: expected {rows} rows, as many as features, got {len(ready)}")
        names = checked_names(class_names, head, ready)
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
            self._set(labels=as_labels(numbered(labels, names), "labels", rows, known).to(device))
        if made is not None and ready is not None and head is not None:
            check_contradiction(made, ready, head, STEP[given.dtype], self.chunk_rows)  # type: ignore[union-attr]

    # -- short constructors ---------------------------------------------------------------------------------------

    @classmethod
    def from_logits(
        cls, logits: ArrayLike, labels: ArrayLike | None = None, class_names: Sequence[str] | None = None
    ) -> Outputs:
        """Wrap ready logits (n, k); labels (n,), class_names (k,) and `OutputsError` are as for `Outputs`."""
        return cls(logits=logits, labels=labels, class_names=class_names)

    @classmethod
    def from_embeddings(cls, embeddings: ArrayLike, head: Head, labels: ArrayLike | None = None) -> Outputs:
        """Wrap embeddings (n, d), normalised or not, with the head that classifies them.

        `labels` (n,) and `OutputsError` are as for `Outputs`.
        """
        return cls(features=embeddings, head=head, labels=labels)

    @classmethod
    def from_model(
        cls, module: nn.Module, loader: Any, layer: str | None = None, class_names: Sequence[str] | None = None
    ) -> Outputs:
        """Run a torch classifier once over a loader.

        A batch is images, (images, labels), (images, labels, ids), or a dict with `pixel_values` or `images`, and
        perhaps `labels` and `ids`. `class_names` (k) are what the logits stand for; labels may be such names.

        Features are what enters the module's last `Linear` layer, which becomes the head. `layer` names another
        `Linear` to use as the head, or any other submodule whose output, flattened to (n, d), is kept as features
        beside the logits. Modules may return logits, a dict with `logits`, or an object with `.logits`. Runs in eval
        mode without gradients; of several threads that share a module the last one puts its mode back.
        Raises `OutputsError` where the logits are not what the head gives for those features.
        """
        from ood_toolkit.outputs.classifier import run_classifier

        return cls(**run_classifier(module, loader, layer, class_names))

    # -- shape ----------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        held = ", ".join(sorted(self.provides))
        return f"Outputs(n={len(self)}, classes={self.classes}, provides=[{held}])"

    def _repr_html_(self) -> str:
        held, names = sorted(self.provides), first_few(self.class_names or (), 10, str)
        facts = {
            "images": f"{len(self):,}", "classes": f"{self.classes:,}", "class names": names,
            "labels": "yes" if self.has_labels else "no", "provides": ", ".join(held), "device": self.device,
        }  # fmt: skip
        return facts_html("Outputs", facts)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Outputs are immutable: cannot set {name!r}; make new ones")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"Outputs are immutable: cannot delete {name!r}; make new ones")

    @property
    def provides(self) -> frozenset[str]:
        """What a scorer's `needs` may ask of these outputs, in the same words."""
        held = {f"extra:{name}" for name in self.extras if name != SOURCE_LABELS}
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
            if array is None or isinstance(array, np.ndarray):
                return None if array is None else array[host]
            return array[index] if isinstance(index, slice) else rows_of(array, index)

        chosen = self._like(
            features=take(self.features),
            _logits=take(self._logits),
            labels=take(self.labels),
            ids=take(self.ids),
            extras=ReadOnly({name: take(array) for name, array in self.extras.items()}),
        )
        if names := self.__dict__.get("_handed_on"):
            chosen._set(_handed_on=names, **{name: take(self.__dict__[name]) for name in names})
        if len(chosen) == 0:
            raise OutputsError(f"index: expected to choose at least one of {len(self)} rows, got none")
        return chosen

    def chunks(self, rows: int | None = None) -> Iterator[Outputs]:
        """Walk the rows in order, `rows` at a time; a set that fits one chunk is given as itself.

        `OutputsError` for fewer than one row at a time.
        """
        rows = self.chunk_rows if rows is None else rows
        if rows < 1:
            raise OutputsError(f"rows: expected at least 1, got {rows}")
        if rows >= len(self):
            yield self
            return
        for start in range(0, len(self), rows):
            yield self[start : start + rows]

    def map(self, fn: Callable[[Outputs], Tensor], rows: int | None = None) -> Tensor:
        """Apply `fn` to each of `chunks(rows)` and join its results to one tensor (n, ...); `OutputsError` as there."""
        parts = [torch.as_tensor(fn(chunk)) for chunk in self.chunks(rows)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    # -- the same images, seen otherwise --------------------------------------------------------------------------

    def with_head(self, head: Head) -> Outputs:
        """Give the same images under another head; labels follow their class names, else become -1.

        `OutputsError` where there are no features, and for a head of another width.
        """
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
        """Give the same images with the extra `name` (n, d) as features; logits stay the model's, the head goes.

        `OutputsError` where there is no such extra, and for one that is not (n, d).
        """
        if name not in self.extras:
            held = ", ".join(sorted(self.extras)) or "none"
            raise OutputsError(f"extra:{name}: these outputs hold no such array (held: {held})")
        features = as_tensor(self.extras[name], f"extra:{name}", 2)
        return self._like(features=features, _logits=self.logits if self.classes else None, head=None)

    def without_labels(self) -> Outputs:
        """Give the same images as an OOD set: their own labels are kept in `extras["source_labels"]`."""
        if self.labels is None:
            return self
        return self._like(labels=None, extras=ReadOnly({SOURCE_LABELS: self.labels, **self.extras}))

    def blind(self) -> Outputs:
        """Give the same images as a scorer sees them: without labels and without `source_labels`.

        What was derived, which no label changes, is handed on. Outputs that hold neither are given as they are.
        """
        if self.labels is None and SOURCE_LABELS not in self.extras:
            return self
        extras = ReadOnly({name: array for name, array in self.extras.items() if name != SOURCE_LABELS})
        bare = self._like(labels=None, extras=extras)
        bare._set(**{name: value for name, value in vars(self).items() if name not in vars(bare)})
        return bare

    @cached_property
    def has_labels(self) -> bool:
        """Whether the class of any image is known: there are labels, and not all are -1."""
        return self.labels is not None and bool((self.labels >= 0).any())

    def with_known_labels(self) -> Outputs:
        """Give those of these images whose class is known; all where that is so for each, or for none."""
        if not self.has_labels or self.labels is None or bool((self.labels >= 0).all()):
            return self
        return self[self.labels >= 0]

    def named(self, ids: Sequence[str]) -> Outputs:
        """Give the same images under these ids (n,); `OutputsError` for another number of them."""
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

    # -- inside ---------------------------------------------------------------------------------------------------

    def _places(self, index: ArrayLike) -> Tensor:
        """Turn a mask (n,) or whole numbers (m,) into places on this device."""
        places = index if isinstance(index, Tensor) else torch.as_tensor(np.ascontiguousarray(index))
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
            low, high = int(places.min()), int(places.max())
            raise OutputsError(
                f"index: expected places among {len(self)} rows, got {low if low < -len(self) else high}"
            )
        return places.to(self.device)

    def _set(self, **values: object) -> None:
        self.__dict__.update(values)

    def _like(self, **changes: object) -> Outputs:
        other = object.__new__(Outputs)
        fields = ("features", "_logits", "labels", "ids", "extras", "head", "class_names")
        other._set(**({name: self.__dict__[name] for name in fields} | changes))
        return other

    def _labels_for(self, head: Head) -> Tensor | None:
        if self.labels is None or self.class_names == head.class_names:
            return self.labels
        if self.class_names is None:
            raise OutputsError("with_head: expected class names to carry the labels over, got none")
        names = ClassNames(head.class_names)
        moved = torch.tensor([*map(names.place, self.class_names), -1], device=self.device)
        return moved[self.labels]


def as_outputs(x: Outputs | ArrayLike, what: str = "x") -> Outputs:
    """Give outputs as they are, and take an array (n, k) as ready logits."""
    if isinstance(x, Outputs):
        return x
    if isinstance(x, type | str | bytes | Mapping):
        raise OutputsError(
            f"{what}: expected Outputs or logits (n, k), got {x if isinstance(x, type) else type(x).__name__}"
        )
    return Outputs.from_logits(x)
