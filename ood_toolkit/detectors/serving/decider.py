"""`Decider`: a gate and a detector that decide on what requests ask, batched, within the limits on pictures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Protocol

import torch
from fastapi import HTTPException
from torch import Tensor

from ood_toolkit.api.picture import claimed
from ood_toolkit.detectors.decisions import Decisions, unscored
from ood_toolkit.detectors.detector import Detector
from ood_toolkit.detectors.gate import Gate
from ood_toolkit.detectors.pictures import Item
from ood_toolkit.detectors.serving.batcher import Batcher, Row
from ood_toolkit.detectors.serving.limits import Limits
from ood_toolkit.detectors.serving.metrics import Metrics
from ood_toolkit.detectors.serving.payload import Payload, Vectors
from ood_toolkit.errors import DataError, OodkitError

__all__ = ["FORMATS", "Decider", "Observer"]

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")
"""Formats that are decoded. Pillow reads more, by older readers that strangers should not reach."""
LOG = logging.getLogger(__name__)
READY = 4
"""Batches of pictures that may be ready for the network at once, in memory."""
VECTORS = 4096
"""Embeddings that are decided on together."""


class Observer(Protocol):
    """Sees every batch that was decided, one after the other in the event loop: a monitor, which looks for drift."""

    def decided(self, decisions: Decisions) -> None:
        """Take the decisions on one batch of pictures that could be read, or of vectors."""


class Decider:
    """Decides on requests. Pictures and vectors have a thread each, so that neither waits for the other."""

    def __init__(
        self,
        detector: Detector,
        gate: Gate | None,
        limits: Limits,
        metrics: Metrics,
        *,
        batch: int = 32,
        observers: Iterable[Observer] = (),
    ) -> None:
        """Take a detector, and the gate behind which it stands where its model is here; and who else sees decisions."""
        self.detector, self.gate, self.limits, self.batch = detector, gate, limits, batch
        self.metrics, self.observers = metrics, tuple(observers)
        self.pictures: Batcher[Tensor] = Batcher("pictures", self._of_pictures, batch, self._seen("pictures"))
        self.vectors: Batcher[Vectors] = Batcher("vectors", self._of_vectors, VECTORS, self._seen("vectors"))
        self.ready = asyncio.Semaphore(READY * batch)
        self.pool: ThreadPoolExecutor | None = None

    async def __aenter__(self) -> Decider:
        self.ready = asyncio.Semaphore(READY * self.batch)
        self.pool = None if self.gate is None else self.gate.pool()
        self.work = [asyncio.create_task(lane.run()) for lane in (self.pictures, self.vectors)]
        return self

    async def __aexit__(self, *error: object) -> None:
        for task in self.work:
            task.cancel()
        for task in self.work:
            with suppress(asyncio.CancelledError):
                await task
        if self.pool is not None:
            self.pool.shutdown(wait=False, cancel_futures=True)

    async def decide(self, payload: Payload) -> list[Row]:
        """Decide on a request, a dict a row; 422 for what this detector cannot take."""
        if isinstance(payload, Vectors):
            return await self._decide_vectors(payload) if len(payload) else []
        if self.gate is None:
            raise HTTPException(422, "this server has no model, so it takes embeddings or logits and no pictures")
        rows: list[Row] = []
        for start in range(0, len(payload), self.batch):
            part = payload.named[start : start + self.batch]
            rows += await asyncio.gather(*(self._decide_picture(start + row, *one) for row, one in enumerate(part)))
        return rows

    def check(self, payload: Payload) -> None:
        """Refuse with 422 vectors of another width than this detector takes."""
        if not isinstance(payload, Vectors) or not len(payload):
            return
        made, got = self.detector, payload.matrix.shape[1]
        wanted = (made.features_width or 0) if payload.is_features else made.classes
        name = "embeddings" if payload.is_features else "logits"
        if not wanted:
            raise HTTPException(422, f"{name}: this detector takes none")
        if got != wanted:
            raise HTTPException(422, f"{name}: expected rows of {wanted:,} numbers, got {got:,}")

    async def _decide_vectors(self, payload: Vectors) -> list[Row]:
        self.check(payload)
        kind = (payload.is_features, payload.matrix.dtype)
        try:
            rows = await self.vectors.ask(payload, len(payload), kind)
        except OodkitError as error:
            raise HTTPException(422, str(error)) from None
        return [{**row, "id": str(place)} for place, row in enumerate(rows)]

    async def _decide_picture(self, place: int, name: str, content: bytes) -> Row:
        assert self.pool is not None
        async with self.ready:
            found = await asyncio.get_running_loop().run_in_executor(self.pool, self._prepared, content)
            if isinstance(found, str):
                self.metrics.unreadable(1)
                (row,) = unscored([found]).to_dicts()
            else:
                (row,) = await self.pictures.ask(found, 1)
        return {**row, "id": name or str(place)}

    def _prepared(self, content: bytes) -> Tensor | str:
        """Decode one picture, or say why not; in a thread."""
        assert self.gate is not None
        try:
            form, width, height = claimed(content)
        except DataError as error:
            return str(error)
        except MemoryError:
            return "takes more memory than there is"
        if form not in FORMATS:
            return f"not a readable picture: {form} is not taken; send one of {', '.join(FORMATS)}"
        if width * height > self.limits.pixels:
            return (
                f"not a readable picture: expected at most {self.limits.pixels:,} pixels, got {width:,} x {height:,}; "
                "send it smaller"
            )
        return self.gate.prepare(Item(content))

    def _of_pictures(self, parts: Sequence[Tensor]) -> Decisions:
        assert self.gate is not None
        return self.gate.decide_prepared([(Item(None), one) for one in parts])

    def _of_vectors(self, parts: Sequence[Vectors]) -> Decisions:
        matrix = parts[0].matrix if len(parts) == 1 else torch.cat([one.matrix for one in parts])
        return self.detector.decide_rows(matrix, is_features=parts[0].is_features)

    def _seen(self, lane: str) -> Callable[[Decisions, float], None]:
        def tell(decisions: Decisions, seconds: float) -> None:
            self.metrics.ran(lane, len(decisions), seconds)
            self.metrics.decided(decisions)
            for one in self.observers:
                try:
                    one.decided(decisions)
                except Exception:  # whoever asked gets an answer all the same
                    self.metrics.observer_failures.inc()
                    LOG.exception("the observer of decisions failed")

        return tell
