"""`Limits`: what one request may be, and what all of them together may hold."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ood_toolkit.errors import UsageError

__all__ = ["Limits"]

UPLOADS = 8
"""Bodies of the largest size that may be held at once."""


@dataclass(frozen=True)
class Limits:
    """Limits of a server, all above zero; `UsageError` for one that is not."""

    upload: int = 16 << 20
    """Bytes of a request's body."""
    pixels: int = 50_000_000
    """Pixels of one picture, as its file claims them."""
    rows: int = 1000
    """Pictures or embeddings in a request."""
    seconds: float = 30.0
    """From a request's first line to its answer."""
    queue: int = 256
    """Requests that are accepted and not answered yet."""

    def __post_init__(self) -> None:
        for one in fields(self):
            if not getattr(self, one.name) > 0:
                raise UsageError(f"{one.name}: expected more than 0, got {getattr(self, one.name)}")

    @property
    def held(self) -> int:
        """Bytes of bodies that may be held at once."""
        return UPLOADS * self.upload
