"""`Context`: learned vectors in place of a prompt, as CoOp, LoCoOp, LSN and NegPrompt save them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ood_toolkit.errors import ModelError
from ood_toolkit.models.weights import SUFFIXES, check_file, read_held, sha256_of, unwrapped
from ood_toolkit.outputs.class_names import ClassNames
from ood_toolkit.store.files import replaced_file
from ood_toolkit.store.foreign.arrays import listed, texts
from ood_toolkit.store.foreign.guard import guarded, shown
from ood_toolkit.store.foreign.places import place_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Context", "check_context", "read_context", "write_context"]

KINDS = (*SUFFIXES, ".npz")
INERT = ("torch.optim.", "dassl.", "numpy.", "collections.defaultdict", "builtins.dict", "__builtin__.dict")
"""What Dassl's trainers leave in a checkpoint beside the tensors: a scheduler object, numbers of numpy."""
IGNORED = ("token_prefix", "token_suffix")
"""Ends of the names of embedded class names, which are made anew of those at hand."""
NEGPROMPT, NEGPROMPT_NEGATIVE = "ctx_positive", "ctx_negative"
NAMES = ("class_names", "classnames", "classes")
END_TOKENS = 2
"""One at the start of a text and one at its end."""


@dataclass(frozen=True)
class Context:
    """Learned vectors that stand before a class name."""

    vectors: Tensor
    """(n, w), shared by all classes, or (k, n, w), one set a class."""
    class_names: tuple[str, ...]
    """Whose the k sets are; empty where all share one."""
    ending: str
    """What follows the class name: a full stop, or nothing for NegPrompt."""
    sha256: str
    """Of the file."""

    @property
    def length(self) -> int:
        """How many vectors stand before a class name, n."""
        return self.vectors.shape[-2]

    def sentences(self, names: Sequence[str]) -> list[str]:
        """Write the texts whose tokens 1 to n the vectors replace."""
        return [f"{'X ' * self.length}{_spaced(name)}{self.ending}" for name in names]

    def vectors_of(self, names: Sequence[str]) -> Tensor:
        """Give the vectors of each name, (n, w) or (m, n, w); `ModelError` for a class that has none."""
        if self.vectors.ndim == 2:
            return self.vectors
        known = ClassNames(self.class_names)
        places = [known.place(name, "context") for name in names]
        if absent := [name for name, place in zip(names, places, strict=True) if place < 0]:
            raise ModelError(
                f"context: its vectors are of {len(self.class_names)} classes, and {absent[0]!r} is none of them "
                f"({len(absent)} of {len(names)} are not); give the classes it was trained on"
            )
        return self.vectors[places]


def check_context(file: str) -> None:
    """Refuse a file that is missing or of an unknown kind; imports nothing heavy."""
    check_file(place_of(file), "context", KINDS)


def read_context(file: str, clip: Any, what: str, *, own_tokenizer: bool = True) -> Context:
    """Read the context vectors for the text tower of a network; `ModelError` where they do not fit it.

    `what` is the model's name for errors, `own_tokenizer` whether open_clip's tokenizer reads its texts.

    Accepted: a bare tensor; `ctx` (n, w) or (k, n, w) by itself or in a `state_dict`, as in the checkpoints of Dassl's
    trainers; NegPrompt's `ctx_positive` (1, n, w) or (k, 1, n, w). Vectors of each class need `class_names`.
    """
    from ood_toolkit.models.text_tower import is_plain

    if not (own_tokenizer and is_plain(clip)):
        raise ModelError(f"{what}: context= is for text towers like OpenAI's CLIP, which this one is not")
    length, width = clip.positional_embedding.shape
    path = place_of(file)
    held = read_held(path, "context", KINDS, INERT)
    with guarded(f"context: {path}", "learned vectors", ModelError):
        names = _names(next((held[key] for key in NAMES if isinstance(held, Mapping) and key in held), ()), path)
        vectors, negprompt = _vectors(unwrapped(held), path)
        vectors = _as_rows(vectors, path, negprompt)
    said = f"context: {path} has vectors {tuple(vectors.shape)}"
    if vectors.ndim not in (2, 3) or vectors.shape[-1] != width:
        raise ModelError(
            f"{said}; expected (n, {width}), or (classes, n, {width}) with class_names, for this text tower"
        )
    if not 0 < vectors.shape[-2] < length - END_TOKENS:
        raise ModelError(
            f"{said}; expected from 1 to {length - END_TOKENS - 1} vectors, for texts have {length} tokens"
        )
    known = tuple(map(_spaced, names)) if vectors.ndim == 3 else ()
    if vectors.ndim == 3 and (len(known) != len(vectors) or len(set(known)) != len(known)):
        got = f"{len(known)} ({len(set(known))} different)" if known else "none"
        raise ModelError(
            f"{said}, one set a class; expected {len(vectors)} different class_names in the file, got {got}"
        )
    return Context(vectors, known, "" if negprompt else ".", sha256_of(path))


def write_context(file: Path, vectors: Tensor, class_names: Sequence[str]) -> None:
    """Write vectors (n, w), or (k, n, w) of k classes, as an `.npz` that `read_context` takes; it appears whole."""
    import numpy as np

    with replaced_file(file) as partial, partial.open("wb") as out:
        np.savez(out, ctx=vectors.detach().cpu().float().numpy(), class_names=np.array(class_names))


def _names(found: Any, path: Path) -> tuple[str, ...]:
    """Return class names, an array or a list of them."""
    import numpy as np

    if isinstance(found, np.ndarray):
        return tuple(texts(found, f"context: {path}: class_names", ModelError).tolist())
    if not isinstance(found, list | tuple) or not all(isinstance(name, str) for name in found):
        raise ModelError(f"context: {path}: class_names: expected a list of names, got {type(found).__name__}")
    return tuple(found)


def _vectors(held: Any, path: Path) -> tuple[Any, bool]:
    """Find the vectors, and whether they are NegPrompt's; nothing else that decides texts may stand beside them."""
    if not isinstance(held, Mapping):
        return held, False
    ends = {str(key): str(key).rpartition(".")[2] for key in held}
    found = [key for key, end in ends.items() if end in ("ctx", NEGPROMPT)]
    others = [
        key
        for key, end in ends.items()
        if key not in found and key not in NAMES and end != NEGPROMPT_NEGATIVE and not end.endswith(IGNORED)
    ]
    if len(found) != 1:
        raise ModelError(f"context: expected one of ctx and {NEGPROMPT} in {path}, got {listed(held)}")
    if others:
        first = ", ".join(shown(one, 80) for one in others[:3])
        raise ModelError(
            f"context: {path} holds {len(others)} keys beside {found[0]} (first {first}); expected vectors that alone "
            "decide the texts, as CoOp and LoCoOp learn them"
        )
    return held[found[0]], ends[found[0]] == NEGPROMPT


def _as_rows(vectors: Any, path: Path, negprompt: bool) -> Tensor:
    """Take vectors as finite float32, NegPrompt's without the axis that counts positive prompts."""
    import torch

    from ood_toolkit.errors import OutputsError
    from ood_toolkit.outputs.arrays import as_tensor

    try:
        rows = as_tensor(vectors, f"context: {path}", (2, 3, 4)).float()
    except OutputsError as error:
        raise ModelError(str(error)) from None
    if not bool(torch.isfinite(rows).all()):
        raise ModelError(f"context: {path} has vectors that are not finite; it was saved from a run that failed")
    if negprompt:
        if rows.ndim < 3 or rows.shape[-3] != 1:
            raise ModelError(
                f"context: expected {NEGPROMPT} (1, n, w) or (classes, 1, n, w) in {path}, got {tuple(rows.shape)}"
            )
        rows = rows.squeeze(-3)
    return rows


def _spaced(name: str) -> str:
    return name.replace("_", " ")
