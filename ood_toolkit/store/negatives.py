"""`Negatives`: the negative labels that were mined, as lists of words that a person can read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ood_toolkit.errors import StoreError
from ood_toolkit.store.files import replaced_file
from ood_toolkit.store.foreign.guard import read_bytes, reason
from ood_toolkit.store.foreign.objects import LARGEST
from ood_toolkit.store.marker import begin
from ood_toolkit.store.ownership import own_files

__all__ = ["Negatives"]

FORMAT = 1
ABSENT = type(None)
KINDS: dict[str, Any] = {
    "negatives": list, "classes": (list, ABSENT), "candidates": (int, ABSENT), "share": (int, float, ABSENT),
    "quantile": (int, float, ABSENT),
}  # fmt: skip
"""What kind a list's entries are, those that may be absent too."""
OTHERWISE = "contents of another form"


class Negatives:
    """The mined lists of a store, each under the hash of what it was made of."""

    def __init__(self, store: Path) -> None:
        self.folder = store / "negatives"

    def write(
        self, about: Mapping[str, Any], words: Sequence[str], similarity: Sequence[float] | Mapping[str, Sequence[Any]]
    ) -> str:
        """Remember a list, words in their order with the similarity that decided, and give its key.

        A rule with another criterion gives its numbers, or names, by what they are called.
        """
        identity = json.dumps({"format": FORMAT, **about, "words_kept": list(words)}, sort_keys=True)
        key = hashlib.sha256(identity.encode()).hexdigest()
        file = self.folder / f"{key}.json"
        if not file.is_file():
            why = similarity if isinstance(similarity, Mapping) else {"similarity": similarity}
            found = [
                {"word": word, **dict(zip(why, values, strict=True))}
                for word, *values in zip(words, *why.values(), strict=True)
            ]
            begin(self.folder.parent)
            with replaced_file(file) as partial:
                partial.write_text(json.dumps({"format": FORMAT, **about, "negatives": found}, indent=1) + "\n")
        return key

    def listed(self) -> Iterator[str]:
        """Give the keys of all lists."""
        return (file.stem for file in own_files(self.folder.parent, "negatives/*"))

    def all(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Give the keys and contents of all lists; damaged ones are passed over."""
        return ((file.stem, content) for file, content in self._readable())

    def damaged(self) -> list[Path]:
        """List the files that hold no list of negatives."""
        whole = {file for file, _ in self._readable()}
        return [file for file in own_files(self.folder.parent, "negatives/*") if file not in whole]

    def _readable(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        for key in self.listed():
            try:
                yield self.folder / f"{key}.json", self.read(key)[1]
            except StoreError:
                continue

    def read(self, start: str) -> tuple[str, dict[str, Any]]:
        """Give the key and content of the one list whose key starts so; `StoreError` where there is no such one."""
        fitting = [key for key in self.listed() if key.startswith(start)] if start else []
        if len(fitting) != 1:
            many = "none" if not fitting else str(len(fitting))
            raise StoreError(
                f"negatives {start!r}: expected the start of one key, {many} fit; oodkit negatives lists them"
            )
        file = self.folder / f"{fitting[0]}.json"
        try:
            return fitting[0], _checked(json.loads(read_bytes(file, LARGEST)))
        except (ValueError, LookupError, TypeError, OSError, OverflowError, RecursionError) as error:
            raise StoreError(f"{file}: expected a list of negatives, got {reason(error)}; delete it") from None


def _checked(content: Any) -> dict[str, Any]:
    """Give a list whose entries are of the kinds that are written; `TypeError` where one is of another."""
    for name, kinds in KINDS.items():
        if not isinstance(content, dict) or not isinstance(content.get(name), kinds):
            raise TypeError(OTHERWISE)
    shares = {name: float(content[name]) for name in ("share", "quantile") if content.get(name) is not None}
    return {**content, **shares, "negatives": [_row(row) for row in content["negatives"]]}


def _row(row: Any) -> dict[str, Any]:
    """Give a word and the values that decided; `LookupError` where there are none."""
    if not isinstance(row, dict) or not isinstance(row["word"], str):
        raise TypeError(OTHERWISE)
    why = {name: value if isinstance(value, str) else float(value) for name, value in row.items() if name != "word"}
    if not any(isinstance(value, float) for value in why.values()):
        raise LookupError("no value")
    return {"word": row["word"], **why}
