"""Weights files: found out what they are, hashed, read without running anything in them, and loaded strictly."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ood_toolkit.errors import ModelError
from ood_toolkit.store.memory import sha256_of as hash_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SUFFIXES", "check_file", "load_strictly", "read_weights", "sha256_of"]

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")


def check_file(path: Path) -> None:
    """Refuse a file that is missing, of an unknown kind, or a TorchScript archive; imports nothing heavy."""
    if not path.is_file():
        raise ModelError(f"weights: no file {path}; give the path of a {', '.join(SUFFIXES)} file")
    if path.suffix not in SUFFIXES:
        raise ModelError(f"weights: expected a file that ends in {', '.join(SUFFIXES)}, got {path}")
    if path.suffix != ".safetensors" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            inside = archive.namelist()
        if any(name.endswith("/constants.pkl") for name in inside):
            raise ModelError(
                f"weights: {path} is a TorchScript archive, which holds code, and no code in a file is run; use the "
                "safetensors form of these weights, or save torch.jit.load(file).state_dict() once yourself"
            )


def sha256_of(path: Path) -> str:
    """Hash a file's bytes; a file that did not change since is not read again."""
    about = path.stat()
    return _hashed(path.resolve(), (about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino))


@lru_cache(maxsize=64)
def _hashed(path: Path, stamp: tuple[int, ...]) -> str:
    return hash_of(path).hex()


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict from safetensors, or from a pickle of tensors alone; a `state_dict` inside is taken out."""
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    check_file(path)
    held: Any
    try:
        held = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ModelError(
            f"weights: {path} holds more than tensors, or is no torch file, and nothing in a file is run; "
            "save its state_dict alone"
        ) from None
    except (OSError, SafetensorError, RuntimeError, EOFError, ValueError) as error:
        raise ModelError(f"weights: cannot read {path}: {' '.join(str(error).split())}") from None
    if isinstance(held, dict) and isinstance(held.get("state_dict"), dict):
        held = held["state_dict"]
    if not isinstance(held, dict) or not held or not all(isinstance(value, torch.Tensor) for value in held.values()):
        raise ModelError(f"weights: expected {path} to hold tensors by name, or such under state_dict")
    if all(name.startswith("module.") for name in held):
        held = {name.removeprefix("module."): value for name, value in held.items()}
    return held


def load_strictly(module: Any, weights: Mapping[str, Tensor], what: str) -> None:
    """Copy weights into a module; `ModelError` names the first keys that are missing, unexpected or of other shape."""
    wanted = module.state_dict()
    missing = [name for name in wanted if name not in weights]
    unexpected = [name for name in weights if name not in wanted]
    other = [name for name in wanted if name in weights and wanted[name].shape != weights[name].shape]
    said = [
        f"{len(names)} {how} (first {names[0]})"
        for how, names in (("missing", missing), ("unexpected", unexpected))
        if names
    ]
    if other:
        name = other[0]
        shapes = f"expected {tuple(wanted[name].shape)}, got {tuple(weights[name].shape)}"
        said.append(f"{len(other)} of another shape (first {name}: {shapes})")
    if said:
        raise ModelError(f"{what}: the weights are of another network: of {len(wanted)} keys, {'; '.join(said)}")
    module.load_state_dict(weights)
