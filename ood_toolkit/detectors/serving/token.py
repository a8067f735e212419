"""The token that clients must show, from the environment, and the door that looks at it."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from ood_toolkit.errors import UsageError

__all__ = ["OPEN", "VARIABLE", "Guarded", "token_from"]

VARIABLE = "OODKIT_TOKEN"
OPEN = ("/health",)
"""What is answered without a token: what a supervisor asks."""
LEAST = 8


def token_from(environment: Mapping[str, str]) -> str | None:
    """Read the token; None where none is set, `UsageError` for one that cannot be sent or is guessed at once."""
    token = environment.get(VARIABLE)
    if token is None:
        return None
    if len(token) < LEAST or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(f"{VARIABLE}: expected at least {LEAST} letters, digits or signs of ASCII without spaces")
    return token


class Guarded:
    """An ASGI app that answers 401 to who does not show the token, before anything else is read."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app, self.wanted = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        if scope["type"] != "http" or scope["path"] in OPEN or self._shown(scope):
            await self.app(scope, receive, send)
            return
        body = json.dumps(
            {"error": "expected the header Authorization: Bearer TOKEN with this server's token"}
        ).encode()
        headers = [
            (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()),
            (b"www-authenticate", b"Bearer"),
        ]  # fmt: skip
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _shown(self, scope: Scope) -> bool:
        """Compare in a time that tells nothing of the token."""
        shown = [value for name, value in scope["headers"] if name == b"authorization"]
        return len(shown) == 1 and hmac.compare_digest(shown[0], self.wanted)
