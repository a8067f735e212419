"""Bytes with their checksum in front, for small files that are named after what they are of."""

from __future__ import annotations

import hashlib

__all__ = ["body_of", "checked"]

LENGTH = 32


def checked(body: bytes) -> bytes:
    """Put the SHA-256 of some bytes in front of them."""
    return hashlib.sha256(body).digest() + body


def body_of(content: bytes) -> bytes | None:
    """Give what stands behind the checksum; None where it does not fit."""
    digest, body = content[:LENGTH], content[LENGTH:]
    return body if hashlib.sha256(body).digest() == digest else None
