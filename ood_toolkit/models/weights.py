"""Weights files: found out what they are, hashed, read without running anything in them, and loaded strictly."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ood_toolkit.errors import ModelError
from ood_toolkit.store.foreign.arrays import read_npy, read_npz
from ood_toolkit.store.foreign.guard import guarded, shown
from ood_toolkit.store.foreign.pickles import members, read_pickle
from ood_toolkit.store.foreign.tensors import read_tensors
from ood_toolkit.store.hashes import hash_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "SUFFIXES", "Checkpoint", "check_file", "checkpoint_of", "load_strictly", "read_checkpoint", "read_held",
    "sha256_of",
]  # fmt: skip

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
DASSL = re.compile(r"\.pth\.tar(-\d+)?$")
"""How Dassl's trainers name a checkpoint, such as `model.pth.tar-50`."""
AVERAGED = ("state_dict_ema", "model_ema")
"""Under which timm keeps the moving average of the weights, which it evaluates."""
WRAPPERS = (*AVERAGED, "state_dict", "model_state_dict", "model")
"""Under which training programs keep the weights beside their optimizer's state, in the order in which timm looks."""
PREFIXES = ("_orig_mod.", "module.", "_orig_mod.")
"""What compiling and data-parallel training, in either order, put before the names."""
KEYS_SHOWN = 3
"""Names of keys in an error."""


def check_file(path: Path, what: str = "weights", suffixes: Sequence[str] = SUFFIXES) -> None:
    """Refuse a file that is missing, of an unknown kind, or a TorchScript archive; imports nothing heavy."""
    if not os.path.isfile(path):
        raise ModelError(f"{what}: no file {path}; give the path of a {', '.join(suffixes)} file")
    if path.suffix not in suffixes and not DASSL.search(path.name):
        raise ModelError(f"{what}: expected a file that ends in {', '.join(suffixes)}, got {path}")
    pickled = path.suffix not in (".safetensors", ".npz", ".npy")
    if pickled and any(name.endswith("/constants.pkl") for name in members(path)):
        raise ModelError(
            f"{what}: {path} is a TorchScript archive, which holds code, and no code in a file is run; use the "
            "safetensors form of these weights, or save torch.jit.load(file).state_dict() once yourself"
        )


def sha256_of(path: Path) -> str:
    """Hash a file's bytes; a file that did not change since is not read again."""
    with guarded(str(path), "a file", ModelError):
        about = path.stat()
    return _hashed(path.resolve(), (about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino))


@lru_cache(maxsize=64)
def _hashed(path: Path, stamp: tuple[int, ...]) -> str:
    return hash_of(path).hex()


@dataclass(frozen=True)
class Checkpoint:
    """The weights in a file, and which part of it they are."""

    weights: dict[str, Tensor]
    sha256: str
    """Of the file."""
    part: str = ""
    """Under which name they lay in the file; "" where the file is them."""
    others: tuple[str, ...] = ()
    """Under which other names the file holds weights that were not taken."""

    @property
    def fingerprint(self) -> str:
        """Which weights these are: the file's hash, and for an average beside plain weights another."""
        if self.part not in AVERAGED:
            return self.sha256
        return hashlib.sha256(f"{self.sha256} {self.part}".encode()).hexdigest()

    @property
    def notes(self) -> tuple[str, ...]:
        """Say which weights were taken where the file holds several."""
        if not self.others:
            return ()
        return (f"weights of {self.part} were taken, as timm does; the file also holds {', '.join(self.others)}",)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read the weights in a file as timm does: the moving average first, and names without the marks of training."""
    return checkpoint_of(read_held(path), path)


def checkpoint_of(held: Any, path: Path) -> Checkpoint:
    """Give the weights in what `read_held` read of a file."""
    import torch

    parts = _parts(held)
    weights = _bare(held[parts[0]] if parts else held, path)
    named = isinstance(weights, dict) and all(map(_is_named_tensor, weights.items(), repeat(torch.Tensor)))
    if not named or not weights:
        known = f"{', '.join(WRAPPERS[:-1])} or {WRAPPERS[-1]}"
        raise ModelError(f"weights: expected {path} to hold tensors by name, or such under {known}")
    return Checkpoint(weights, sha256_of(path), parts[0] if parts else "", tuple(parts[1:]))


def _is_named_tensor(item: tuple[Any, Any], kind: type) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], kind)


def unwrapped(held: Any) -> Any:
    """Take the state dict out of a checkpoint, and the prefixes of training off its names."""
    parts = _parts(held)
    return _bare(held[parts[0]] if parts else held)


def _parts(held: Any) -> list[str]:
    """Name the parts of a checkpoint that hold weights, first the one that is taken."""
    return [part for part in WRAPPERS if isinstance(held, dict) and isinstance(held.get(part), dict) and held[part]]


def _bare(held: Any, path: Path | str = "") -> Any:
    """Take the marks of training off the names, each by itself; `ModelError` where two names become one."""
    if not isinstance(held, dict):
        return held
    named: dict[Any, Any] = {}
    for name, value in held.items():
        bare = name
        for prefix in PREFIXES if isinstance(name, str) else ():
            bare = bare.removeprefix(prefix)
        if bare in named:
            raise ModelError(f"weights: {path} holds {bare!r} twice, with and without a prefix; save one network")
        named[bare] = value
    return named


def read_held(path: Path, what: str = "weights", suffixes: Sequence[str] = SUFFIXES, inert: Sequence[str] = ()) -> Any:
    """Read what a file holds and run nothing in it: arrays by name, or a pickle of tensors, numbers and strings alone.

    In a pickle, objects of the modules whose names start with one of `inert` become empty stand-ins. `ModelError` in
    one line for anything else.
    """
    check_file(path, what, suffixes)
    if path.suffix == ".safetensors":
        return read_tensors(path, ModelError, "a safetensors file", f"{what}: cannot read {path}")
    if path.suffix == ".npz":
        return read_npz(path, ModelError, f"{what}: cannot read {path}")
    if path.suffix == ".npy":
        return read_npy(path, ModelError, f"{what}: cannot read {path}")
    return read_pickle(path, ModelError, inert, what)


def load_strictly(module: Any, weights: Mapping[str, Tensor], what: str) -> None:
    """Copy weights into a module; `ModelError` names the first keys that are missing, unexpected or of other shape."""
    wanted = module.state_dict()
    missing = [name for name in wanted if name not in weights]
    unexpected = [name for name in weights if name not in wanted]
    other = [name for name in wanted if name in weights and wanted[name].shape != weights[name].shape]
    said = [
        f"{len(names)} {how} (first {', '.join(shown(name, 80) for name in names[:KEYS_SHOWN])})"
        for how, names in (("missing", missing), ("unexpected", unexpected))
        if names
    ]
    if other:
        name = other[0]
        shapes = f"expected {tuple(wanted[name].shape)}, got {tuple(weights[name].shape)}"
        said.append(f"{len(other)} of another shape (first {name}: {shapes})")
    if said:
        raise ModelError(f"{what}: the weights are of another network: of {len(wanted)} keys, {'; '.join(said)}")
    with guarded(what, "weights that fit", ModelError):
        module.load_state_dict(weights)
