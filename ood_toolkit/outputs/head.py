"""`Head`: turns an embedding into class logits, and carries the named banks of further texts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, NoReturn

import numpy as np
import torch
from torch import Tensor

from ood_toolkit.errors import OutputsError, kind_of
from ood_toolkit.outputs.arrays import ArrayLike, as_tensor, check_rows, scoring_precision, to_numpy

__all__ = ["Bank", "Head"]


TINY = 1e-15
"""Length of a row below which the squares of its entries lose digits, or vanish, in float32."""


class ReadOnly(dict[str, Any]):
    """A mapping that refuses new entries; unlike a mapping proxy it can be copied and pickled."""

    def __setitem__(self, key: str, value: object) -> None:
        raise TypeError(f"read-only: cannot set {key!r}; make a new head or new outputs")

    def _refused(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("read-only: cannot be changed; make a new head or new outputs")

    __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refused

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)


@dataclass(frozen=True, eq=False)
class Bank:
    """A named set of text embeddings beside the classes: unit rows, (m, d) or (p, k, d)."""

    embeddings: Tensor
    """Unit rows, (m, d), or (p, k, d) for p prompts of each of k classes."""
    texts: tuple[str, ...] | None = None
    """The strings behind the rows, where known."""
    source: str = ""
    """Where they are from, in words, if that is worth a note."""
    nouns: int | None = None
    """How many of the first rows are nouns, where the others are adjectives; None where all are of one kind."""
    about: Mapping[str, Any] = field(default_factory=ReadOnly)
    """What it was made of, such as the model, the words and the templates, where known."""
    candidates: Tensor | None = None
    """(c, d) the list that its rows were mined from, where that is short enough to be kept."""
    places: Tensor | None = None
    """(m,) which of the candidates its rows are."""

    @classmethod
    def of(cls, value: Bank | ArrayLike | tuple[Sequence[str], ArrayLike], what: str) -> Bank:
        """Take an array, or an array and its strings as a pair, as a bank of unit rows.

        `value` (m, d) or (p, k, d) is normalised; a bank is given as it is. `what` names it in errors: `OutputsError`
        for another shape, NaN, infinity, rows of zeros, and strings that are not one a row.
        """
        if isinstance(value, Bank):
            return value
        texts = None
        if isinstance(value, tuple) and len(value) == 2 and any(_are_strings(part) for part in value):
            strings, value = value if _are_strings(value[0]) else reversed(value)
            texts = tuple(str(text) for text in strings)
        embeddings = _unit_rows(as_tensor(value, what, (2, 3)), what)
        if texts is not None and len(texts) not in (embeddings.shape[-2], embeddings[..., 0].numel()):
            raise OutputsError(f"{what}: expected {embeddings[..., 0].numel()} strings, one a row, got {len(texts)}")
        return cls(embeddings, texts)

    @property
    def rows(self) -> Tensor:
        """All embeddings as (m, d), prompt sets one after the other."""
        return self.embeddings.reshape(-1, self.embeddings.shape[-1])

    def shuffled(self, seed: int, count: int) -> Tensor:
        """Give the first `count` rows (count, d) in an order drawn with `seed`, alike on every machine; made once."""
        held: dict[tuple[int, int], Tensor] = self.__dict__.setdefault("_shuffled", {})
        if (seed, count) not in held:
            order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
            held[seed, count] = self.rows[order.to(self.rows.device)]
        return held[seed, count]

    def centred(self, seed: int, count: int) -> tuple[Tensor, Tensor]:
        """Give the mean (d,) of `shuffled(seed, count)`, and what each row is beside it (count, d); made once."""
        held: dict[tuple[int, int], tuple[Tensor, Tensor]] = self.__dict__.setdefault("_centred", {})
        if (seed, count) not in held:
            rows = self.shuffled(seed, count)
            held[seed, count] = rows.mean(dim=0), rows - rows.mean(dim=0)
        return held[seed, count]


@dataclass(frozen=True, eq=False)
class Head:
    """What turns features (n, d) into logits (n, k); made by `Head.zero_shot` or `Head.linear`.

    A zero-shot head multiplies cosines with its unit text embeddings by `scale`; a linear head applies its weight and
    bias. Raises `OutputsError` where shapes do not fit or numbers are not finite.

    >>> from ood_toolkit import Head, Outputs
    >>> head = Head.zero_shot([[1.0, 0.0], [0.0, 1.0]], ["cat", "dog"], scale=100.0)
    >>> Outputs.from_embeddings([[3.0, 4.0]], head).logits.round().tolist()
    [[60.0, 80.0]]
    """

    kind: Literal["zero_shot", "linear"]
    """Whether logits are scaled cosines with texts, or those of a linear layer."""
    weight: Tensor
    """(k, d): unit text embeddings, or the weight of a linear layer."""
    bias: Tensor
    """(k,), added to the logits."""
    class_names: tuple[str, ...]
    """(k,) names in the order of the logits."""
    scale: float = 1.0
    """What cosines are multiplied by; 1 for a linear head."""
    banks: Mapping[str, Bank] = field(default_factory=ReadOnly)
    """Further texts by name; `no` and `negatives` are two such names."""
    unit_rows: bool = False
    """Whether a linear head takes features as unit rows; a zero-shot head always does."""

    @classmethod
    def zero_shot(
        cls,
        text_embeddings: ArrayLike,
        class_names: Sequence[str],
        scale: float = 100.0,
        bias: float = 0.0,
        no: ArrayLike | None = None,
        negatives: ArrayLike | None = None,
        texts: Mapping[str, ArrayLike] | None = None,
    ) -> Head:
        """Make a head of `text_embeddings` (k, d), one a name of `class_names`: logits = scale * cosine + bias.

        Rows need not be normalised. `no` (k, d), `negatives` (m, d) and each entry of `texts`, (m, d) or (p, k, d),
        are arrays or pairs (strings, array). Raises `OutputsError` for shapes that do not fit.
        """
        weight = as_tensor(text_embeddings, "text_embeddings", 2)
        scale, bias = _finite(scale, "scale"), _finite(bias, "bias")
        if scale <= 0:
            raise OutputsError(f"scale: expected a number above 0 (100 for released CLIP models), got {scale}")
        named = dict(texts or {}) | {
            name: bank for name, bank in (("no", no), ("negatives", negatives)) if bank is not None
        }
        head = cls(
            "zero_shot",
            _unit_rows(weight, "text_embeddings"),
            torch.full((weight.shape[0],), bias, device=weight.device),
            _names(class_names, weight.shape[0]),
            scale,
        )
        return head.with_banks(named)

    @classmethod
    def linear(
        cls,
        weight: ArrayLike,
        bias: ArrayLike | None,
        class_names: Sequence[str] | None = None,
        unit_rows: bool = False,
    ) -> Head:
        """Make a linear head of weight (k, d) and bias (k,); None as bias means zeros, as class_names "0", "1", ...

        With `unit_rows` it was trained on embeddings: features are divided by their length first. Raises
        `OutputsError` for shapes that do not fit, NaN and infinity.
        """
        matrix = scoring_precision(as_tensor(weight, "weight", 2))
        offset = torch.zeros(matrix.shape[0]) if bias is None else as_tensor(bias, "bias", 1)
        check_rows(matrix, "weight")
        check_rows(offset, "bias")
        if offset.shape[0] != matrix.shape[0]:
            raise OutputsError(f"bias: expected ({matrix.shape[0]},), one a class, got {tuple(offset.shape)}")
        names = [str(i) for i in range(matrix.shape[0])] if class_names is None else class_names
        return cls("linear", matrix, offset.to(matrix), _names(names, matrix.shape[0]), unit_rows=bool(unit_rows))

    @property
    def classes(self) -> int:
        """Number of classes, k."""
        return self.weight.shape[0]

    @property
    def has_names(self) -> bool:
        """Whether the classes have names, and not only the numbers that stand for missing ones."""
        return self.class_names != tuple(map(str, range(self.classes)))

    @property
    def width(self) -> int:
        """Width of the features, d."""
        return self.weight.shape[1]

    @property
    def device(self) -> torch.device:
        """Where the arrays lie."""
        return self.weight.device

    @property
    def takes_embeddings(self) -> bool:
        """Whether features become unit rows before they are multiplied."""
        return self.kind == "zero_shot" or self.unit_rows

    def logits(self, features: Tensor) -> Tensor:
        """Give the logits (n, k) of features (n, d), unit rows if it takes these; `OutputsError` for another width."""
        if self.kind == "zero_shot":
            return self.logits_of_cosine(self.cosine(normalise(features)))
        return self.apply(normalise(features) if self.unit_rows else features)

    @cached_property
    def matrix(self) -> Tensor:
        """What the rows of `Outputs.head_input` are multiplied by, (k, d): the weight times the scale."""
        return self.weight * self.scale if self.kind == "zero_shot" else self.weight

    @cached_property
    def wide(self) -> Tensor:
        """The weight in float64, (k, d)."""
        return self.weight.double()

    def apply(self, rows: Tensor) -> Tensor:
        """Give the logits (n, k) of rows (n, d) like `Outputs.head_input`, taken as they are: never normalised.

        `OutputsError` for another width.
        """
        rows = scoring_precision(self.check_width(rows))
        return torch.addmm(self.bias.to(rows), rows, self.matrix.to(rows).T)

    def cosine(self, embeddings: Tensor) -> Tensor:
        """Give the cosines (n, k) of `embeddings`, unit rows (n, d), with the texts; `OutputsError` if it is linear."""
        if self.kind != "zero_shot":
            raise OutputsError("cosine: needs a zero-shot head, got a linear one; use logits")
        return self.check_width(embeddings) @ self.weight.to(embeddings).T

    def logits_of_cosine(self, cosine: Tensor) -> Tensor:
        """Scale `cosine` (n, k) to logits (n, k)."""
        logits = cosine * self.scale
        return logits + self.bias.to(logits) if bool(self.bias.any()) else logits

    def bank(self, name: str) -> Bank:
        """Give the bank of that name; `OutputsError` where there is none."""
        if name not in self.banks:
            held = ", ".join(sorted(self.banks)) or "none"
            raise OutputsError(f"text:{name}: this head holds no such bank of texts (held: {held})")
        return self.banks[name]

    def with_banks(self, banks: Mapping[str, Bank | ArrayLike]) -> Head:
        """Give the same head with these banks added or replaced; `OutputsError` for rows of another width."""
        made = {name: self._check_bank(name, Bank.of(bank, f"text:{name}")) for name, bank in banks.items()}
        return replace(self, banks=ReadOnly({**self.banks, **made}))

    def to(self, device: torch.device | str) -> Head:
        """Give the same head on another device; this one where it lies there already."""
        if torch.device(device) == self.device:
            return self
        banks = {name: replace(bank, embeddings=bank.embeddings.to(device)) for name, bank in self.banks.items()}
        return replace(self, weight=self.weight.to(device), bias=self.bias.to(device), banks=ReadOnly(banks))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over kind, names, scale, what rows it takes, and arrays: equal heads have equal fingerprints."""
        digest = hashlib.sha256()
        said = (self.kind, self.class_names, self.scale, tuple(self.weight.shape))
        digest.update(repr((*said, "unit rows") if self.unit_rows else said).encode())
        for array in (self.weight, self.bias):
            digest.update(to_numpy(array).tobytes())
        for name in sorted(self.banks):
            digest.update(name.encode() + to_numpy(self.banks[name].embeddings).tobytes())
        return digest.hexdigest()

    def check_width(self, rows: Tensor) -> Tensor:
        """Give rows (n, d) back; `OutputsError` for another width than this head was made for."""
        if rows.shape[-1] != self.width:
            raise OutputsError(
                f"features: expected width {self.width} to fit the head, got {rows.shape[-1]}; "
                "they are of another model"
            )
        return rows

    def _check_bank(self, name: str, bank: Bank) -> Bank:
        if bank.embeddings.shape[-1] != self.width:
            raise OutputsError(f"text:{name}: expected width {self.width}, got {bank.embeddings.shape[-1]}")
        if name == "no" and bank.embeddings.shape[:-1] != (self.classes,):
            shape = tuple(bank.embeddings.shape)
            raise OutputsError(f"text:no: expected ({self.classes}, {self.width}), one row a class, got {shape}")
        return bank


def normalise(rows: Tensor) -> Tensor:
    """Divide each of `rows` (n, d) by its length, in float32 or better; a row of zeros has no direction and stays."""
    rows = scoring_precision(rows)
    length = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    if bool(((length < TINY) | length.isinf()).any()):
        largest = rows.abs().amax(dim=-1, keepdim=True)
        rows = rows / largest.where(largest > 0, 1.0)
        length = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    return rows / length.where(length > 0, 1.0)


def _unit_rows(rows: Tensor, what: str) -> Tensor:
    """Normalise texts in float64, as one error in a length would be in every logit of that text."""
    check_rows(rows.reshape(-1, rows.shape[-1]), what, unit_rows=True)
    return normalise(rows.double()).to(scoring_precision(rows).dtype)


def _names(class_names: Sequence[str], classes: int) -> tuple[str, ...]:
    names = tuple(str(name) for name in class_names)
    if len(names) != classes:
        raise OutputsError(f"class_names: expected {classes}, one a class, got {len(names)}")
    return names


def _finite(value: float, what: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise OutputsError(f"{what}: expected a finite number, got {kind_of(value)}") from None
    if number != number or number in (float("inf"), float("-inf")):
        raise OutputsError(f"{what}: expected a finite number, got {value}")
    return number


def _are_strings(value: object) -> bool:
    return isinstance(value, list | tuple | np.ndarray) and len(value) > 0 and all(isinstance(v, str) for v in value)
