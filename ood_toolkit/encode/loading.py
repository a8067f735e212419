"""`load_batches`: pictures read, hashed, decoded and preprocessed in threads, batches ahead of the network."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.api.model import Model
from ood_toolkit.api.picture import Picture
from ood_toolkit.errors import DataError, one_line, refusal
from ood_toolkit.store.hashes import Stamp, stamp_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Loaded", "load_batches"]

AHEAD = 3
"""Batches that are loaded while the network is busy with one."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """One picture as the network takes it, or why not."""

    place: int
    """Row of the data set."""
    key: bytes = b""
    """SHA-256 of its bytes; empty where they could not be read."""
    stamp: Stamp | None = None
    """What its file's hash is remembered by, where it was read just now."""
    tensor: Tensor | None = None
    """(c, h, w); None where nobody needs it encoded."""
    unreadable: str | None = None


def load_batches(
    model: Model,
    items: Sequence[Picture],
    batches: Iterable[list[int]],
    keys: Callable[[int], bytes | None],
    wanted: Callable[[bytes], bool],
    threads: int,
) -> Iterator[list[Loaded]]:
    """Load the pictures of each batch of rows, in order; of those whose key is not `wanted` only the key."""

    def load(place: int) -> Loaded:
        return load_one(model, items[place], place, keys(place), wanted)

    waiting: deque[list[Future[Loaded]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="load", initializer=_one_thread_each) as pool:
        try:
            for batch in batches:
                waiting.append([pool.submit(load, place) for place in batch])
                if len(waiting) > AHEAD:
                    yield [future.result() for future in waiting.popleft()]
            while waiting:
                yield [future.result() for future in waiting.popleft()]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def load_one(model: Model, item: Picture, place: int, key: bytes | None, wanted: Callable[[bytes], bool]) -> Loaded:
    """Read one picture and, if it is wanted, decode and preprocess it."""
    if key is not None and not wanted(key):
        return Loaded(place, key)
    stamp = None
    try:
        if item.file is not None:
            stamp = stamp_of(item.file)
        content = item.read()
        key = hashlib.sha256(content).digest()
        if not wanted(key):
            return Loaded(place, key, stamp)
        image = item.decode(content, model.image_size or None)
        return Loaded(place, key, stamp, model.preprocess(image))
    except DataError as error:
        return Loaded(place, key or b"", stamp, unreadable=str(error))
    except OSError as error:
        return Loaded(place, unreadable=f"cannot be read: {refusal(error) or one_line(error)}")
    except MemoryError:
        return Loaded(place, key or b"", stamp, unreadable="takes more memory than there is")


def _one_thread_each() -> None:
    """Keep torch from splitting one picture's arithmetic over all cores: there are as many pictures as threads."""
    import torch

    torch.set_num_threads(1)
