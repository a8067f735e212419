"""`Body`: what a client sends after its headers, read to a limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import HTTPException, Request

from ood_toolkit.detectors.serving.admission import Place

__all__ = ["Body"]

LINGER, DROPPED = 5.0, 256 << 20
"""Seconds and bytes for which what a refused client still sends is read and dropped. Else its system may throw the
answer away with the connection, and it would never learn why."""


class Body:
    """The body of one request."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.whole = False
        """Whether all of it has come."""
        self.gone = False
        """Whether the client went away before."""

    async def read(self, place: Place, most: int) -> bytes:
        """Read all of it; 413 where it is too large, which its headers may say before it is sent."""
        if self.request.headers.get("content-encoding", "identity").lower() != "identity":
            raise HTTPException(415, "Content-Encoding: expected none, got a compressed body; send it as it is")
        said = self.request.headers.get("content-length", "")
        if said.isascii() and said.isdigit() and (len(said) > len(str(most)) or int(said) > most):
            raise HTTPException(413, f"body: expected at most {most:,} bytes, got {said[:20]}")
        chunks = []
        async for chunk in self._chunks():
            place.take(len(chunk))
            chunks.append(chunk)
        return b"".join(chunks)

    async def drop(self) -> bool:
        """Read the rest and keep nothing, for a while; tell whether all of it came.

        A client that waits for "100 Continue" is told at once, before it sends anything.
        """
        if self.whole or self.gone or "expect" in self.request.headers:
            return self.whole
        left = DROPPED
        try:
            async with asyncio.timeout(LINGER):
                async for chunk in self._chunks():
                    left -= len(chunk)
                    if left < 0:
                        break
        except (TimeoutError, HTTPException):
            return False
        return self.whole

    async def _chunks(self) -> AsyncIterator[bytes]:
        while not self.whole:
            message = await self.request.receive()
            if message["type"] != "http.request":
                self.gone = True
                raise HTTPException(400, "the client went away before its request was whole")
            self.whole = not message.get("more_body", False)
            if chunk := message.get("body", b""):
                yield chunk
