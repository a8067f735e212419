"""`Texts`: embeddings of prompts, each set of them under the hash of all that decides them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ood_toolkit.store.checksum import body_of, checked
from ood_toolkit.store.files import replaced_file

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
            body = body_of(path.read_bytes())
            return None if body is None else load(body)["rows"]
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
            partial.write_bytes(checked(body))

    def damaged(self) -> list[Path]:
        """List the files whose checksum does not fit."""
        return [path for path in sorted(self.folder.glob("*.texts")) if body_of(path.read_bytes()) is None]

    def _path(self, identity: Mapping[str, Any]) -> Path:
        text = json.dumps({"format": FORMAT, **identity}, sort_keys=True)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()}.texts"
