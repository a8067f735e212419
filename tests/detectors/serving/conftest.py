"""A served digits detector, and a client that needs no network."""

import base64
import io
import threading
from contextlib import contextmanager

import pytest
from starlette.testclient import TestClient

from ood_toolkit import Gate
from ood_toolkit.detectors.serving.app import Service
from ood_toolkit.detectors.serving.limits import Limits


class Held(Gate):
    """A gate whose network can be held up, and that remembers the sizes of its batches."""

    def __init__(self, *args, **how):
        super().__init__(*args, **how)
        self.free, self.began, self.sizes = threading.Event(), threading.Event(), []
        self.free.set()

    def decide_prepared(self, batch, first=0):
        self.sizes.append(len(batch))
        self.began.set()
        assert self.free.wait(20)
        return super().decide_prepared(batch, first)


@pytest.fixture
def gate(digits_model, detector, one_thread):
    made = Held(digits_model, detector, batch=8, workers=2)
    yield made
    made.free.set()


@pytest.fixture
def served(detector, gate):
    """Serve it with other limits, or without its model, for the time of a block."""

    @contextmanager
    def serve(*, pictures=True, using=None, token=None, observer=None, **limits):
        service = Service(
            using or detector, gate if pictures else None, Limits(**limits), token=token, batch=8, observer=observer
        )
        with TestClient(service.app, raise_server_exceptions=False) as client:
            client.service = service
            yield client

    return serve


@pytest.fixture
def client(served):
    with served() as client:
        yield client


@pytest.fixture(scope="session")
def pngs(digits):
    """The pictures of the digits as PNG files."""

    def png(image):
        out = io.BytesIO()
        image.save(out, "PNG")
        return out.getvalue()

    return [png(image) for image in digits[1]]


@pytest.fixture(scope="session")
def in_base64():
    return lambda content: base64.b64encode(content).decode()


class Asking:
    """Requests in threads of their own; `answers` waits for all of them."""

    def __init__(self, ask, *many):
        self.found = [None] * len(many)

        def run(place, one):
            self.found[place] = ask(one)

        self.threads = [threading.Thread(target=run, args=pair) for pair in enumerate(many)]
        for thread in self.threads:
            thread.start()

    def answers(self):
        for thread in self.threads:
            thread.join(20)
        return self.found


@pytest.fixture(scope="session")
def asking():
    return Asking
