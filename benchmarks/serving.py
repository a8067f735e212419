"""What `oodkit serve` holds: many clients at once, its memory, and a stop in the middle; on the loopback alone.

    python benchmarks/serving.py [--seconds 60] [--file FILE]

Clients ask one thing at a time, and again as soon as they are answered; after a 429 they wait as told. The load ends by
itself. Clients and server share the cores of the machine. Prints tables, and ends with 1 where anything but 200 and 429
came back, an accepted request was not answered, or memory grew.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

MOST = 10_000_000
"""Requests after which clients end however much time is left."""

GROWTH = 1.1
"""By how much the server's memory may grow between its fifth second under load and the end."""


@dataclass
class Seen:
    """What some clients saw."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    closed: int = 0
    """Connections that ended before anything of an answer came: what was sent was not accepted."""
    torn: int = 0
    """Answers that broke off."""

    def row(self, who: str, took: float) -> str:
        """Give a line of the table."""
        good, busy = self.statuses[200], self.statuses[429]
        other = sum(self.statuses.values()) - good - busy
        p50, p99 = (1e3 * np.quantile(self.seconds, q) if self.seconds else float("nan") for q in (0.5, 0.99))
        return f"| {who} | {good:,} | {busy:,} | {other} | {p50:.0f} | {p99:.0f} | {good / took:,.0f} |"


def message(kind: str, body: bytes) -> bytes:
    """Give a request as it is sent."""
    head = f"POST /predict HTTP/1.1\r\nHost: load\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read one answer: its status, and the seconds that a 429 says."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    await reader.readexactly(int(fields[b"content-length"]))
    return int(head.split(b" ", 2)[1]), fields.get(b"retry-after", b"0")


async def client(port: int, requests: list[bytes], until: float, seen: Seen) -> None:
    """Ask until the time is over, or the server has stopped."""
    place, writer = 0, None
    while time.monotonic() < until and sum(seen.statuses.values()) < MOST:
        got = False
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            start = time.monotonic()
            writer.write(requests[place % len(requests)])
            status, wait = await answer(reader)
            seen.statuses[status] += 1
            if status == 200:
                seen.seconds.append(time.monotonic() - start)
            else:
                await asyncio.sleep(min(float(wait), 5))
            place += 1
        except ConnectionRefusedError:
            return
        except asyncio.IncompleteReadError as error:
            got = bool(error.partial)
            writer = None
        except ConnectionError:
            writer = None
        if writer is None:
            seen.torn += got
            seen.closed += not got
    if writer is not None:
        writer.close()


async def told(port: int) -> dict[str, float]:
    """Ask the server for its metrics."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: load\r\nConnection: close\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    return {name: float(value) for name, value in re.findall(r"^(\S+) (\S+)$", text, re.MULTILINE)}


async def load(
    port: int, counts: dict[str, int], bodies: dict[str, list[bytes]], seconds: float, watch: Callable
) -> dict:
    """Run all clients for so long."""
    until, seen = time.monotonic() + seconds, {name: Seen() for name in counts}
    many = [client(port, bodies[name], until, seen[name]) for name, count in counts.items() for _ in range(count)]
    await asyncio.gather(watch(port, until), *many)
    return seen


def started(file: Path, queue: int) -> tuple[subprocess.Popen, int]:
    """Start a server, and give its port."""
    words = [sys.executable, "-m", "ood_toolkit", "serve", str(file), "--port", "0", "--queue", str(queue)]
    server = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=os.environ | {"OODKIT_NO_PLUGINS": "1"})
    assert server.stderr is not None
    for line in server.stderr:
        if found := re.search(r" on http://127\.0\.0\.1:(\d+)", line):
            return server, int(found[1])
    raise SystemExit("the server did not start")


def ended(server: subprocess.Popen) -> str:
    """Ask a server to stop; give what it says last."""
    server.send_signal(signal.SIGTERM)
    _, said = server.communicate(timeout=60)
    return f"exit code {server.returncode}, {said.strip().splitlines()[-1]}"


def median(work: Callable[[], object], repeats: int = 30) -> float:
    """Give the median seconds of some work."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def bare(file: Path, photos: list[bytes], rows: np.ndarray) -> None:
    """Print what the work costs without a server."""
    import torch
    from PIL import Image

    from ood_toolkit import Gate

    gate = Gate.load(file)
    one = gate.model.preprocess(Image.open(io.BytesIO(photos[0])).convert("RGB"))
    batch = torch.stack([one] * gate.batch)
    with torch.inference_mode():
        network = median(lambda: gate.model.encode_images(batch))
        alone = median(lambda: gate.model.encode_images(batch[:1]))
    whole = median(lambda: gate.decide([photos[0]] * gate.batch), 10)
    print("\n| without a server | ms | rows/s |\n|---|---:|---:|")
    print(f"| the network on one picture | {1e3 * alone:.2f} | {1 / alone:,.0f} |")
    print(f"| the network on {gate.batch} pictures | {1e3 * network:.2f} | {gate.batch / network:,.0f} |")
    what = f"`Gate` on {gate.batch} picture files: decoding, network, decision"
    print(f"| {what} | {1e3 * whole:.2f} | {gate.batch / whole:,.0f} |")
    single = median(lambda: gate.detector.decide(rows[:1]))
    many = median(lambda: gate.detector.decide(rows))
    print(f"| `Detector.decide` on one vector | {1e3 * single:.2f} | {1 / single:,.0f} |")
    print(f"| `Detector.decide` on {len(rows)} vectors | {1e3 * many:.2f} | {len(rows) / many:,.0f} |")


def fitted(folder: Path) -> Path:
    """Fit the digits detector of the documentation."""
    words = [sys.executable, "-m", "ood_toolkit", "fit", "msp", "--id", "digits", "--rule", "conformal:target=0.9"]
    where = ["-o", str(folder / "digits.oodkit"), "--store", str(folder / "store")]
    subprocess.run([*words, *where], check=True, capture_output=True)
    return folder / "digits.oodkit"


def made(width: int) -> tuple[dict[str, list[bytes]], list[bytes], np.ndarray]:
    """Give the requests of each kind of client, photographs of 640 x 427 pixels, and vectors."""
    from sklearn.datasets import load_sample_images

    names = load_sample_images().filenames
    photos = [Path(name).read_bytes() for name in names]
    rows = np.random.default_rng(0).normal(size=(200, width))
    vectors = [message("application/json", json.dumps({"embeddings": [row.tolist()]}).encode()) for row in rows]
    return {"vectors": vectors, "pictures": [message("image/jpeg", photo) for photo in photos]}, photos, rows


def holds(file: Path, counts: dict[str, int], bodies: dict[str, list[bytes]], seconds: float, queue: int) -> bool:
    """Print what clients see under load, and the server's memory."""
    server, port = started(file, queue)
    memory: list[float] = []
    inside: list[float] = []

    async def watch(port: int, until: float) -> None:
        while time.monotonic() < until:
            found = await told(port)
            memory.append(found["process_resident_memory_bytes"] / 2**20)
            inside.append(found["oodkit_queue_length"])
            await asyncio.sleep(1)

    before = asyncio.run(told(port))
    seen = asyncio.run(load(port, counts, bodies, seconds, watch))
    after = asyncio.run(told(port))
    print("| clients | answered | 429 | other | p50, ms | p99, ms | requests/s |\n|---|---:|---:|---:|---:|---:|---:|")
    for name, one in seen.items():
        print(one.row(f"{counts[name]} with {name}", seconds))
    for lane in counts:
        rows, batches = (after[f'oodkit_batch_rows_{what}{{lane="{lane}"}}'] for what in ("sum", "count"))
        print(f"{lane}: {rows / batches:.1f} rows a batch on average")
    spent = 1e3 * after["process_cpu_seconds_total"] - 1e3 * before["process_cpu_seconds_total"]
    answered = sum(sum(one.statuses.values()) for one in seen.values())
    print(f"CPU time of the server: {spent / answered:.2f} ms an answer, pictures and vectors together")
    early = memory[min(len(memory) - 1, 5)]
    print(
        f"memory of the server: {memory[0]:.0f} MiB at first, {early:.0f} after 5 s, {memory[-1]:.0f} at the end, ",
        end="",
    )
    print(f"{max(memory):.0f} at most; longest queue seen {max(inside):.0f}")
    print(f"SIGTERM after the load: {ended(server)}")
    statuses = sum((one.statuses for one in seen.values()), Counter())
    steady = memory[-1] < GROWTH * early
    return steady and not set(statuses) - {200, 429} and not any(one.torn or one.closed for one in seen.values())


def stops(file: Path, counts: dict[str, int], bodies: dict[str, list[bytes]], seconds: float, queue: int) -> bool:
    """Print what becomes of requests when the server is stopped in the middle."""
    server, port = started(file, queue)
    said: list[str] = []

    async def watch(port: int, until: float) -> None:
        await asyncio.sleep(seconds / 2)
        said.append(await asyncio.get_running_loop().run_in_executor(None, ended, server))

    seen = asyncio.run(load(port, counts, bodies, seconds, watch)).values()
    answers = sum(sum(one.statuses.values()) for one in seen)
    torn, closed = sum(one.torn for one in seen), sum(one.closed for one in seen)
    print(f"SIGTERM in the middle: {said[0]}; clients read {answers:,} answers, {torn} torn; ", end="")
    print(f"{closed} connections were closed with nothing accepted on them")
    found = re.search(r"stopped: ([\d,]+) of ([\d,]+) accepted", said[0])
    accepted = int(found[2].replace(",", "")) if found else -1
    lost = found is None or found[1] != found[2] or sum(one.statuses[200] for one in seen) != accepted
    return not (torn or lost)


def main() -> int:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--vectors", type=int, default=200, help="clients that send an embedding")
    parser.add_argument("--pictures", type=int, default=20, help="clients that send a photograph")
    parser.add_argument("--queue", type=int, default=256, help="requests inside, as of oodkit serve")
    parser.add_argument("--file", type=Path, help="a detector with its model; by default digits are fitted")
    given = parser.parse_args()
    from ood_toolkit import Detector

    with tempfile.TemporaryDirectory() as folder:
        file = given.file or fitted(Path(folder))
        bodies, photos, rows = made(Detector.load(file).features_width or 0)
        counts = {"vectors": given.vectors, "pictures": given.pictures}
        print(f"{given.seconds:g} s on {os.cpu_count()} cores, load average at the start {os.getloadavg()[0]:.1f}\n")
        held = holds(file, counts, bodies, min(given.seconds, 600), given.queue)
        stopped = stops(file, counts, bodies, min(given.seconds, 6), given.queue)
        bare(file, photos, rows)
    return 0 if held and stopped else 1


if __name__ == "__main__":
    sys.exit(main())
