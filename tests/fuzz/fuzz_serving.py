"""Damaged requests to `oodkit serve`: none may end in a 5xx, in a traceback or in silence.

`python tests/fuzz/fuzz_serving.py --requests 10000` sends them over the loopback to a server in this process and counts
statuses; the suite sends some hundred to the application itself.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuzz_mutation import INSIDE, NASTY, mutated, of_bytes

CORPUS = Path(__file__).parent / "corpus"
KINDS = ("multipart/form-data; boundary=edge", "application/json", "image/png", "application/octet-stream")
ODD_KINDS = ("", "text/plain", "multipart/form-data", 'multipart/form-data; boundary="',
             "multipart/form-data; boundary=" + "x" * 5000, "application/json; charset=utf-16", "image/",
             "APPLICATION/JSON", "image/svg+xml", "multipart/form-data; boundary=edge; charset=none",
             "\x00", "é")  # fmt: skip
PATHS = ("/predict?path=/etc/passwd", "/predict/", "//predict", "/%2e%2e/predict", "/health", "/info", "/metrics",
         "/docs", "/openapi.json", "/", "/predict%00", "/pr\u00e9dict")  # fmt: skip
METHODS = ("GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "PO ST", "X" * 300)
HEADERS = ((b"content-encoding", b"gzip"), (b"content-length", b"-1"), (b"content-length", b"99999999999"),
           (b"content-length", "٣".encode()), (b"expect", b"100-continue"), (b"transfer-encoding", b"chunked"),
           (b"authorization", b"Bearer \xff\xfe"), (b"range", b"bytes=0-1"), (b"upgrade", b"websocket"),
           (b"x-forwarded-for", b"\x00" * 10), (b"host", b"a b"), (b"content-type", b"image/png"))  # fmt: skip


@dataclass
class Damaged:
    """One request."""

    method: str
    path: str
    headers: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def raw(self) -> bytes:
        """What is sent over a socket."""
        lines = [f"{self.method} {self.path} HTTP/1.1".encode(), b"host: fuzz"]
        lines += [name + b": " + value for name, value in self.headers]
        if b"content-length" not in dict(self.headers):
            lines.append(b"content-length: %d" % len(self.body))
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body


def pictures() -> list[tuple[str, bytes]]:
    """Give small pictures, each with the kind by which it is damaged."""
    from PIL import Image

    drawn = Image.frombytes("RGB", (16, 16), bytes(range(256)) * 3)
    found = []
    for form in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO"):
        out = io.BytesIO()
        drawn.save(out, form)
        found.append((form.lower(), out.getvalue()))
    return found + [(path.suffix[1:], path.read_bytes()) for path in sorted(CORPUS.glob("deep.*"))]


def damaged(draw: random.Random, seeds: list[tuple[str, bytes]], width: int) -> Damaged:
    """Make a request of a sound one: its data, its form, its headers or its path are damaged, or several."""
    kind = draw.choice(KINDS)
    parts = [_picture(draw, seeds) for _ in range(draw.choice((1, 1, 2, 5)))]
    if kind.startswith("multipart"):
        body = b"".join(
            b'--edge\r\nContent-Disposition: form-data; name="f"; filename="%d.png"\r\n\r\n%s\r\n' % (place, one)
            for place, one in enumerate(parts)
        )
        body += b"--edge--\r\n"
    elif kind == "application/json":
        body = json.dumps(_json(draw, parts, width)).encode()
    else:
        body = parts[0]
    if draw.random() < 0.4:
        others = [content for _, content in seeds]
        for _ in range(draw.choice((1, 2, 6))):
            body = of_bytes(body, draw, others)
    headers = [(b"content-type", draw.choice(ODD_KINDS if draw.random() < 0.1 else (kind,)).encode())]
    if draw.random() < 0.1:
        headers.append(draw.choice(HEADERS))
    path = draw.choice(PATHS) if draw.random() < 0.05 else "/predict"
    return Damaged(draw.choice(METHODS) if draw.random() < 0.05 else "POST", path, headers, body)


def _picture(draw: random.Random, seeds: list[tuple[str, bytes]]) -> bytes:
    kind, content = draw.choice(seeds)
    if draw.random() < 0.3:
        return content
    return mutated(content, kind if kind in INSIDE else "", draw, [other for _, other in seeds])


def _json(draw: random.Random, parts: list[bytes], width: int) -> Any:
    texts = [base64.b64encode(one).decode() for one in parts]
    rows = [[draw.gauss(0, 1) for _ in range(width)] for _ in parts]
    body: Any = draw.choice(({"image": texts[0]}, {"images": texts}, {"embeddings": rows}, {"logits": rows}))
    (key,) = body
    while draw.random() < 0.5:
        place: Any = body[key] if isinstance(body, dict) and isinstance(body.get(key), list) else None
        way = draw.randrange(5)
        if way == 0 and place:
            place[draw.randrange(len(place))] = draw.choice(NASTY)
        elif way == 1 and place and isinstance(place[0], list) and place[0]:
            place[0][draw.randrange(len(place[0]))] = draw.choice(NASTY)
        elif way == 2 and isinstance(body, dict):
            body[key] = draw.choice(NASTY)
        elif way == 3 and isinstance(body, dict):
            body[draw.choice(("url", "path", "images", "", "\ud800", "__proto__"))] = draw.choice(NASTY)
        elif way == 4 and draw.random() < 0.2:
            body = draw.choice(NASTY)
    return body


def fault(status: int, kind: str, body: bytes) -> str:
    """Say what is wrong with an answer; "" where nothing is."""
    if not 200 <= status < 500:
        return f"status {status}"
    if b"Traceback" in body or b'File "' in body:
        return "a traceback"
    if not kind.startswith("application/json"):
        return ""
    try:
        found = json.loads(body)
    except ValueError:
        return "no JSON"
    said = found.get("error", "") if isinstance(found, dict) else None
    sound = status < 400 or (isinstance(said, str) and said and "\n" not in said)
    return "" if sound else "an error that is not one line"


async def ask_app(app: Any, one: Damaged) -> tuple[int, str, bytes]:
    """Send a request to an ASGI application: status, content type and body of the answer."""
    sent: list[dict[str, Any]] = []
    waiting = [{"type": "http.request", "body": one.body, "more_body": False}, {"type": "http.disconnect"}]

    async def receive() -> dict[str, Any]:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    path, _, query = one.path.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": one.method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": one.headers, "server": ("fuzz", 80), "client": ("fuzz", 1),
    }  # fmt: skip
    await app(scope, receive, send)
    kind = dict(sent[0]["headers"]).get(b"content-type", b"").decode()
    return sent[0]["status"], kind, b"".join(message.get("body", b"") for message in sent[1:])


async def ask_socket(port: int, one: Damaged) -> tuple[int, str, bytes]:
    """Send a request over a socket; status 0 where the connection is closed without an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(one.raw)
        head = await reader.readuntil(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 100"):
            head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        size = int(fields.get(b"content-length", b"-1"))
        body = b"" if one.method == "HEAD" else await (reader.readexactly(size) if size >= 0 else reader.read())
        kind = "" if one.method == "HEAD" else fields.get(b"content-type", b"").decode()
        return int(head.split(b" ", 2)[1]), kind, body
    except (asyncio.IncompleteReadError, ConnectionError):
        return 0, "", b""
    finally:
        writer.close()


def served() -> Any:
    """Make a digits detector and the service that decides with it."""
    import numpy as np
    import torch

    from ood_toolkit import Detector, Gate, Head, Outputs, find_model, get_registry
    from ood_toolkit.detectors.serving.app import Service
    from ood_toolkit.detectors.serving.limits import Limits

    model = find_model("digits-clip", get_registry()).load()
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    head = Head.zero_shot(model.encode_texts([f"a photo of a {name}" for name in names]), names, model.scale)
    x = Outputs(torch.from_numpy(np.random.default_rng(0).normal(size=(200, head.width)).astype("float32")), head=head)
    detector = Detector.fit("msp", x, rule="conformal:target=0.9")
    limits = Limits(upload=1 << 20, pixels=1_000_000, rows=100, seconds=2, queue=64)
    return Service(detector, Gate(model, detector, workers=2), limits)


async def _many(port: int, count: int, seed: int, width: int) -> tuple[Counter[int], list[str]]:
    statuses: Counter[int] = Counter()
    faults: list[str] = []
    seeds, numbers = pictures(), iter(range(count))

    async def work() -> None:
        for number in numbers:
            draw = random.Random(f"{seed} {number}")
            one = damaged(draw, seeds, width)
            async with asyncio.timeout(60):
                status, kind, body = await ask_socket(port, one)
            statuses[status] += 1
            why = "no answer" if status == 0 else fault(status, kind, body)
            if why:
                faults.append(f"{number}: {why}: {one.raw[:300]!r}")

    await asyncio.gather(*(work() for _ in range(16)))
    return statuses, faults


def main() -> int:
    """Send as many as asked, and say what came back."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    import uvicorn

    from ood_toolkit.detectors.serving.server import bound, configured

    service = served()
    with bound("127.0.0.1", 0) as taken:
        server = uvicorn.Server(configured(service.app, 2))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        start = time.monotonic()
        width = service.detector.features_width
        statuses, faults = asyncio.run(_many(taken.getsockname()[1], arguments.requests, arguments.seed, width))
        seconds = time.monotonic() - start
        server.should_exit = True
        thread.join()
    admission = service.admission
    print(f"{sum(statuses.values()):,} requests in {seconds:.0f} s")
    print(f"{admission.accepted:,} were accepted, {admission.answered:,} of them answered")
    print(", ".join(f"{status or 'closed'}: {n:,}" for status, n in sorted(statuses.items())))
    print(f"5xx: {sum(n for status, n in statuses.items() if status >= 500)}, other faults: {len(faults)}")
    for line in faults[:20]:
        print(line, file=sys.stderr)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
