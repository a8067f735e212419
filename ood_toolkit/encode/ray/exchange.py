"""`Exchange`: an address that the workers of a cluster write shards to and the store takes them from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ood_toolkit.errors import StoreError
from ood_toolkit.store.files import replaced_file
from ood_toolkit.store.shard import open_shard, shard_name

__all__ = ["Exchange"]

NAME = re.compile(r"[0-9a-f]{64}\.safetensors")
LARGEST = 1 << 30
"""Bytes that a shard may have at most; a thousand rows are a few megabytes."""


class Exchange:
    """A folder at an fsspec address, laid out as a store: `encodings/KEY/shards/SHA256.safetensors`.

    The checksum in a name shows damage, not forgery: whoever can write to the address decides what is in it.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        with self._errors():
            from fsspec.core import url_to_fs

            self.files, self.root = url_to_fs(url)

    def put(self, key: str, content: bytes) -> str:
        """Write the bytes of a shard of the encoder `key` and give its name; what is there already is the same."""
        name = shard_name(content)
        with self._errors():
            self.files.makedirs(self._folder(key), exist_ok=True)
            self.files.pipe_file(f"{self._folder(key)}/{name}", content)
        return name

    def names(self, key: str) -> list[str]:
        """List the shards of an encoder; what is not named like one is passed over."""
        with self._errors():
            self.files.invalidate_cache()
            try:
                found = self.files.ls(self._folder(key), detail=False)
            except FileNotFoundError:
                return []
        return sorted(name for path in found if NAME.fullmatch(name := str(path).rsplit("/", 1)[-1]))

    def fetch(self, key: str, name: str, folder: Path) -> bool:
        """Copy a shard into `folder`, unless its bytes are not those it is named after, or are no shard, or gone."""
        content = self._read(f"{self._folder(key)}/{name}")
        if content is None or not NAME.fullmatch(name) or hashlib.sha256(content).hexdigest() != Path(name).stem:
            return False
        try:
            with replaced_file(folder / name) as partial:
                partial.write_bytes(content)
                _check(partial)
        except _NoShardError:
            return False
        return True

    def _read(self, path: str) -> bytes | None:
        with self._errors():
            try:
                if self.files.info(path)["size"] > LARGEST:
                    return None
                content: Any = self.files.cat_file(path)
            except FileNotFoundError:
                return None
        return bytes(content)

    def _folder(self, key: str) -> str:
        return f"{self.root.rstrip('/')}/encodings/{key}/shards"

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Say in one line what went wrong; every file system of fsspec has errors of its own."""
        try:
            yield
        except Exception as error:
            said = " ".join(str(error).split())
            raise StoreError(f"--share: {self.url} cannot be used ({type(error).__name__}: {said})") from None


class _NoShardError(Exception):
    """Bytes that are named after their checksum but are no shard."""


def _check(file: Path) -> None:
    try:
        rows = open_shard(file).rows
    except StoreError as error:
        raise _NoShardError from error
    if not np.isfinite(rows).all():
        raise _NoShardError
