"""Embeddings of 200,000 images are written and read back in little memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

COUNT, WIDTH = 200_000, 512
LIMIT = 1200 << 20
PROGRAM = """
import json, sys, threading, time
from collections.abc import Sequence
from pathlib import Path
import numpy as np, torch
from ood_toolkit.api.dataset import Pictures
from ood_toolkit.api.picture import Picture
from ood_toolkit.encode.options import Effort
from ood_toolkit.encode.images import encode_pictures
from ood_toolkit.api.model import Model

store, count, width = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])

def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon"))

peak, over = 0, threading.Event()
def watch():
    global peak
    while not over.wait(0.02):
        peak = max(peak, anonymous())

class Number(Picture):
    __slots__ = ("n",)
    def __init__(self, n):
        self.n = n
    def read(self):
        return self.n.to_bytes(8, "big")
    def decode(self, content, least=None):
        return self.n

class Numbers(Sequence):
    def __len__(self):
        return count
    def __getitem__(self, place):
        if not 0 <= place < count:
            raise IndexError
        return Number(place)

class Stub(Model):
    name, fingerprint, preprocessing = "stub", "s", {}
    def preprocess(self, image):
        return torch.tensor([float(image)])
    def encode_images(self, batch):
        return batch + torch.arange(float(width))
    def to(self, device):
        return self

watcher = threading.Thread(target=watch)
watcher.start()
pictures = Pictures(Numbers(), tuple(map(str, range(count))))
began = time.monotonic()
made = encode_pictures(Stub(), pictures, store, effort=Effort(batch=1024, workers=1))
seconds = time.monotonic() - began
rows = made.outputs["features"]
checked = [place for place in (0, 1, 1023, 1024, 77_777, count - 1)
           if not (rows[place] == place + np.arange(width, dtype=np.float32)).all()]
sums = sum(float(rows[start : start + 1024, 0].sum(dtype=np.float64)) for start in range(0, count, 1024))
over.set()
watcher.join()
print(json.dumps([made.fresh, list(rows.shape), checked, sums, peak, seconds]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to measure anonymous memory")
def test_two_hundred_thousand_embeddings_take_little_memory(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(COUNT), str(WIDTH)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    fresh, shape, wrong, sums, peak, seconds = json.loads(done.stdout)
    print(f"{seconds:.1f} s, peak of anonymous memory {peak / (1 << 20):.0f} MiB")
    assert (fresh, shape, wrong, sums) == (COUNT, [COUNT, WIDTH], [], COUNT * (COUNT - 1) / 2)
    assert peak < LIMIT
    assert len(list(tmp_path.glob("encodings/*/shards/*"))) == -(-COUNT // 1024)
    assert list(tmp_path.rglob(".*")) == []
