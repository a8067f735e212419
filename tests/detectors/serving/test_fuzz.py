"""Damaged requests, a few hundred of those that `tests/fuzz/fuzz_serving.py` sends by the thousand."""

import random

import pytest
from fuzz_serving import ask_app, damaged, fault, pictures

from ood_toolkit.detectors.serving.admission import Admission


def test_damaged_requests_get_a_4xx_or_an_answer(served):
    seeds, statuses = pictures(), set()
    with served(upload=1 << 20, pixels=1_000_000, rows=100, seconds=20) as client:
        admission: Admission = client.service.admission
        for number in range(300):
            one = damaged(random.Random(number), seeds, 64)
            status, kind, body = client.portal.call(ask_app, client.service.app, one)
            assert fault(status, kind, body) == "", (number, status, body[:300], one.raw[:500])
            assert admission.inside == admission.held == 0
            statuses.add(status)
        assert admission.accepted == admission.answered
    assert statuses >= {200, 400, 404, 415, 422}


@pytest.mark.parametrize(
    ("status", "kind", "body", "wrong"),
    [(500, "", b"", "status 500"), (200, "", b"Traceback (most recent call last)", "a traceback"),
     (400, "application/json", b"{", "no JSON"), (422, "application/json", b"{}", "an error that is not one line"),
     (422, "application/json", b'{"error": "a\\nb"}', "an error that is not one line"),
     (422, "application/json", b'{"error": "a"}', "")],
)  # fmt: skip
def test_what_is_looked_for_is_found(status, kind, body, wrong):
    found = fault(status, kind, body)
    assert found.startswith(wrong)
    assert bool(found) == bool(wrong)
