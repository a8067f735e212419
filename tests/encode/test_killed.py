"""A run that is killed goes on where it was, to the same bytes; two runs at once share a store."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")

COMMON = """
import json, os, random, signal, sys, time, warnings
from pathlib import Path
import hashlib
import numpy as np, torch
from PIL import Image
from ood_toolkit.api.dataset import Pictures
from ood_toolkit.api.picture import pixels
from ood_toolkit.encode.options import Effort
from ood_toolkit.encode.images import encode_pictures
from ood_toolkit.api.model import Model
from ood_toolkit.store.shard import open_shard

torch.set_num_threads(1)
base, COUNT = Path(sys.argv[1]), 6000
pictures = Pictures(
    pixels([Image.new("RGB", (1, 1), (n % 256, n // 256, 1)) for n in range(COUNT)]), tuple(map(str, range(COUNT)))
)
number = {hashlib.sha256(item.read()).digest(): n for n, item in enumerate(pictures.items)}


class Logged(Model):
    name, fingerprint, preprocessing, log, pause = "logged", "weights", {}, None, 0.0

    def preprocess(self, image):
        low, high, one = image.getpixel((0, 0))
        return torch.tensor([float(low + 256 * high), float(one)])

    def encode_images(self, batch):
        if self.log is not None:
            os.write(self.log, "".join(f"{int(n)}\\n" for n, real in batch.tolist() if real).encode())
            os.fsync(self.log)
        time.sleep(self.pause)
        n = batch[:, :1]
        return torch.cat([n, n * n, n.cos(), torch.ones(len(n), 13)], dim=1)

    def to(self, device):
        return self


def encode(store, log=None, pause=0.0):
    model = Logged()
    model.pause = pause
    if log is not None:
        model.log = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    return encode_pictures(model, pictures, base / store, effort=Effort(workers=2))


def forked(work):
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        os._exit(0)
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
    os._exit(1)


def lines(log):
    return [int(n) for n in log.read_text().split()] if log.exists() else []


def shards(store):
    return {path.name: path for path in (base / store).glob("encodings/*/shards/*.safetensors")}


def equal(a, b):
    return {n: p.read_bytes() for n, p in shards(a).items()} == {n: p.read_bytes() for n, p in shards(b).items()}
"""

KILLED = """
draw = random.Random(7)
told = {"killed": 0, "open": [], "again": 0, "known": 0}
held = set()
for attempt in range(10):
    log = base / f"{attempt}.log"
    wanted = 1024 if attempt in (3, 6) else draw.randrange(1, 1500)  # of 1,024 the shard is just being written
    more = draw.random() * 0.02
    pid = forked(lambda log=log: encode("killed", log, 0.003))
    end = time.monotonic() + 30
    while (not log.exists() or log.read_bytes().count(b"\\n") < wanted) and time.monotonic() < end:
        time.sleep(0.001)
    time.sleep(more)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    told["killed"] += os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    seen = lines(log)
    told["again"] += len(seen) - len(set(seen)) + len(held & set(seen))
    held = {number[key.tobytes()] for path in shards("killed").values() for key in open_shard(path).keys}
    told["open"].append(len(set(seen) - held))
last = base / "last.log"
pid = forked(lambda: encode("killed", last))
told["exit"] = os.waitpid(pid, 0)[1]
told["again"] += len(held & set(lines(last)))
told["rest"] = len(lines(last)) == COUNT - len(held)
pid = forked(lambda: encode("whole", base / "whole.log"))
told["whole"] = os.waitpid(pid, 0)[1]
told["once"] = sorted(lines(base / "whole.log")) == list(range(COUNT))
told["equal"] = equal("killed", "whole")
told["shards"] = len(shards("whole"))
told["total"] = sum(len(lines(log)) for log in base.glob("[0-9l]*.log")) - COUNT
print(json.dumps(told))
"""

TOGETHER = """
def work(name):
    made = encode("both", pause=0.002)
    np.save(base / f"{name}.npy", made.outputs["features"])

pids = [forked(lambda name=name: work(name)) for name in "ab"]
exits = [os.waitpid(pid, 0)[1] for pid in pids]
pid = forked(lambda: encode("alone"))
os.waitpid(pid, 0)
a, b = (np.load(base / f"{name}.npy") for name in "ab")
left = [str(path) for path in (base / "both").rglob(".*")]
right = bool((a[:, 0] == np.arange(COUNT)).all())
same, rows, equal_bytes = bool((a == b).all()), len(a), equal("both", "alone")
print(json.dumps({"exits": exits, "same": same, "rows": rows, "right": right, "equal": equal_bytes, "left": left}))
"""


def told(program, folder):
    done = subprocess.run(
        [sys.executable, "-c", COMMON + program, str(folder)], capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_ten_kills_lose_no_finished_shard_and_change_no_byte(tmp_path):
    found = told(KILLED, tmp_path)
    assert found["killed"] == 10
    assert (found["exit"], found["whole"], found["shards"]) == (0, 0, 6)
    assert found["once"]
    assert found["equal"]
    assert found["again"] == 0  # nothing that was in a finished shard, and nothing twice in one run
    assert found["rest"]
    assert max(found["open"]) <= 1024
    assert found["total"] == sum(found["open"])


def test_two_runs_at_once_share_a_store(tmp_path):
    assert told(TOGETHER, tmp_path) == {
        "exits": [0, 0], "same": True, "rows": 6000, "right": True, "equal": True, "left": [],
    }  # fmt: skip


def test_what_a_killed_run_leaves_is_collected(tmp_path, oodkit, monkeypatch):
    monkeypatch.setenv("OODKIT_STORE", str(tmp_path))
    program = """
        import os, signal
        replace = os.replace
        def stop(old, new):
            if str(new).endswith(".safetensors"):
                os.kill(os.getpid(), signal.SIGKILL)
            replace(old, new)
        os.replace = stop
        from ood_toolkit.cli import main
        main(["encode", "digits"])
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, check=False)
    assert killed.returncode == -9
    left, _ = sorted(tmp_path.rglob("shards/.*"))  # with its lock
    (lease,) = tmp_path.glob("leases/encodings.*")
    done = oodkit("encode", "digits")
    assert done.code == 0
    assert "360 encoded now" in done.out
    done = oodkit("store", "gc", "--yes")
    assert done.code == 0
    assert done.out.splitlines() == [
        f"{lease.relative_to(tmp_path)}: a lease of process {lease.name.split('.')[3]}, which is over",
        f"{left.relative_to(tmp_path)}: left by a run that was killed",
    ]
    assert not list(tmp_path.rglob(".*"))
    assert oodkit("store", "verify").code == 0
    done = oodkit("encode", "digits")
    assert done.code == 0
    assert ", 0 encoded now" in done.out
