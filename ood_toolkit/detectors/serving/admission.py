"""`Admission`: lets a request in while there is room for it, and counts who is inside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import HTTPException

from ood_toolkit.detectors.serving.limits import Limits

__all__ = ["Admission", "Place"]

RETRY = {"Retry-After": "1"}


class Admission:
    """Counts requests and the bytes of their bodies; used by the event loop alone, so it needs no lock."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.inside = 0
        """Requests that were accepted and are at work."""
        self.held = 0
        """Bytes of their bodies."""
        self.accepted = 0
        self.answered = 0
        """Of those that were accepted; at the end both are the same."""

    @contextmanager
    def entered(self) -> Iterator[Place]:
        """Give a request its place for a while; 429 where all are taken."""
        if self.inside >= self.limits.queue:
            raise HTTPException(429, f"busy: {self.inside} requests are waiting; try again soon", RETRY)
        place = Place(self)
        self.inside += 1
        self.accepted += 1
        try:
            yield place
        except Exception:
            self.leave()
            raise
        finally:
            self.inside -= 1
            self.held -= place.bytes

    def leave(self) -> None:
        """Note that the answer to an accepted request was sent."""
        self.answered += 1


class Place:
    """What one request holds."""

    def __init__(self, admission: Admission) -> None:
        self.admission, self.bytes = admission, 0

    def take(self, count: int) -> None:
        """Hold more bytes: 413 for a body that is too large, 429 where all bodies together are."""
        limits = self.admission.limits
        if self.bytes + count > limits.upload:
            raise HTTPException(413, f"body: expected at most {limits.upload:,} bytes, got more")
        if self.admission.held + count > limits.held:
            raise HTTPException(429, f"busy: {self.admission.held:,} bytes of requests are held; try again soon", RETRY)
        self.bytes += count
        self.admission.held += count
