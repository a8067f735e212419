"""`serve`: from a detector's file to a server that has stopped."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ood_toolkit.detectors.serving.limits import Limits
from ood_toolkit.errors import UsageError

__all__ = ["check_extra", "serve"]

EXTRA = ("fastapi", "uvicorn", "prometheus_client", "python_multipart")


def check_extra() -> None:
    """Refuse in one line to go on without the packages of the extra."""
    lacking = [name.replace("_", "-") for name in EXTRA if find_spec(name) is None]
    if lacking:
        raise UsageError(f"serve: needs {', '.join(lacking)}: pip install 'ood-toolkit[serve]'")


def serve(
    file: Path,
    host: str,
    port: int,
    say: Callable[[str], None],
    *,
    max_upload: float,
    max_pixels: int,
    max_rows: int,
    timeout: float,
    queue: int,
    batch_size: int,
    **opening: Any,
) -> None:
    """Serve a detector until it is told to stop. The address is taken first, so that what cannot be is said at once."""
    check_extra()
    from ood_toolkit.detectors.serving.app import Service
    from ood_toolkit.detectors.serving.served import Served
    from ood_toolkit.detectors.serving.server import bound, is_local, run
    from ood_toolkit.detectors.serving.token import VARIABLE, token_from

    limits = Limits(max(1, int(max_upload * (1 << 20))), max_pixels, max_rows, timeout, queue)
    token = token_from(os.environ)
    with bound(host, port) as taken:
        made = Served.load(file, batch=batch_size, **opening)
        service = Service(made.detector, made.gate, limits, token=token, batch=batch_size)
        if made.note:
            say(made.note)
        if token is None and not is_local(host):
            say(f"warning: {host} is reached from other machines, and anybody may ask: set {VARIABLE} to a secret")
        run(service.app, taken, timeout, lambda: say(f"serving {file} ({service.digest}) on {_url(taken, host)}"))
    counts = service.admission
    say(f"stopped: {counts.answered:,} of {counts.accepted:,} accepted requests were answered")


def _url(taken: socket.socket, host: str) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{taken.getsockname()[1]}"
