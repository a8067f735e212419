"""The server: a socket, the web application behind it, and a stop that answers what was accepted."""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil
from types import FrameType

import uvicorn
from fastapi import FastAPI

from ood_toolkit.errors import UsageError, refusal

__all__ = ["bound", "configured", "is_local", "run"]

STOPS = ("SIGTERM", "SIGINT", "SIGHUP")
GRACE = 10
"""Seconds that connections have, beyond the time limit of a request, to take their answers when the server stops."""
HEADERS = 64 << 10
"""Bytes of a request's headers."""


def is_local(host: str) -> bool:
    """Tell whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bound(host: str, port: int) -> socket.socket:
    """Take an address, on which nobody is heard yet; `UsageError` where that cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        taken = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UsageError(f"--host {host}: {refusal(error) or 'no such address; check its name'}") from None
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
    except OSError as error:
        taken.close()
        why = refusal(error) or error.strerror or "cannot be had"
        raise UsageError(f"--host {host} --port {port}: {why}") from None
    return taken


def run(app: FastAPI, taken: socket.socket, seconds: float, ready: Callable[[], None]) -> None:
    """Serve until a signal asks to stop; then nothing new is taken, and what was accepted is answered.

    `ready` is called when requests are taken. A second signal ends it at once.
    """
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it tells of every damaged form
    _Server(configured(app, seconds), ready).run(sockets=[taken])


def configured(app: FastAPI, seconds: float) -> uvicorn.Config:
    """Configure uvicorn, the same on every machine, for requests that may take so long."""
    return uvicorn.Config(
        app, http="h11", ws="none", loop="asyncio", lifespan="on", log_config=None, log_level="error",
        access_log=False, proxy_headers=False, server_header=False, timeout_graceful_shutdown=ceil(seconds) + GRACE,
        h11_max_incomplete_event_size=HEADERS,
    )  # fmt: skip


class _Server(uvicorn.Server):
    """Heeds signals by itself: uvicorn would raise them again after a stop that went well."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let signals stop the server, the second one at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = [getattr(signal, name) for name in STOPS if hasattr(signal, name)]
        before = {number: signal.signal(number, self._stop) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.force_exit, self.should_exit = self.should_exit, True
