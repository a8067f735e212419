"""`Texts`: embeddings of prompts, each set of them under the hash of all that decides them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ood_toolkit.store.folder import replaced_file

__all__ = ["Texts"]

FORMAT = 1


class Texts:
    """The text embeddings of a store."""

    def __init__(self, store: Path) -> None:
        self.folder = store / "texts"

    def read(self, identity: Mapping[str, Any]) -> np.ndarray | None:
        """Give the embeddings (k, d) that were kept under this identity; None if there are none, or damaged ones."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        path = self._path(identity)
        try:
            content = path.read_bytes()
            digest, body = content[:32], content[32:]
            if hashlib.sha256(body).digest() != digest:
                return None
            return load(body)["rows"]
        except (FileNotFoundError, SafetensorError, KeyError):
            return None

    def write(self, identity: Mapping[str, Any], rows: np.ndarray) -> None:
        """Keep the embeddings (k, d), with what they are of beside them."""
        from safetensors.numpy import save

        body = save({"rows": np.ascontiguousarray(rows, dtype=np.float32)})
        path = self._path(identity)
        with replaced_file(path.with_suffix(".json")) as partial:
            partial.write_text(json.dumps(dict(identity), indent=1) + "\n")
        with replaced_file(path) as partial:
            partial.write_bytes(hashlib.sha256(body).digest() + body)

    def verify(self) -> list[Path]:
        """List the damaged files."""
        return [
            path
            for path in sorted(self.folder.glob("*.texts"))
            if hashlib.sha256(path.read_bytes()[32:]).digest() != path.read_bytes()[:32]
        ]

    def _path(self, identity: Mapping[str, Any]) -> Path:
        text = json.dumps({"format": FORMAT, **identity}, sort_keys=True)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()}.texts"
