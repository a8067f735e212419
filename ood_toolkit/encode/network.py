"""`Network`: batches of pictures through a model; on a GPU one is computed while the next is put together."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ood_toolkit.api.model import Model
from ood_toolkit.encode.loading import Loaded
from ood_toolkit.encode.options import Effort
from ood_toolkit.errors import ModelError
from ood_toolkit.outputs.head import Head

__all__ = ["Launched", "Network", "one_ahead"]

Item = TypeVar("Item")
QUICK = 0.005
"""Seconds an image on a CPU below which one core computes and the others load: a small network that is split over all
cores waits at each of its layers for threads that are busy decoding, and is up to twenty times slower."""


@dataclass(frozen=True, eq=False)
class Launched:
    """A batch that was given to the network, which may still be busy with it."""

    places: list[int]
    """Rows of the data set that are in it."""
    rows: list[int]
    """Where in the batch they are."""
    given: Mapping[str, Tensor]
    """What the network gives, by kind, with rows for the gaps too."""


class Network:
    """A model that takes batches of one size; what is missing from one is zeros."""

    def __init__(self, model: Model, kinds: Sequence[str], head: Head | None, effort: Effort) -> None:
        self.model, self.kinds, self.size, self.device = model, tuple(kinds), effort.batch_size, effort.device
        self.head = head if head is None or self.device == "cpu" else head.to(self.device)
        self.encode = torch.compile(model.encode) if effort.compile else model.encode

    def launch(self, fresh: Sequence[Loaded], first: int) -> Launched:
        """Give pictures to the network, each at its own place behind row `first`; a GPU is not waited for."""
        if not fresh:
            return Launched([], [], {})
        rows = [one.place - first for one in fresh]
        tensors = [one.tensor for one in fresh if one.tensor is not None]
        pinned = self.device.startswith("cuda")
        batch = torch.zeros((self.size, *tensors[0].shape), dtype=tensors[0].dtype, pin_memory=pinned)
        for row, tensor in zip(rows, tensors, strict=True):
            batch[row] = tensor
        start = time.perf_counter()
        with torch.inference_mode():
            given = self.encode(batch.to(self.device, non_blocking=True), self.kinds, self.head)
        if self.device == "cpu" and time.perf_counter() - start < QUICK * self.size:
            torch.set_num_threads(1)
        return Launched([one.place for one in fresh], rows, given)

    def __enter__(self) -> Network:
        """Begin; remember how many threads compute."""
        self.threads = torch.get_num_threads()
        return self

    def __exit__(self, *error: object) -> None:
        """Let as many threads compute as before."""
        torch.set_num_threads(self.threads)

    def finish(self, batch: Launched) -> dict[str, np.ndarray]:
        """Wait for a batch and give its rows, (m, ...) float32 by kind; `ModelError` where one is no number."""
        if not batch.places:
            return {}
        made = {kind: batch.given[kind].float().cpu().numpy()[batch.rows] for kind in self.kinds}
        for kind, part in made.items():
            finite = np.isfinite(part.reshape(len(part), -1)).all(axis=1)
            if not finite.all():
                hint = "; try precision bf16 or fp32" if self.model.precision == "fp16" else ""
                place = batch.places[int(finite.argmin())]
                raise ModelError(f"{self.model.name}: gave NaN or infinite {kind} for the image in row {place}{hint}")
        return made


def one_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Give each item after the next was asked for."""
    waiting: list[Item] = []
    for item in items:
        waiting.append(item)
        if len(waiting) > 1:
            yield waiting.pop(0)
    yield from waiting
