"""A signal stops the server after what was accepted is answered; real sockets on the loopback."""

import http.client
import os
import signal
import socket
import threading
import time

import pytest

from ood_toolkit.detectors.serving.app import Service
from ood_toolkit.detectors.serving.limits import Limits
from ood_toolkit.detectors.serving.server import bound, is_local, run
from ood_toolkit.errors import UsageError


class Client(threading.Thread):
    """What clients do while the server holds the main thread, which signals go to."""

    def __init__(self, port, work):
        super().__init__()
        self.port, self.work, self.error = port, work, None

    def run(self):
        try:
            self.work(self.port)
        except BaseException as error:
            self.error = error
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)


def during(service, work):
    """Serve until a client has done its work, which ends with a signal."""
    assert threading.current_thread() is threading.main_thread()
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    with bound("127.0.0.1", 0) as taken:
        client = Client(taken.getsockname()[1], work)
        run(service.app, taken, 20, client.start)
    client.join(20)
    if client.error is not None:
        raise client.error
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)] == before


def post(port, content, found=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", "/predict", content, {"Content-Type": "image/png"})
    response = connection.getresponse()
    status, said = response.status, response.read()
    connection.close()
    if found is not None:
        found.append((status, said))
    return status, said


def until(true, seconds=20):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def refused(port):
    with socket.socket() as other:
        return other.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_what_was_accepted_is_answered(number, detector, gate, pngs):
    service = Service(detector, gate, Limits(), batch=8)
    gate.free.clear()

    def work(port):
        assert post(port, b"rubbish")[0] == 422
        found = []
        threads = [threading.Thread(target=post, args=(port, one, found)) for one in pngs[:6]]
        for thread in threads:
            thread.start()
        # One whose body is still on its way, and one connection on which nothing is asked any more.
        slow, idle = (
            socket.create_connection(("127.0.0.1", port), 20),
            socket.create_connection(("127.0.0.1", port), 20),
        )
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(pngs[7])}\r\n\r\n"
        slow.sendall(head.encode() + pngs[7][:20])
        until(lambda: service.admission.inside == 7)
        os.kill(os.getpid(), number)
        until(lambda: refused(port))
        assert found == []
        assert idle.recv(100) == b"", "a connection without a request is closed"
        slow.sendall(pngs[7][20:])
        time.sleep(0.05)
        gate.free.set()
        with slow, idle, slow.makefile("rb") as answer:
            assert answer.readline() == b"HTTP/1.1 200 OK\r\n"
            assert answer.read().endswith(b"]}"), "then the connection is closed"
        for thread in threads:
            thread.join(20)
        assert [status for status, _ in found] == [200] * 6

    during(service, work)
    assert (service.admission.accepted, service.admission.answered, service.admission.inside) == (8, 8, 0)


def test_a_second_signal_ends_it_at_once(detector, gate, pngs):
    service = Service(detector, gate, Limits(), batch=8)
    gate.free.clear()
    lost = []

    def ask(port):
        try:
            post(port, pngs[0])
        except (http.client.HTTPException, OSError) as error:
            lost.append(error)

    def work(port):
        thread = threading.Thread(target=ask, args=(port,))
        thread.start()
        until(lambda: service.admission.inside == 1)
        os.kill(os.getpid(), signal.SIGTERM)
        until(lambda: refused(port))
        os.kill(os.getpid(), signal.SIGTERM)
        gate.free.set()
        thread.join(20)

    during(service, work)
    assert service.admission.accepted == 1


def test_what_is_no_http_is_refused(detector):
    service = Service(detector, None, Limits(), batch=8)

    def work(port):
        for sent in (b"rubbish\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"POST /predict HTTP/1.1\r\nHost: x\r\n"
                     b"Content-Length: x\r\n\r\n", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n"):  # fmt: skip
            with socket.create_connection(("127.0.0.1", port), 20) as one:
                one.sendall(sent)
                assert one.recv(100).startswith(b"HTTP/1.1 40")
        os.kill(os.getpid(), signal.SIGTERM)

    during(service, work)


def test_an_address_that_cannot_be_had_is_one_line():
    with bound("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"^--host 127.0.0.1 --port {port}: another program listens there"):
            bound("127.0.0.1", port)
    with pytest.raises(UsageError, match=r"^--host 192.0.2.1 --port 0: this machine has no such address"):
        bound("192.0.2.1", 0)
    with pytest.raises(UsageError, match=r"^--host no such host: no such address; check its name"):
        bound("no such host", 0)


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
     ("192.168.0.7", False), ("example.org", False)],
)  # fmt: skip
def test_which_addresses_only_this_machine_reaches(host, local):
    assert is_local(host) is local
