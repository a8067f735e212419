"""Every form of a request gets the decisions of `Gate` and `Detector`, and what is none is refused in one line."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from ood_toolkit import Detector, Outputs
from ood_toolkit.detectors.decisions import COLUMNS

pytestmark = pytest.mark.quick


def close(response, wanted, detector):
    """Check an answer against decisions."""
    assert response.status_code == 200, response.text
    found = response.json()
    assert found["detector"] == detector.digest
    rows = wanted.to_dicts()
    assert len(found["decisions"]) == len(rows)
    for one, other in zip(found["decisions"], rows, strict=True):
        assert tuple(one) == COLUMNS
        for name in COLUMNS:
            if isinstance(other[name], float):
                near = 0.01 if name == "p_value" else 1e-6  # of an image of the calibration: it ties with itself
                assert one[name] == pytest.approx(other[name], rel=1e-5, abs=near), name
            elif name != "id":
                assert one[name] == other[name], name


def files(*contents):
    return [("file", (f"photo {row}.png", content)) for row, content in enumerate(contents)]


def test_pictures_in_every_form_are_decided_as_the_gate_does(client, gate, pngs, in_base64):
    wanted = gate.decide(pngs[:20])
    found = client.post("/predict", files=files(*pngs[:20]))
    close(found, wanted, gate.detector)
    assert [one["id"] for one in found.json()["decisions"]][:2] == ["photo 0.png", "photo 1.png"]
    found = client.post("/predict", json={"images": [in_base64(one) for one in pngs[:20]]})
    close(found, wanted, gate.detector)
    assert [one["id"] for one in found.json()["decisions"]] == [str(row) for row in range(20)]
    one = gate.decide(pngs[3])
    close(client.post("/predict", files=files(pngs[3])), one, gate.detector)
    wrapped = "\n".join(in_base64(pngs[3])[at : at + 76] for at in range(0, 2000, 76))
    close(client.post("/predict", json={"image": wrapped}), one, gate.detector)
    for kind in ("image/png", "image/jpeg; q=1", "IMAGE/x-anything", "application/octet-stream"):
        close(client.post("/predict", content=pngs[3], headers={"Content-Type": kind}), one, gate.detector)


def test_whether_images_are_accepted_depends_on_no_batch(client, detector, digits, pngs):
    wanted = detector.decide(digits[0])
    clear = abs(wanted.margin) > 1e-6
    assert clear.sum() > 190
    for size in (1, 7, 200):
        found = []
        for start in range(0, 200 if size > 1 else 20, size):
            answer = client.post("/predict", files=files(*pngs[start : start + size])).json()
            found += [row["accepted"] for row in answer["decisions"]]
        assert [a for a, sure in zip(found, clear, strict=False) if sure] == wanted.accepted[: len(found)][
            clear[: len(found)]
        ].tolist()


def test_vectors_are_decided_as_the_detector_does(client, served, detector, digits):
    x = digits[0].features[:40].double().numpy()
    wanted = detector.decide(x)
    assert 0 < wanted.accepted.sum() < 40
    close(client.post("/predict", json={"embeddings": x.tolist()}), wanted, detector)
    close(client.post("/predict", json={"embeddings": [x[0].tolist()]}), detector.decide(x[:1]), detector)
    whole = [[round(100 * value) for value in row] for row in x.tolist()]
    close(client.post("/predict", json={"embeddings": whole}), detector.decide(np.array(whole)), detector)
    logits = digits[0].logits.double().numpy()
    made = Detector.fit("energy", Outputs.from_logits(logits), rule="conformal:by=predicted:target=0.9")
    with served(using=made, pictures=False) as other:
        close(other.post("/predict", json={"logits": logits[:30].tolist()}), made.decide(logits[:30]), made)
        found = other.post("/predict", json={"embeddings": x[:2].tolist()})
        assert (found.status_code, found.json()["error"]) == (422, "embeddings: this detector takes none")


def test_real_vectors_get_the_decisions_of_the_detector(served, clip):
    x = clip["cifar10"]
    made = Detector.fit("maxlogit", x[:200], rule="conformal:by=predicted:target=0.9")
    rows = np.concatenate([x.features[300:].numpy(), clip["food101"].features[:200].numpy()]).astype(float)
    wanted = made.decide(rows)
    assert 100 < wanted.accepted.sum() < 300
    with served(using=made, pictures=False) as client:
        close(client.post("/predict", json={"embeddings": rows.tolist()}), wanted, made)
        found = [
            row["accepted"]
            for start in range(0, len(rows), 37)
            for row in client.post("/predict", json={"embeddings": rows[start : start + 37].tolist()}).json()[
                "decisions"
            ]
        ]
        clear = abs(wanted.margin) > 1e-6
        assert np.array(found)[clear].tolist() == wanted.accepted[clear].tolist()


def test_thresholds_that_accept_all_are_null(served, digits):
    made = replace(Detector.fit("msp", digits[0]), threshold=-math.inf)
    with served(using=made, pictures=False) as client:
        (row,) = client.post("/predict", json={"embeddings": digits[0].features[:1].tolist()}).json()["decisions"]
        assert (row["threshold"], row["margin"], row["accepted"]) == (None, None, True)
        assert client.get("/info").json()["threshold"] == "-inf"


def test_of_several_images_a_bad_one_is_rejected_with_the_reason_and_alone_it_is_refused(client, gate, pngs, in_base64):
    bad = [b"", b"no picture", pngs[0][:50], b"GIF89a", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"]
    wanted = gate.decide([pngs[0], *bad, pngs[1]])
    for found in (
        client.post("/predict", files=files(pngs[0], *bad, pngs[1])),
        client.post("/predict", json={"images": [in_base64(one) for one in (pngs[0], *bad, pngs[1])]}),
    ):
        rows = found.json()["decisions"]
        assert [row["accepted"] for row in rows] == wanted.accepted.tolist()
        # EPS is refused by its format already
        assert [row["why"] for row in rows][:5] == wanted.why.tolist()[:5]
        assert rows[5]["why"].startswith("not a readable picture: EPS is not taken; send one of AVIF, BMP,")
        assert [row["score"] is None for row in rows] == [False, True, True, True, True, True, False]
    for content in bad:
        for found in (
            client.post("/predict", files=files(content)),
            client.post("/predict", json={"image": in_base64(content)}),
            client.post("/predict", content=content, headers={"Content-Type": "image/png"}),
        ):
            assert found.status_code == 422
            assert found.json()["error"].startswith("not a readable picture: ")
    assert len(client.post("/predict", files=files(*bad)).json()["decisions"]) == 5


def test_of_several_vectors_a_bad_one_is_rejected_and_alone_it_is_refused(client, detector, digits):
    x = digits[0].features[:4].double().numpy().copy()
    x[1], x[2, 3], x[3, 5] = 0, math.nan, math.inf
    body = json.dumps({"embeddings": x.tolist()})
    found = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
    close(found, detector.decide(x), detector)
    assert [row["why"] for row in found.json()["decisions"]] == detector.decide(x).why.tolist()
    for row in (1, 2, 3):
        body = json.dumps({"embeddings": x[row : row + 1].tolist()})
        found = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
        assert (found.status_code, found.json()["error"][:10]) == (422, "not scored")


def test_no_rows_in_no_rows_out(client):
    for key in ("images", "embeddings", "logits"):
        assert client.post("/predict", json={key: []}).json()["decisions"] == []


DEEP = "[" * 60_000
JSON = {
    "": (400, "expected JSON"),
    "{": (400, "expected JSON"),
    DEEP: (400, "expected JSON"),
    '{"embeddings": ' + DEEP: (400, "expected JSON"),
    '{"embeddings": [[' + "9" * 5000 + "]]}": (400, "expected JSON"),
    "\udcff": (400, "expected JSON"),
    "[]": (422, "got a list"),
    "7": (422, "got a number"),
    "null": (422, "got null"),
    "{}": (422, "expected an object with one of the keys image, images, embeddings, logits"),
    '{"url": "http://127.0.0.1/1.png"}': (422, "no path and no URL"),
    '{"path": "/etc/passwd"}': (422, "no path and no URL"),
    '{"\\ud800": 1}': (422, "got the keys \\ud800"),
    '{"image": "", "images": []}': (422, "got the keys image, images"),
    '{"image": null}': (422, "image: expected the bytes of a picture file in base64, got null"),
    '{"image": "http://127.0.0.1/1.png"}': (422, "a path or URL is not opened"),
    '{"image": "file:///etc/passwd"}': (422, "a path or URL is not opened"),
    '{"image": "/etc/hostname"}': (422, "a path or URL is not opened"),
    '{"image": "/etc/shells1"}': (422, "not a readable picture"),
    '{"image": "\\ud800"}': (422, "expected base64"),
    '{"image": "data:image/png;base64,aGVsbG8="}': (422, "send what stands after the comma"),
    '{"images": "aGVsbG8="}': (422, "images: expected a list, got text"),
    '{"images": [["aGVsbG8="]]}': (422, "got a list"),
    '{"embeddings": {"a": 1}}': (422, "embeddings: expected a list, got an object"),
    '{"embeddings": [1, 2]}': (422, "expected a list of rows, each a list of numbers, got a number as a row"),
    '{"embeddings": [[]]}': (422, "expected rows of 64 numbers, got 0"),
    '{"embeddings": [[1], [1, 2]]}': (422, "ragged"),
    '{"embeddings": [[[1]]]}': (422, "expected"),
    '{"embeddings": [["1"]]}': (422, "expected numbers"),
    '{"embeddings": [[null]]}': (422, "expected numbers"),
    '{"embeddings": [[{}]]}': (422, "expected numbers"),
    '{"embeddings": [[1' + "0" * 400 + "]]}": (422, "expected numbers"),
    '{"embeddings": [[1, 2, 3]]}': (422, "expected rows of 64 numbers, got 3"),
    '{"logits": [[1, 2, 3]]}': (422, "expected rows of 10 numbers, got 3"),
}


@pytest.mark.parametrize("body", JSON, ids=lambda body: body[:40] + f" {len(body)}")
def test_json_that_is_not_as_asked(client, body):
    found = client.post(
        "/predict", content=body.encode(errors="surrogateescape"), headers={"Content-Type": "application/json"}
    )
    status, said = JSON[body]
    assert (found.status_code, said in found.json()["error"]) == (status, True), found.text
    assert len(found.text) < 400
    assert "\n" not in found.json()["error"]


EDGE = "--x\r\nContent-Disposition: form-data; name="
FORMS = {
    "": (400, "expected a form with files"),
    "--x--\r\n": (422, "at least one file"),
    EDGE + 'file; filename="a"\r\n\r\nbytes': (400, "without its end"),
    EDGE + 'file; filename="a"\r\n\r\nbytes\r\n--y': (400, "without its end"),
    "rubbish": (400, "expected a form with files"),
    "--x\r\n\r\nbytes\r\n--x--\r\n": (400, "expected a form with files"),
    EDGE + '"path"\r\n\r\n/etc/passwd\r\n--x--\r\n': (422, "path: expected a file, got text; a path or URL is not"),
    EDGE + '"url"\r\n\r\n' + 100 * "h" + "\r\n--x--\r\n": (400, "expected a form with files"),
    EDGE + 'file; filename="../../a.png"\r\n\r\nbytes\r\n--x--\r\n': (422, "not a readable picture"),
}


@pytest.mark.parametrize("body", FORMS, ids=range(len(FORMS)))
def test_forms_that_are_not_as_asked(client, body):
    found = client.post("/predict", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    status, said = FORMS[body]
    assert (found.status_code, said in found.json()["error"]) == (status, True), found.text


@pytest.mark.parametrize("kind", ["text/plain", "", "application/x-www-form-urlencoded", "text/html; é"])
def test_other_content_types(client, kind):
    found = client.post("/predict", content=b"{}", headers={"Content-Type": kind.encode()})
    assert (found.status_code, "Content-Type: expected" in found.json()["error"]) == (415, True)
    found = client.post("/predict", content=b"{}", headers={"Content-Type": "multipart/form-data"})
    assert (found.status_code, "boundary" in found.json()["error"]) == (400, True)
    found = client.post("/predict", json={}, headers={"Content-Encoding": "gzip"})
    assert (found.status_code, "compressed" in found.json()["error"]) == (415, True)


def test_other_paths_and_methods_and_no_model(client, served, pngs):
    for method, path, status in (("GET", "/predict", 405), ("GET", "/", 404), ("POST", "/health", 405),
                                 ("GET", "/../../etc/passwd", 404), ("GET", "/predict/", 404)):  # fmt: skip
        found = client.request(method, path)
        assert (found.status_code, list(found.json())) == (status, ["error"])
    with served(pictures=False) as other:
        found = other.post("/predict", files=files(pngs[0]))
        assert found.status_code == 422
        assert "no model" in found.json()["error"]
        assert other.get("/info").json()["takes_pictures"] is False


def test_an_error_inside_is_told_without_its_traceback(client, gate, pngs):
    def broken(batch, first=0):
        raise ZeroDivisionError("a secret of the inside")

    gate.decide_prepared = broken
    found = client.post("/predict", files=files(pngs[0]))
    assert (found.status_code, found.json()) == (500, {"error": "this server could not decide; its log says why"})
    del gate.decide_prepared
    assert client.post("/predict", files=files(pngs[0])).status_code == 200
    assert client.service.admission.inside == client.service.admission.held == 0
    assert client.service.admission.answered == client.service.admission.accepted == 2
