"""Each limit is kept, and says so with its status."""

import asyncio
import io
import json
import struct
import threading
import zlib

import pytest
from PIL import Image

from ood_toolkit.detectors.serving import body as body_module
from ood_toolkit.detectors.serving.decider import FORMATS
from ood_toolkit.detectors.serving.limits import Limits
from ood_toolkit.errors import UsageError

pytestmark = pytest.mark.quick

PNG = {"Content-Type": "image/png"}


def bomb(width, height):
    """A PNG of some bytes that claims many pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def encoded(size, form, **how):
    out = io.BytesIO()
    Image.new("RGB", size, "red").save(out, form, **how)
    return out.getvalue()


def empty_of(client):
    """Check that nothing is held after a refusal."""
    admission = client.service.admission
    assert (admission.inside, admission.held, admission.accepted) == (0, 0, admission.answered)


def test_a_body_may_not_be_larger_than_the_limit(served, pngs):
    with served(upload=1000) as client:
        assert client.post("/predict", content=pngs[0], headers=PNG).status_code == 200
        found = client.post("/predict", content=b"x" * 1001, headers=PNG)
        assert (found.status_code, found.json()["error"]) == (413, "body: expected at most 1,000 bytes, got 1001")
        found = client.post("/predict", content=b"x", headers=PNG | {"Content-Length": "9" * 5000})
        assert found.status_code == 413
        # Where the length is not said before, it is counted, and what comes after is dropped.
        sent = []

        def endless():
            for _ in range(200):
                sent.append(1)
                yield b"x" * 100

        found = client.post("/predict", content=endless(), headers=PNG)
        assert (found.status_code, found.json()["error"]) == (413, "body: expected at most 1,000 bytes, got more")
        empty_of(client)
        assert client.post("/predict", content=pngs[0], headers=PNG).status_code == 200


def test_pixels_are_counted_before_anything_is_decoded(served, gate, monkeypatch):
    prepared = []
    whole = type(gate).prepare
    monkeypatch.setattr(type(gate), "prepare", lambda self, item: prepared.append(1) or whole(self, item))
    with served(pixels=10_000) as client:
        assert client.post("/predict", content=encoded((100, 100), "PNG"), headers=PNG).status_code == 200
        assert len(prepared) == 1
        for content in (encoded((101, 100), "PNG"), bomb(30_000, 30_000), bomb(2**31 - 1, 2**31 - 1)):
            found = client.post("/predict", content=content, headers=PNG)
            assert found.status_code == 422
            assert "pixels" in found.json()["error"]
        found = client.post("/predict", files=[("f", bomb(5000, 5000)), ("f", encoded((9, 9), "PNG"))])
        first, second = found.json()["decisions"]
        assert (first["accepted"], first["score"], second["score"] is None) == (False, None, False)
        assert first["why"].startswith("not a readable picture: expected at most 10,000 pixels, got 5,000 x 5,000")
        assert len(prepared) == 2


def test_a_tile_of_a_small_tiff_counts_as_it_is_decoded(served):
    data = zlib.compress(bytes(256))
    tags = [(256, 16), (257, 16), (258, 8), (259, 8), (262, 1), (277, 1), (322, 60000), (323, 60000), (324, 200),
            (325, len(data))]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    content = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    content = content.ljust(200, b"\0") + data
    assert Image.open(io.BytesIO(content)).size == (16, 16)
    with served() as client:
        found = client.post("/predict", content=content, headers=PNG)
        assert (found.status_code, "60,000 x 60,000" in found.json()["error"]) == (422, True)


@pytest.mark.parametrize("form", sorted({*FORMATS, "ICO", "TGA", "PCX", "SGI", "ICNS"} - {"MPO"}))
def test_formats(form, client):
    try:
        content = encoded((64, 64), form)
    except (KeyError, OSError, ValueError):
        pytest.skip(f"this Pillow writes no {form}")
    found = client.post("/predict", content=content, headers=PNG)
    assert found.status_code == (200 if form in FORMATS else 422), found.text
    if form not in FORMATS:
        assert "send one of AVIF, BMP" in found.json()["error"]


def test_rows_are_counted(served, pngs, in_base64, digits):
    x = digits[0].features[:4].tolist()
    with served(rows=3) as client:
        for key, rows in (("images", [in_base64(pngs[0])] * 4), ("embeddings", x), ("logits", [[0] * 10] * 4)):
            found = client.post("/predict", json={key: rows})
            assert (found.status_code, "expected at most 3 rows" in found.json()["error"]) == (413, True), found.text
            if key != "logits":
                assert len(client.post("/predict", json={key: rows[:3]}).json()["decisions"]) == 3
        found = client.post("/predict", files=[("f", pngs[0])] * 4)
        assert (found.status_code, "expected at most 3 rows" in found.json()["error"]) == (413, True), found.text


def test_json_that_would_become_many_objects_is_refused_before(served, digits, monkeypatch):
    x = [round(value, 3) for value in digits[0].features[0].tolist()]
    json_type, whole, read = {"Content-Type": "application/json"}, json.loads, []
    monkeypatch.setattr(json, "loads", lambda body: read.append(len(body)) or whole(body))
    many = 30_000
    bodies = {
        '{"embeddings": [' + "[]," * many + "[]]}": (413, "at most 500 rows"),
        '{"images": [' + '"",' * many * 2 + '""]}': (413, "at most 500 rows of 64 numbers"),
        '{"embeddings": [[' + "1.5," * many + "1]]}": (422, "expected rows of 64 numbers, got 30,001"),
        '{"embeddings": [[' + "1.5," * many * 2 + "1]]}": (413, "at most 500 rows of 64 numbers"),
        '{"embeddings": [' + "{}," * many + "1]}": (422, "one object"),
    }
    with served(rows=500) as client:
        for body, (status, said) in bodies.items():
            found = client.post("/predict", content=body, headers=json_type)
            assert (found.status_code, said in found.json()["error"]) == (status, True), found.text
        assert [size for size in read if size > 1 << 16] == [120_021]
        large = client.post("/predict", json={"embeddings": [x] * 500})
        assert len(large.json()["decisions"]) == 500
        assert read[-1] > 1 << 16
        empty_of(client)


def test_large_bodies_of_every_form_are_read(served, pngs, in_base64):
    many = pngs * 2
    with served() as client:
        form = client.post("/predict", files=[("f", (str(row), one)) for row, one in enumerate(many)])
        text = client.post("/predict", json={"images": [in_base64(one + bytes(100)) for one in many]})
        assert int(form.request.headers["Content-Length"]) > 1 << 16
        assert int(text.request.headers["Content-Length"]) > 1 << 16
        scores = [[row["score"] for row in found.json()["decisions"]] for found in (form, text)]
        assert scores[0] == pytest.approx(scores[1], rel=1e-5)
        assert scores[0] == pytest.approx(scores[0][:200] * 2, rel=1e-5)
        torn = client.post(
            "/predict",
            content=form.request.content[:-50],
            headers=dict(form.request.headers) | {"Content-Length": str(len(form.request.content) - 50)},
        )
        assert torn.status_code == 400
        empty_of(client)


def test_many_pictures_of_one_request_are_ready_for_the_network_a_few_at_a_time(served, gate, pngs):
    with served() as client:
        found = client.post("/predict", files=[("f", (str(row), pngs[row])) for row in range(50)])
        assert [one["id"] for one in found.json()["decisions"]] == [str(row) for row in range(50)]
    assert max(gate.sizes) <= 8
    assert sum(gate.sizes) == 50


def test_requests_take_no_threads_of_their_own(client, pngs, digits):
    before = {thread.name for thread in threading.enumerate()}
    for _ in range(20):
        assert client.post("/predict", content=pngs[0], headers=PNG).status_code == 200
        assert client.post("/predict", json={"embeddings": digits[0].features[:2].tolist()}).status_code == 200
        assert client.post("/predict", content=b"", headers=PNG).status_code == 422
        assert client.get("/metrics").status_code == 200
    started = {thread.name for thread in threading.enumerate()} - before
    assert {name.rstrip("0123456789") for name in started} <= {"gate_", "pictures_", "vectors_"}


def test_what_takes_too_long_is_a_408(served, gate, pngs, asking):
    with served(seconds=0.2) as client:
        gate.free.clear()
        first, second = asking(lambda one: client.post("/predict", content=one, headers=PNG), *pngs[:2]).answers()
        for found in (first, second):
            assert (found.status_code, "longer than 0.2 seconds" in found.json()["error"]) == (408, True)
        empty_of(client)
        gate.free.set()
        sizes = len(gate.sizes)
        found = client.post("/predict", content=pngs[2], headers=PNG)
        assert found.status_code in (200, 408)
        assert client.post("/predict", content=pngs[2], headers=PNG).status_code == 200
        assert sum(gate.sizes[sizes:]) <= 2, "who no longer waits is not decided on"


def asked(client, messages, headers=()):
    """Ask with a body in parts, the last of which may never come; give status, connection and how much was read."""

    async def ask():
        sent, waiting = [], list(messages)

        async def receive():
            if not waiting:
                await asyncio.sleep(60)
            return waiting.pop(0)

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/predict", "raw_path": b"/predict", "query_string": b"",
                 "headers": [(b"content-type", b"image/png"), *headers], "scheme": "http"}  # fmt: skip
        await client.service.app(scope, receive, send)
        return sent[0]["status"], dict(sent[0]["headers"]).get(b"connection"), len(messages) - len(waiting)

    return client.portal.call(ask)


PART = {"type": "http.request", "body": b"x" * 100, "more_body": True}
LAST = {"type": "http.request", "body": b"", "more_body": False}


def test_a_body_that_comes_too_slowly_is_a_408_and_one_that_breaks_off_a_400(served):
    with served(seconds=0.1) as client:
        assert asked(client, [PART]) == (408, b"close", 1)
        assert asked(client, [PART, {"type": "http.disconnect"}]) == (400, b"close", 2)
        empty_of(client)


def test_a_full_queue_is_a_429_and_says_when_to_come_again(served, gate, pngs, asking):
    with served(queue=3) as client:
        gate.free.clear()
        waiting = asking(lambda one: client.post("/predict", content=one, headers=PNG), *pngs[:3])
        while client.service.admission.inside < 3:
            gate.began.wait(0.01)
        found = client.post("/predict", content=pngs[3], headers=PNG)
        assert (found.status_code, found.headers["Retry-After"]) == (429, "1")
        assert found.json()["error"] == "busy: 3 requests are waiting; try again soon"
        assert "oodkit_queue_length 3.0" in client.get("/metrics").text
        assert client.get("/health").status_code == 200
        gate.free.set()
        assert [one.status_code for one in waiting.answers()] == [200, 200, 200]
        empty_of(client)
        assert client.post("/predict", content=pngs[3], headers=PNG).status_code == 200


def test_bodies_together_may_not_hold_more_than_eight_of_the_largest(served, gate, pngs, asking):
    fat = pngs[0] + b"x" * (900 - len(pngs[0]))
    with served(upload=1000) as client:
        gate.free.clear()
        waiting = asking(lambda one: client.post("/predict", content=one, headers=PNG), *[fat] * 8)
        while client.service.admission.held < 8 * 900:
            gate.began.wait(0.01)
        found = client.post("/predict", content=fat, headers=PNG)
        assert (found.status_code, "bytes of requests are held" in found.json()["error"]) == (429, True)
        gate.free.set()
        assert [one.status_code for one in waiting.answers()] == [200] * 8
        empty_of(client)


def test_a_refused_client_is_read_to_its_end_only_for_a_while(served, monkeypatch):
    monkeypatch.setattr(body_module, "DROPPED", 5000)
    monkeypatch.setattr(body_module, "LINGER", 0.1)
    with served(upload=1000) as client:
        assert asked(client, [PART] * 40 + [LAST]) == (413, None, 41)
        assert asked(client, [PART] * 400 + [LAST]) == (413, b"close", 11 + 51)
        assert asked(client, [PART] * 40) == (413, b"close", 40)
        assert asked(client, [PART] * 40 + [LAST], [(b"content-length", b"4000")]) == (413, None, 41)
        waits = [(b"content-length", b"4000"), (b"expect", b"100-continue")]
        assert asked(client, [PART] * 40 + [LAST], waits) == (413, b"close", 0)
        empty_of(client)


@pytest.mark.parametrize("name", ["upload", "pixels", "rows", "seconds", "queue"])
def test_limits_are_above_zero(name):
    with pytest.raises(UsageError, match=f"{name}: expected more than 0, got 0"):
        Limits(**{name: 0})
