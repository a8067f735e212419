"""`Batcher`: puts what waits together, and lets one thread decide on it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ood_toolkit.detectors.decisions import Decisions

__all__ = ["Batcher", "Row"]

Part = TypeVar("Part")
Row = dict[str, Any]


@dataclass(eq=False)
class _Job(Generic[Part]):
    """A part of a request."""

    part: Part
    rows: int
    kind: Hashable
    answer: asyncio.Future[list[Row]]


class Batcher(Generic[Part]):
    """Decides on parts of requests together, as many as wait when the thread is free: nobody waits for company.

    `decide` takes parts of one kind and gives decisions on all their rows in order, of which `seen` is told with the
    seconds that it took. Where a batch fails, each part is tried alone, so that an error reaches its own request only.
    """

    def __init__(
        self,
        name: str,
        decide: Callable[[Sequence[Part]], Decisions],
        most: int,
        seen: Callable[[Decisions, float], None],
    ) -> None:
        self.name, self.decide, self.most, self.seen = name, decide, most, seen
        self.waiting: deque[_Job[Part]] = deque()
        self._filled = asyncio.Event()

    async def ask(self, part: Part, rows: int, kind: Hashable = None) -> list[Row]:
        """Decide on a part of a request: a dict a row; raises what the decision raised."""
        job = _Job(part, rows, kind, asyncio.get_running_loop().create_future())
        self.waiting.append(job)
        self._filled.set()
        return await job.answer

    @property
    def rows(self) -> int:
        """How many rows wait."""
        return sum(job.rows for job in self.waiting if not job.answer.done())

    async def run(self) -> None:
        """Work until cancelled."""
        self._filled = asyncio.Event()
        with ThreadPoolExecutor(1, thread_name_prefix=self.name) as thread:
            while True:
                if not (jobs := self._next()):
                    self._filled.clear()
                    await self._filled.wait()
                    continue
                await self._answer(jobs, thread)

    def _next(self) -> list[_Job[Part]]:
        """Take from the front what is of one kind and fits into a batch; who no longer waits is left out."""
        jobs: list[_Job[Part]] = []
        others: list[_Job[Part]] = []
        rows = 0
        while self.waiting and rows < self.most:
            job = self.waiting.popleft()
            if job.answer.done():
                continue
            if jobs and (job.kind != jobs[0].kind or rows + job.rows > self.most):
                others.append(job)
                continue
            jobs.append(job)
            rows += job.rows
        self.waiting.extendleft(reversed(others))
        return jobs

    async def _answer(self, jobs: list[_Job[Part]], thread: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        try:
            found, rows, seconds = await loop.run_in_executor(thread, self._work, [job.part for job in jobs])
            self.seen(found, seconds)
        except Exception as error:  # the scorer may be anybody's; whoever asked is told
            if len(jobs) > 1:
                for job in jobs:
                    await self._answer([job], thread)
            elif not jobs[0].answer.done():
                jobs[0].answer.set_exception(error)
            return
        start = 0
        for job in jobs:
            if not job.answer.done():
                job.answer.set_result(rows[start : start + job.rows])
            start += job.rows

    def _work(self, parts: Sequence[Part]) -> tuple[Decisions, list[Row], float]:
        start = time.perf_counter()
        found = self.decide(parts)
        return found, found.to_dicts(), time.perf_counter() - start
