"""What a server answers: its forms as OpenAPI describes them, and rows as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fastapi import Response
from pydantic import BaseModel, Field

from ood_toolkit.detectors.serving.batcher import Row
from ood_toolkit.detectors.writing import line_of
from ood_toolkit.report.cells import json_text

__all__ = ["Answer", "Failure", "Health", "answer", "body_forms", "failures", "json_answer", "refusal"]


class OneDecision(BaseModel):
    """What the detector says of one image."""

    id: str = Field(description="Name of the uploaded file, or the number of the row in the request.")
    prediction: str = Field(description="Name of the predicted class; empty where there is none.")
    confidence: float | None = Field(description="Of the prediction; null where there is none.")
    score: float | None = Field(description="Higher = more in-distribution; null where the image could not be scored.")
    threshold: float | None = Field(description="What the score was compared with; null where that is infinite.")
    margin: float | None = Field(description="score - threshold.")
    accepted: bool = Field(description="true = in-distribution.")
    p_value: float | None = Field(description="Conformal p-value: small = unlike the calibration images.")
    why: str = Field(description="Why it was rejected; empty where it was accepted.")


class Answer(BaseModel):
    """Decisions, in the order of the request."""

    detector: str = Field(description="Digest of the detector's file.")
    decisions: list[OneDecision]


class Failure(BaseModel):
    """Why there is no answer, in one line."""

    error: str


class Health(BaseModel):
    """That requests are taken."""

    status: str


STATUSES = {
    400: "The body is no JSON, no whole form, or came to no end.",
    401: "The token is missing or another.",
    408: "The answer, or the request's body, took longer than the limit.",
    413: "The body, or the number of rows, is over the limit.",
    415: "The content type is none of those taken, or the body is compressed.",
    422: "The one image of the request cannot be scored, or the data has not the form that the detector takes.",
    429: "Too many requests are waiting; try again after the seconds that Retry-After says.",
}
PICTURE = {"type": "string", "description": "The bytes of a picture file in base64."}
NUMBERS = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
JSON = {
    "oneOf": [
        {"type": "object", "required": [key], "properties": {key: form}, "additionalProperties": False}
        for key, form in (
            ("image", PICTURE),
            ("images", {"type": "array", "items": PICTURE}),
            ("embeddings", {**NUMBERS, "description": "Rows (n, d) of the model's image embeddings."}),
            ("logits", {**NUMBERS, "description": "Rows (n, k), for a detector that was fitted on logits."}),
        )
    ]
}
FILES = {
    "type": "object",
    "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}},
    "description": "One or more picture files; the names of the fields are free.",
}
RAW = {"type": "string", "format": "binary", "description": "The bytes of one picture file."}


def body_forms() -> dict[str, Any]:
    """Describe the forms of a request to OpenAPI."""
    forms = {"multipart/form-data": FILES, "application/json": JSON, "image/*": RAW, "application/octet-stream": RAW}
    return {"requestBody": {"required": True, "content": {name: {"schema": form} for name, form in forms.items()}}}


def failures() -> dict[int | str, dict[str, Any]]:
    """Describe the statuses of refused requests to OpenAPI."""
    return {status: {"model": Failure, "description": what} for status, what in STATUSES.items()}


def answer(digest: str, rows: Sequence[Row]) -> Response:
    """Give decisions as JSON; numbers that are not finite are null."""
    lines = ",".join(map(line_of, rows))
    return Response(f'{{"detector":"{digest}","decisions":[{lines}]}}', media_type="application/json")


def json_answer(value: Any) -> Response:
    """Give plain values as JSON."""
    return Response(json_text(value), media_type="application/json")


def refusal(status: int, said: object, headers: dict[str, str] | None = None) -> Response:
    """Say in one line why there is no answer."""
    return Response(json.dumps({"error": str(said)}), status, headers, media_type="application/json")
