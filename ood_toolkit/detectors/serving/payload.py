"""What a request asks to decide on: pictures as bytes, or vectors; read from each form that is taken.

A request holds the data itself. Nothing in it is looked up: no path, no URL, no name of a data set.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncGenerator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from fastapi import HTTPException
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from torch import Tensor

from ood_toolkit.detectors.inputs import as_matrix
from ood_toolkit.errors import OodkitError
from ood_toolkit.report.cells import plain
from ood_toolkit.store.foreign.objects import json_kind

__all__ = ["SMALL", "Payload", "Pictures", "Vectors", "read_form", "read_json"]

KEYS = ("image", "images", "embeddings", "logits")
SMALL = 1 << 16
"""Bytes of a body that are taken apart at once; a larger one is counted before, and taken apart in a thread."""
TOLD = 80
"""Characters of what a client sent that are said back to it."""
NAME = 255
"""Characters of a file's name."""


@dataclass(frozen=True)
class Pictures:
    """Pictures as the bytes of their files, each with its name, "" where it has none."""

    named: tuple[tuple[str, bytes], ...]

    def __len__(self) -> int:
        return len(self.named)


@dataclass(frozen=True)
class Vectors:
    """Embeddings (n, d), or logits (n, k)."""

    matrix: Tensor
    is_features: bool

    def __len__(self) -> int:
        return len(self.matrix)


Payload = Pictures | Vectors


def read_json(body: bytes, most: int, widest: int) -> Payload:
    """Read a JSON body of at most so many rows of so many numbers; 400 for no JSON, 422 for what is not as asked."""
    if len(body) > SMALL:
        _check_size(body, most, widest)
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"body: expected JSON, got {_told(error)}") from None
    if not isinstance(given, dict) or len(given) != 1 or next(iter(given)) not in KEYS:
        got = f"the keys {_told(', '.join(given))}" if isinstance(given, dict) else json_kind(type(given))
        raise HTTPException(
            422,
            f"body: expected an object with one of the keys {', '.join(KEYS)}, got {got}; a request holds the data "
            "itself, no path and no URL",
        )
    ((key, value),) = given.items()
    rows = [value] if key == "image" else value
    if not isinstance(rows, list):
        raise HTTPException(422, f"{key}: expected a list, got {json_kind(type(rows))}")
    _check_count(len(rows), most)
    if key in ("image", "images"):
        return Pictures(tuple(("", _of_base64(one, key)) for one in rows))
    return _vectors(rows, key)


def _check_size(body: bytes, most: int, widest: int) -> None:
    """Refuse what would become many more objects than the largest request that can be answered: they take much memory.

    A body that is as asked has one list a row, one around them, and no object inside.
    """
    _check_count(body.count(b"[") - 1, most)
    if body.count(b",") > most * widest:
        raise HTTPException(413, f"body: expected at most {most:,} rows of {widest:,} numbers, got more")
    if body.count(b"{") > 1:
        raise HTTPException(422, "body: expected one object, got several")


def _of_base64(text: Any, key: str) -> bytes:
    if not isinstance(text, str):
        raise HTTPException(422, f"{key}: expected the bytes of a picture file in base64, got {json_kind(type(text))}")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (ValueError, binascii.Error):
        hint = "; send what stands after the comma" if text[:5] == "data:" else "; a path or URL is not opened"
        raise HTTPException(422, f"{key}: expected base64, got {_told(text)!r}{hint}") from None


def _vectors(rows: list[Any], key: str) -> Vectors:
    if not all(isinstance(row, list) for row in rows):
        kind = next(json_kind(type(row)) for row in rows if not isinstance(row, list))
        raise HTTPException(422, f"{key}: expected a list of rows, each a list of numbers, got {kind} as a row")
    try:
        return Vectors(as_matrix(rows, key), key == "embeddings")
    except (OodkitError, OverflowError) as error:
        raise HTTPException(422, _told(error, 2 * TOLD)) from None


class _InMemory(MultiPartParser):
    """Keeps the files of a form in memory: the body is limited, and no disk is needed."""

    spool_max_size = 0
    whole = False

    def on_end(self) -> None:
        self.whole = True

    def close(self) -> None:
        """Let go of files, also of one that did not come whole."""
        for file in self._files_to_close_on_error:
            file.close()


async def read_form(body: bytes, content_type: str, most: int) -> Pictures:
    """Read the files of a multipart form; 400 for a form that is damaged, 422 for one without files."""

    async def once() -> AsyncGenerator[bytes, None]:
        yield body

    headers = Headers({"content-type": content_type})
    parser = _InMemory(headers, once(), max_files=most, max_fields=len(KEYS), max_part_size=TOLD)
    with closing(parser):
        try:
            form = await parser.parse()
        except MultiPartException as error:
            if error.message.startswith("Too many files"):
                _check_count(most + 1, most)
            raise HTTPException(400, f"body: expected a form with files, got: {_told(error.message)}") from None
        if not parser.whole:
            raise HTTPException(400, "body: expected a form with files, got one without its end")
        files = [_file(field, value) for field, value in form.multi_items()]
        named = tuple([((one.filename or "")[:NAME], await one.read()) for one in files])
    if not named:
        raise HTTPException(422, "body: expected at least one file in the form, got none")
    return Pictures(named)


def _file(field: str, value: UploadFile | str) -> UploadFile:
    if not isinstance(value, UploadFile):
        raise HTTPException(422, f"{_told(field)}: expected a file, got text; a path or URL is not opened")
    return value


def _check_count(count: int, most: int) -> None:
    if count > most:
        raise HTTPException(413, f"body: expected at most {most:,} rows in a request, got more; send them in parts")


def _told(what: object, most: int = TOLD) -> str:
    """Say back what a client sent, as one line that is not long."""
    text = plain(" ".join(str(what)[: 4 * most].split()))
    return text if len(text) <= most else f"{text[: most - 3]}..."
