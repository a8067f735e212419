"""What a server tells of itself: health, the detector, metrics, its page; and to whom."""

import json
import re
import sys

import numpy as np
import pytest

from ood_toolkit import Detector, Monitor
from ood_toolkit.detectors.serving.token import token_from
from ood_toolkit.detectors.summary import facts
from ood_toolkit.errors import UsageError

pytestmark = pytest.mark.quick

SECRET = "a-secret-of-twenty-x"


def value_of(client, name):
    (found,) = re.findall(rf"^oodkit_{re.escape(name)} (\S+)$", client.get("/metrics").text, re.MULTILINE)
    return float(found)


def test_health_and_the_detector(client, detector):
    assert client.get("/health").json() == {"status": "ok"}
    found = client.get("/info").json()
    for key, value in facts(detector).items():
        assert found[key] == json.loads(json.dumps(value)), key
    assert found["takes_pictures"] is True
    assert found["takes_embeddings_of_width"] == 64
    assert found["limits"] == {"upload": 16 << 20, "pixels": 50_000_000, "rows": 1000, "seconds": 30.0, "queue": 256}


def test_metrics_count_what_was_asked_and_decided(client, detector, pngs, digits):
    x = digits[0].features[:40]
    accepted = int(detector.decide(x).accepted.sum())
    client.post("/predict", json={"embeddings": x.tolist()})
    client.post("/predict", files=[("f", pngs[0]), ("f", b"no picture")])
    client.post("/predict", json={"embeddings": [[0] * 64]})
    client.post("/predict", content=b"", headers={"Content-Type": "text/plain"})
    assert value_of(client, 'requests_total{status="200"}') == 2
    assert value_of(client, 'requests_total{status="415"}') == 1
    assert value_of(client, 'requests_total{status="422"}') == 1
    assert value_of(client, "request_seconds_count") == 4
    first = int(detector.decide(x[:1]).accepted[0])
    assert value_of(client, 'rows_total{decision="accepted"}') == accepted + first
    assert value_of(client, 'rows_total{decision="rejected"}') == 41 - accepted - first
    assert value_of(client, 'rows_total{decision="unreadable"}') == 2
    assert value_of(client, "rejected_share") == pytest.approx(1 - (accepted + first) / 41)
    assert value_of(client, "score_count") == 41
    cut = f'score_bucket{{le="{float(detector.threshold)}"}}'
    scores = detector.decide(x).score.tolist() + detector.decide(x[:1]).score.tolist()
    assert value_of(client, cut) == sum(score <= detector.threshold for score in scores)
    assert value_of(client, "queue_length") == 0
    assert value_of(client, 'batch_rows_sum{lane="vectors"}') == 41
    if sys.platform == "linux":
        assert "\nprocess_resident_memory_bytes " in client.get("/metrics").text


def test_metrics_tell_evidence_of_drift(client, detector, digits):
    x = digits[0].features[:40] + 0.01 * digits[0].features[40:80]  # whose scores tie with none of calibration
    client.post("/predict", json={"embeddings": x.tolist()})
    client.post("/predict", json={"embeddings": [[0] * 64, x[0].tolist()]})
    monitor = Monitor(detector)
    for part in (x, x[:1]):
        monitor.observe(detector.decide(part))
    assert value_of(client, "drift_images") == 41
    assert value_of(client, "drift_bits") == pytest.approx(monitor.bits, abs=1e-6)
    assert value_of(client, "drift_alarm") == 0
    client.post("/predict", json={"embeddings": np.random.default_rng(0).normal(size=(200, 64)).tolist()})
    assert value_of(client, "drift_alarm") == 1
    assert (
        value_of(client, "drift_bits_highest") >= value_of(client, "drift_bits_needed") == pytest.approx(6.6439, 1e-4)
    )


def test_without_p_values_that_promise_something_there_is_no_evidence(served, digits):
    with served(using=Detector.fit("classwise", digits[0]), pictures=False) as client:
        client.post("/predict", json={"embeddings": digits[0].features[:2].tolist()})
        assert "drift" not in client.get("/metrics").text


class Watching:
    def __init__(self):
        self.scores = []

    def decided(self, decisions):
        self.scores += decisions.score.tolist()


def test_an_observer_sees_every_row_once(served, detector, pngs, digits):
    seen = Watching()
    with served(observer=seen) as client:
        client.post("/predict", json={"embeddings": digits[0].features[:5].tolist()})
        client.post("/predict", files=[("f", pngs[9]), ("f", b"no picture")])
    assert seen.scores == pytest.approx(
        [*detector.decide(digits[0].features[:5]).score, detector.decide(digits[0][9:10]).score[0]], rel=1e-4
    )


class Failing:
    def decided(self, decisions):
        raise ZeroDivisionError("the observer is out of order")


def test_an_observer_that_fails_costs_nobody_an_answer(served, pngs, caplog):
    with served(observer=Failing()) as client:
        for _ in range(2):
            assert client.post("/predict", files=[("f", pngs[9])]).status_code == 200
        assert value_of(client, "observer_failures_total") == 2
        assert value_of(client, 'rows_total{decision="accepted"}') == 2
    assert "the observer of decisions failed" in caplog.text


def test_the_page_asks_for_nothing_else(client):
    found = client.get("/docs")
    assert found.status_code == 200
    assert found.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert not re.search(r"<(script|link|img|iframe)|@import|url\(|https?://", found.text)
    for said in ("POST /predict", "GET /metrics", "multipart/form-data", "embeddings", "429", "p_value", "/info"):
        assert said in found.text
    schema = client.get("/openapi.json").json()
    assert schema["openapi"].startswith("3.")
    assert set(schema["paths"]) == {"/predict", "/health", "/info", "/metrics"}
    told = schema["paths"]["/predict"]["post"]
    assert set(told["requestBody"]["content"]) == {
        "multipart/form-data", "application/json", "image/*", "application/octet-stream",
    }  # fmt: skip
    assert set(told["responses"]) == {"200", "400", "401", "408", "413", "415", "422", "429"}
    assert "security" not in schema


def test_the_token_is_asked_of_all_but_health(served, pngs):
    with served(token=SECRET) as client:
        assert client.get("/health").status_code == 200
        wrong = [{}, {"Authorization": "Bearer"}, {"Authorization": f"Bearer {SECRET}x"}, {"Authorization": SECRET},
                 {"Authorization": f"Basic {SECRET}"}, {"Authorization": f"Bearer {SECRET[:-1]}"}]  # fmt: skip
        for path in ("/info", "/metrics", "/docs", "/openapi.json", "/nothing"):
            for headers in wrong:
                found = client.get(path, headers=headers)
                assert (found.status_code, found.headers["WWW-Authenticate"]) == (401, "Bearer")
        for headers in wrong:
            found = client.post("/predict", files=[("f", pngs[0])], headers=headers)
            assert found.status_code == 401
            assert SECRET not in found.text
        assert client.service.admission.accepted == 0
        right = {"Authorization": f"Bearer {SECRET}"}
        assert client.post("/predict", files=[("f", pngs[0])], headers=right).status_code == 200
        assert client.get("/openapi.json", headers=right).json()["security"] == [{"token": []}]
        assert client.get("/nothing", headers=right).status_code == 404


@pytest.mark.parametrize("token", ["", "short", "with a space in it", "with a line\nbreak", "é" * 20])
def test_a_token_that_cannot_be_sent_is_refused(token):
    with pytest.raises(UsageError, match=r"^OODKIT_TOKEN: expected at least 8 letters") as caught:
        token_from({"OODKIT_TOKEN": token})
    assert token == "" or token not in str(caught.value)
    assert token_from({}) is None
    assert token_from({"OODKIT_TOKEN": SECRET}) == SECRET
