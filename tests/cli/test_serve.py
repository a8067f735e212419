"""`oodkit serve`: from a file to answers, and what it refuses before it listens."""

import http.client
import importlib.util
import json
import os
import signal
import threading

import pytest

from ood_toolkit import Detector, Outputs
from ood_toolkit.detectors.serving import serve, server


@pytest.fixture
def file(tmp_path, no_plugins):
    import numpy as np

    logits = np.random.default_rng(0).normal(size=(200, 5))
    Detector.fit("msp", Outputs.from_logits(logits), rule="conformal:target=0.9").save(tmp_path / "d.oodkit")
    return tmp_path / "d.oodkit"


@pytest.fixture
def asked(monkeypatch):
    """Ask the server once that the next command runs, then stop it; give what it answered."""
    answers, whole = [], server.run

    def ask(port):
        try:
            for method, path, body in (("GET", "/health", None), ("POST", "/predict", '{"logits": [[9, 0, 0, 0, 0]]}')):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
                connection.request(method, path, body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                answers.append((response.status, json.loads(response.read())))
                connection.close()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    def run(app, taken, seconds, ready):
        def then():
            ready()
            threading.Thread(target=ask, args=(taken.getsockname()[1],)).start()

        whole(app, taken, seconds, then)

    monkeypatch.setattr(server, "run", run)
    return answers


def test_a_file_is_served_until_it_is_told_to_stop(oodkit, file, asked, monkeypatch):
    monkeypatch.delenv("OODKIT_TOKEN", raising=False)
    done = oodkit("serve", file, "--port", "0", "--vectors-only")
    assert done.code == 0, done.err
    assert asked[0] == (200, {"status": "ok"})
    assert (asked[1][0], asked[1][1]["decisions"][0]["accepted"]) == (200, True)
    lines = done.err.splitlines()
    assert lines[0] == "pictures are refused, as --vectors-only asks"
    assert lines[1].startswith(f"serving {file} ({Detector.load(file).digest}) on http://127.0.0.1:")
    assert lines[2:] == ["stopped: 1 of 1 accepted requests were answered"]
    assert done.out == ""


def test_a_file_without_a_model_is_served_for_vectors(oodkit, file, asked, monkeypatch):
    monkeypatch.setenv("OODKIT_TOKEN", "a-secret-of-twenty-x")
    done = oodkit("serve", file, "--port", "0", "--host", "0.0.0.0")
    assert done.code == 0, done.err
    assert "pictures are refused: the file was fitted on vectors and brings no model" in done.err
    assert "warning" not in done.err
    assert [status for status, _ in asked] == [200, 401]


def test_who_listens_to_all_without_a_token_is_warned(oodkit, file, asked, monkeypatch):
    monkeypatch.delenv("OODKIT_TOKEN", raising=False)
    done = oodkit("serve", file, "--port", "0", "--host", "0.0.0.0", "--vectors-only")
    assert "warning: 0.0.0.0 is reached from other machines, and anybody may ask: set OODKIT_TOKEN" in done.err


def test_what_cannot_be_is_refused_before_anything_is_loaded(oodkit, file, tmp_path, monkeypatch):
    monkeypatch.delenv("OODKIT_TOKEN", raising=False)
    oodkit("serve", tmp_path / "none", "--port", "0").is_refused("none")
    oodkit("serve", file, "--host", "no such host").is_refused("--host no such host: no such address")
    with server.bound("127.0.0.1", 0) as taken:
        taken.listen()
        oodkit("serve", file, "--port", taken.getsockname()[1]).is_refused("another program listens there")
    for option in ("--timeout", "--max-upload", "--max-rows", "--queue", "--max-pixels", "--batch-size"):
        assert oodkit("serve", file, option, "0").code == 2
    monkeypatch.setenv("OODKIT_TOKEN", "short")
    oodkit("serve", file, "--port", "0").is_refused("OODKIT_TOKEN: expected at least 8 letters")


@pytest.mark.quick
def test_without_the_extra_it_says_what_to_install(oodkit, tmp_path, monkeypatch):
    whole = importlib.util.find_spec
    monkeypatch.setattr(
        serve, "find_spec", lambda name: None if name in ("uvicorn", "python_multipart") else whole(name)
    )
    oodkit("serve", tmp_path / "none").is_refused("needs uvicorn, python-multipart: pip install 'ood-toolkit[serve]'")


def test_a_model_that_cannot_be_loaded_is_an_error(oodkit, tmp_path, no_plugins):
    import numpy as np

    rows = Outputs.from_logits(np.random.default_rng(0).normal(size=(50, 3)))
    known = {"model": "no-such-model", "weights": "0" * 64}
    Detector.fit("msp", rows, encoder=known).save(tmp_path / "d")
    oodkit("serve", tmp_path / "d", "--port", "0").is_refused("no-such-model", "--vectors-only serves it without")
