"""What open_clip knows by name, and what lies in the caches of this machine; nothing heavy is imported."""

from __future__ import annotations

import ast
import copy
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ood_toolkit.api.spec import nearest
from ood_toolkit.errors import ModelError
from ood_toolkit.store.foreign.places import place_of

__all__ = [
    "Hub",
    "architectures",
    "config_of",
    "is_offline",
    "known_tag",
    "package_folder",
    "tag_config",
    "tags_of",
    "torch_cache",
]

WEIGHTS_NAMES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""Under which open_clip keeps weights in a repository or folder, the preferred first."""


def package_folder(package: str) -> Path:
    """Find the folder of an installed package without importing it."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModelError(f"{package} is not installed; pip install {package}")
    return Path(spec.origin).parent


# -- open_clip's tables -----------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def architectures() -> tuple[str, ...]:
    """Name the architectures that open_clip has a configuration of."""
    folder = package_folder("open_clip") / "model_configs"
    return tuple(sorted(file.stem for file in folder.glob("*.json")))


def config_of(architecture: str) -> dict[str, Any]:
    """Read open_clip's configuration of an architecture; `ModelError` for an unknown name."""
    if architecture not in architectures():
        raise ModelError(f"unknown open_clip architecture {architecture!r}; {_near(architecture, architectures())}")
    file = package_folder("open_clip") / "model_configs" / f"{architecture}.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def tags_of(architecture: str) -> Mapping[str, Mapping[str, Any]]:
    """Give the pretrained tags of an architecture with where each comes from and its preprocessing."""
    return _table().get(architecture, {})


def tag_config(architecture: str, tag: str) -> Mapping[str, Any] | None:
    """Give what open_clip says of a tag, written as open_clip lets it be written; None where it has no such tag."""
    return tags_of(architecture).get(clean_tag(tag))


def clean_tag(tag: str) -> str:
    """Write a tag as the table does."""
    return tag.lower().replace("-", "_")


def known_tag(architecture: str, sha256: str) -> str | None:
    """Name the tag whose file has this hash, as far as the table's addresses carry hashes."""
    for tag, config in tags_of(architecture.removesuffix("-quickgelu")).items():
        url = config["url"]
        if ("openaipublic" in url and url.split("/")[-2] == sha256) or (
            "mlfoundations" in url and sha256.startswith(Path(url).stem.split("-")[-1])
        ):
            return tag
    return None


@lru_cache(maxsize=1)
def _table() -> dict[str, dict[str, dict[str, Any]]]:
    """Run the lines of open_clip's `pretrained.py` that fill its table, without the imports above them.

    Importing it would import torch, which takes seconds, only to refuse a model.
    """
    folder = package_folder("open_clip")
    scope: dict[str, Any] = {"copy": copy}
    exec(compile((folder / "constants.py").read_text(encoding="utf-8"), "constants.py", "exec"), scope)
    tree = ast.parse((folder / "pretrained.py").read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if _fills_the_table(node)]
    exec(compile(tree, "pretrained.py", "exec"), scope)
    table: dict[str, dict[str, dict[str, Any]]] = scope["_PRETRAINED"]
    return table


def _fills_the_table(node: ast.stmt) -> bool:
    if isinstance(node, ast.FunctionDef):
        return node.name.startswith("_") and node.name.endswith("cfg")
    if isinstance(node, ast.Assign):
        return isinstance(node.targets[0], ast.Name)
    return isinstance(node, ast.For) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call))


def _near(name: str, known: Sequence[str]) -> str:
    said = nearest(name, known)
    return said if said.startswith("did") else "`python -c 'import open_clip; print(open_clip.list_models())'` has all"


# -- caches -----------------------------------------------------------------------------------------------------------


def is_offline() -> bool:
    """Tell whether the user forbade the network with HF_HUB_OFFLINE."""
    return os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")


def hub_cache() -> Path:
    """Give the folder in which the Hugging Face Hub's client keeps what it downloaded."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(name):
            return place_of(os.environ[name])
    return _under_cache("HF_HOME", "huggingface") / "hub"


def torch_cache() -> Path:
    """Give the folder in which torch.hub keeps weights files."""
    return _under_cache("TORCH_HOME", "torch") / "hub" / "checkpoints"


def _under_cache(variable: str, name: str) -> Path:
    if os.environ.get(variable):
        return place_of(os.environ[variable])
    return place_of(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / name


def refuse(what: str, origin: str, local: str, *, download: bool) -> None:
    """Raise the `ModelError` of a file that is not on this machine, unless it may be downloaded."""
    if not download:
        raise ModelError(
            f"{what}: not on this machine, and nothing is downloaded unasked; pass --download to get it from "
            f"{origin}, or {local}"
        )
    if is_offline():
        raise ModelError(f"{what}: not on this machine, and HF_HUB_OFFLINE forbids to get it from {origin}; {local}")


@dataclass(frozen=True)
class Hub:
    """Files of repositories on the Hugging Face Hub: from the cache, and downloaded only where that was asked for."""

    download: bool = False
    fetch: bool = True
    """Whether to download now; False while a request is only checked."""

    def file(self, repository: str, names: Sequence[str], what: str, local: str) -> Path | None:
        """Find the first of these files; None where it is to be downloaded but not yet."""
        for name in names:
            if (found := self.cached(repository, name)) is not None:
                return found
        refuse(what, f"the Hugging Face Hub, {repository}", local, download=self.download)
        return self._fetched(repository, names, what) if self.fetch else None

    def cached(self, repository: str, name: str) -> Path | None:
        """Find a file in the cache."""
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        try:
            found = try_to_load_from_cache(repository, name, cache_dir=hub_cache())
        except HFValidationError:
            raise ModelError(f"hub: expected a repository such as org/repo, got {repository!r}") from None
        return Path(found) if isinstance(found, str) else None

    def optional(self, repository: str, name: str) -> None:
        """Download a file that not every repository has."""
        from huggingface_hub import hf_hub_download

        if self.cached(repository, name) is None:
            with suppress(Exception):  # the client raises its own, its HTTP library's and the system's errors
                hf_hub_download(repository, name, cache_dir=hub_cache())

    def _fetched(self, repository: str, names: Sequence[str], what: str) -> Path:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        for name in names:
            try:
                return Path(hf_hub_download(repository, name, cache_dir=hub_cache()))
            except LocalEntryNotFoundError:  # it could not be asked, and the cache has none
                raise ModelError(f"{what}: cannot be downloaded from {repository}: no answer from the Hub") from None
            except EntryNotFoundError:
                continue
            except Exception as error:  # the client raises its own, its HTTP library's and the system's errors
                reason = " ".join(str(error).split()) or type(error).__name__
                raise ModelError(f"{what}: cannot be downloaded from {repository}: {reason}") from None
        raise ModelError(f"{what}: the repository {repository} has none of {', '.join(names)}")
