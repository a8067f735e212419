"""The web application: its four questions, and what of everything else is refused in one line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException as AnyHTTPException

from ood_toolkit import __version__
from ood_toolkit.detectors.detector import Detector
from ood_toolkit.detectors.gate import Gate
from ood_toolkit.detectors.serving import answers
from ood_toolkit.detectors.serving.admission import Admission, Place
from ood_toolkit.detectors.serving.batcher import Batcher
from ood_toolkit.detectors.serving.body import Body
from ood_toolkit.detectors.serving.decider import Decider, Observer
from ood_toolkit.detectors.serving.drift import drift_of
from ood_toolkit.detectors.serving.limits import Limits
from ood_toolkit.detectors.serving.metrics import Metrics
from ood_toolkit.detectors.serving.page import POLICY, page
from ood_toolkit.detectors.serving.payload import SMALL, Payload, Pictures, read_form, read_json
from ood_toolkit.detectors.serving.token import Guarded
from ood_toolkit.detectors.summary import facts
from ood_toolkit.report.cells import plain

__all__ = ["Service"]

LATE = 408
FORMS = "multipart/form-data, application/json, image/* or application/octet-stream"
WHAT = "Tells which images a classifier should not be trusted on: a prediction, a score, and accepted or not."


class Service:
    """A detector as a web application: `app` is the ASGI application, `admission` counts its requests."""

    def __init__(
        self,
        detector: Detector,
        gate: Gate | None,
        limits: Limits,
        *,
        token: str | None = None,
        batch: int = 32,
        observer: Observer | None = None,
    ) -> None:
        """Take what decides, and who else sees decisions; without a gate pictures are refused."""
        self.detector, self.limits = detector, limits
        self.admission, self.metrics = Admission(limits), Metrics(detector)
        seen = (drift_of(detector, self.metrics), observer)
        self.decider = Decider(
            detector, gate, limits, self.metrics, batch=batch, observers=[one for one in seen if one is not None]
        )
        self.metrics.gauge("queue_length", "Requests accepted and not answered yet.", lambda: self.admission.inside)
        self.metrics.gauge("queue_bytes", "Bytes of their bodies.", lambda: self.admission.held)
        for lane in (self.decider.pictures, self.decider.vectors):
            self.metrics.gauge(f"waiting_{lane.name}", f"Rows that wait for the thread of {lane.name}.", _waiting(lane))
        self.digest = detector.digest
        self.app = self._made(token)

    @asynccontextmanager
    async def _life(self, app: FastAPI) -> AsyncIterator[None]:
        with ThreadPoolExecutor(1, thread_name_prefix="reader") as self.reader:
            async with self.decider:
                yield

    def _made(self, token: str | None) -> FastAPI:
        app = FastAPI(
            title="oodkit serve", version=__version__, description=WHAT, docs_url=None, redoc_url=None,
            openapi_url=None, lifespan=self._life, redirect_slashes=False,
        )  # fmt: skip
        app.post(
            "/predict", summary="Decide on pictures or vectors.", openapi_extra=answers.body_forms(),
            responses={200: {"model": answers.Answer}, **answers.failures()},
        )(self.predict)  # fmt: skip
        app.get("/health", response_model=answers.Health)(self.health)
        app.get("/info")(self.info)
        app.get("/metrics")(self.tell)
        app.get("/openapi.json", include_in_schema=False)(self.describe)
        app.get("/docs", include_in_schema=False)(self.docs)
        app.exception_handler(AnyHTTPException)(_refused)
        app.exception_handler(Exception)(_failed)
        if token is not None:
            app.add_middleware(Guarded, token=token)
        self.secret = token is not None
        return app

    @property
    def schema(self) -> dict[str, Any]:
        """The OpenAPI description."""
        made = self.app.openapi()
        if self.secret:
            made.setdefault("components", {})["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            made["security"] = [{"token": []}]
        return made

    async def predict(self, request: Request) -> Response:
        """Decide on each picture or vector of the request.

        The body is a form with files, one picture file as it is, or JSON with one key: `image` or `images` (base64),
        `embeddings` or `logits` (rows of numbers). It holds the data itself, no path and no URL.

        A request with one image that cannot be read or scored is refused with 422; of several, that row is rejected
        with the reason.
        """
        start, status = time.perf_counter(), 500
        body = Body(request)
        try:
            try:
                with self.admission.entered() as place:
                    response = await self._decided(body, place)
                    response.background = BackgroundTask(self._left)
            except HTTPException as busy:
                response = await _dropped(body, busy)
            status = response.status_code
        finally:
            self.metrics.answered(status, time.perf_counter() - start)
        return response

    async def _left(self) -> None:
        """Count an answer that was sent; as a coroutine, for which no thread is taken."""
        self.admission.leave()

    async def _decided(self, body: Body, place: Place) -> Response:
        """Answer a request that was let in, or refuse it."""
        try:
            async with asyncio.timeout(self.limits.seconds):
                payload = await self._payload(body, place)
                rows = await self.decider.decide(payload)
        except TimeoutError:
            said = f"the request took longer than {self.limits.seconds:g} seconds; ask for fewer rows, or later"
            return await _dropped(body, HTTPException(LATE, said))
        except HTTPException as error:
            return await _dropped(body, error)
        if len(rows) == 1 and rows[0]["score"] is None:
            return answers.refusal(422, rows[0]["why"])
        return answers.answer(self.digest, rows)

    async def _payload(self, body: Body, place: Place) -> Payload:
        """Read what a request asks, in the form that its content type says."""
        given = body.request.headers.get("content-type", "")
        kind, most = given.partition(";")[0].strip().lower(), self.limits.rows
        is_form, is_json = kind == "multipart/form-data", kind == "application/json"
        if not (is_form or is_json or kind.startswith("image/") or kind == "application/octet-stream"):
            raise HTTPException(415, f"Content-Type: expected {FORMS}, got {plain(kind)[:80] or 'none'}")
        content = await body.read(place, self.limits.upload)
        if not (is_form or is_json):
            return Pictures((("", content),))
        if is_form and len(content) <= SMALL:
            return await read_form(content, given, most)
        widest = max(self.detector.features_width or 0, self.detector.classes)
        if len(content) <= SMALL:
            return read_json(content, most, widest)
        loop = asyncio.get_running_loop()
        if is_form:
            return await loop.run_in_executor(self.reader, lambda: asyncio.run(read_form(content, given, most)))
        return await loop.run_in_executor(self.reader, read_json, content, most, widest)

    async def health(self) -> answers.Health:
        """Say that requests are taken."""
        return answers.Health(status="ok")

    async def info(self) -> Response:
        """Describe the detector: its thresholds, its calibration and guarantee, its encoder; and the limits here."""
        about = {
            **facts(self.detector), "takes_pictures": self.decider.gate is not None,
            "takes_embeddings_of_width": self.detector.features_width, "limits": asdict(self.limits),
            "version": __version__,
        }  # fmt: skip
        return answers.json_answer(about)

    async def tell(self) -> Response:
        """Give counts for Prometheus: requests, rows, scores, seconds, the queue, and evidence of drift."""
        return Response(self.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    async def docs(self) -> HTMLResponse:
        """Show what is taken and given."""
        return HTMLResponse(page(self.schema), headers={"Content-Security-Policy": POLICY})

    async def describe(self) -> Response:
        """Give the OpenAPI description."""
        return answers.json_answer(self.schema)


async def _dropped(body: Body, error: HTTPException) -> Response:
    """Refuse a request, after what its client still sends was taken away."""
    whole = error.status_code != LATE and await body.drop()
    headers = {**(error.headers or {}), **({} if whole or body.whole else {"Connection": "close"})}
    return answers.refusal(error.status_code, error.detail, headers)


async def _refused(request: Request, error: Exception) -> Response:
    """Answer for a path or a method that is not there."""
    assert isinstance(error, AnyHTTPException)
    return answers.refusal(error.status_code, error.detail, dict(error.headers or {}))


async def _failed(request: Request, error: Exception) -> Response:
    """Answer for what should not happen; its traceback goes to the server's log alone."""
    return answers.refusal(500, "this server could not decide; its log says why")


def _waiting(lane: Batcher[Any]) -> Callable[[], float]:
    return lambda: lane.rows
