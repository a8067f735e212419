"""`Texts`: embeddings of prompts, each set of them under the hash of all that decides them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ood_toolkit.store.checksum import body_of, checked
from ood_toolkit.store.files import replaced_file
from ood_toolkit.store.foreign.guard import read_bytes
from ood_toolkit.store.marker import begin
from ood_toolkit.store.ownership import own_files

__all__ = ["HeldTexts", "Texts"]

FORMAT = 1


@dataclass(frozen=True, eq=False)
class HeldTexts:
    """What a store has of some prompts."""

    rows: np.ndarray
    """(k, d) float32, or of another shape where templates are kept apart."""
    cut: tuple[int, ...] | None
    """Places of the prompts, template after template, whose end the tokenizer cuts; None where an older version wrote
    them, which did not say."""


class Texts:
    """The text embeddings of a store."""

    def __init__(self, store: Path) -> None:
        self.folder = store / "texts"

    def read(self, identity: Mapping[str, Any]) -> HeldTexts | None:
        """Give what was kept under this identity; None if there is nothing, or it is damaged."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        path = self._path(identity)
        try:
            body = body_of(read_bytes(path))
            if body is None:
                return None
            arrays = load(body)
            cut = arrays.get("cut")
            known = cut is not None and cut.ndim == 1 and cut.dtype == np.int64
            return HeldTexts(arrays["rows"], tuple(cut.tolist()) if cut is not None and known else None)
        except (OSError, SafetensorError, KeyError):
            return None

    def write(self, identity: Mapping[str, Any], rows: np.ndarray, cut: Sequence[int] = ()) -> None:
        """Keep the embeddings (k, d) and which prompts are cut, with what they are of beside them."""
        from safetensors.numpy import save

        begin(self.folder.parent)
        kept: dict[str, np.ndarray] = {
            "rows": np.ascontiguousarray(rows, dtype=np.float32),
            "cut": np.array(cut, dtype=np.int64),
        }
        body = save(kept)
        path = self._path(identity)
        with replaced_file(path.with_suffix(".json")) as partial:
            partial.write_text(json.dumps(dict(identity), indent=1) + "\n")
        with replaced_file(path) as partial:
            partial.write_bytes(checked(body))

    def damaged(self) -> list[Path]:
        """List the files whose checksum does not fit."""
        return [path for path in own_files(self.folder.parent, "texts/*") if not _is_whole(path)]

    def of(self, weights: Collection[str]) -> Iterator[Path]:
        """Give the files with texts of models with these weights, embeddings before what they are of."""
        for path in own_files(self.folder.parent, "texts/*"):
            if path.suffix == ".json" and _weights(path) in weights:
                yield from (path.with_suffix(".texts"), path)

    def _path(self, identity: Mapping[str, Any]) -> Path:
        text = json.dumps({"format": FORMAT, **identity}, sort_keys=True)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()}.texts"


def _is_whole(path: Path) -> bool:
    try:
        content = read_bytes(path)
        return body_of(content) is not None if path.suffix == ".texts" else isinstance(json.loads(content), dict)
    except (OSError, ValueError, RecursionError):
        return False


def _weights(path: Path) -> str | None:
    """Read which weights texts are of; None where the file does not say it."""
    try:
        found = json.loads(read_bytes(path))["weights"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return found if isinstance(found, str) else None
