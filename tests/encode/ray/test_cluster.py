"""Encoding on a Ray cluster of two nodes on this machine, each run in a process of its own: Ray warns a lot."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from ood_toolkit.api.dataset import Pictures
from ood_toolkit.api.picture import FilePicture
from ood_toolkit.encode.images import Encoded, encode_pictures
from ood_toolkit.encode.options import Effort
from ood_toolkit.encode.ray import cluster as cluster_module
from ood_toolkit.encode.ray import worker
from ood_toolkit.encode.ray.cluster import encode_on_ray
from ood_toolkit.encode.ray.exchange import Exchange
from ood_toolkit.errors import DataError, ModelError, StoreError
from ood_toolkit.models.digits_clip import DigitsClip, load_digits_clip
from ood_toolkit.store.shard import shard_bytes

with_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'ood-toolkit[ray]'")
COUNT, BATCH = 2304, 128
CLUSTER = """
import os, sys
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
from ray.cluster_utils import Cluster
node = dict(num_cpus=1, object_store_memory=100 << 20)
cluster = Cluster(initialize_head=True, head_node_args=node | dict(include_dashboard=False))
second = cluster.add_node(**node)
print("ADDRESS", cluster.address, flush=True)
for line in sys.stdin:
    if line.strip() == "kill":
        cluster.remove_node(second, allow_graceful=False)
        print("KILLED", flush=True)
cluster.shutdown()
"""
RUN = """
import json, sys, time
from pathlib import Path
from ood_toolkit.api.dataset import Pictures
from ood_toolkit.api.picture import FilePicture
from ood_toolkit.encode.ray.cluster import encode_on_ray
from ood_toolkit.encode.options import Effort
from ood_toolkit.errors import OodkitError
from ood_toolkit.models.digits_clip import DigitsClip, load_digits_clip

wish = json.loads(sys.argv[1])

class Slow(DigitsClip):
    def encode_images(self, batch):
        used = int((batch.flatten(1) != 0).any(dim=1).sum())
        with open(wish["log"], "a") as log:
            log.write(f"{used}\\n")
        time.sleep(wish["pause"])
        return super().encode_images(batch)

files = Path(wish["list"]).read_text().split("\\n")
pictures = Pictures([FilePicture(file) for file in files], tuple(str(i) for i in range(len(files))))
model = load_digits_clip()
model.__class__ = Slow
effort = Effort(batch=wish["batch"], exchange=wish["share"], strict=wish["strict"])
told = []
try:
    found = encode_on_ray(model, pictures, Path(wish["store"]), effort=effort, progress=lambda *now: told.append(now))
    said = {"fresh": found.fresh, "unreadable": [i for i, _ in found.unreadable], "told": told[-1:],
            "damaged": found.damaged, "sum": float(found.outputs["features"].sum())}
except OodkitError as error:
    said = {"error": [type(error).__name__, str(error)]}
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Write pictures in three ranges: a few are broken, one is absent, some are copies of others ranges away."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    files = [folder / f"{i}.png" for i in range(COUNT)]
    for i, file in enumerate(files):
        if i % 1000 == 7:
            file.write_bytes(b"broken" if i > 1500 else b"no picture")
        elif i >= 1100 and i % 100 == 0:
            file.write_bytes(files[i - 1100].read_bytes())
        elif i != 2222:
            Image.fromarray(rng.integers(1, 255, (8, 8), dtype=np.uint8)).save(file)
    past = time.time() - 60
    for file in files:
        if file.exists():
            os.utime(file, (past, past))
    (folder / "list").write_text("\n".join(map(str, files)))
    return folder


@pytest.fixture(scope="module")
def local(drawn, tmp_path_factory) -> tuple[dict[str, bytes], Encoded]:
    """Encode them on a single machine."""
    store = tmp_path_factory.mktemp("local")
    found = encode_pictures(load_digits_clip(), listed(drawn), store, effort=Effort(batch=BATCH))
    assert len(found.unreadable) == 4
    return files_of(store), found


@pytest.fixture(scope="module")
def cluster():
    """Start two nodes of one core each on this machine; `write("kill")` kills the second."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        try:
            socket.create_connection(server.getsockname(), 5).close()
        except OSError as error:
            pytest.skip(f"loopback cannot be used here: {error}")
    ends = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    running = subprocess.Popen([sys.executable, "-c", CLUSTER], text=True, **ends)
    address = next((line.split()[1] for line in running.stdout if line.startswith("ADDRESS")), None)
    assert address, "the cluster did not start"
    yield SimpleNamespace(address=address, process=running)
    running.stdin.close()
    running.wait(30)
    running.stdout.close()


def files_of(store):
    return {str(path.relative_to(store)): path.read_bytes() for path in sorted(store.glob("encodings/**/*.s*"))}


def start(cluster, drawn, store, log, **wish):
    defaults = {"share": None, "strict": False, "pause": 0.0, "batch": BATCH, "list": str(drawn / "list")}
    asked = {**defaults, "store": str(store), "log": str(log), **wish}
    return subprocess.Popen(
        [sys.executable, "-c", RUN, json.dumps(asked)],
        env=os.environ | {"RAY_ADDRESS": cluster.address},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(run):
    out, err = run.communicate(timeout=240)
    assert run.returncode == 0, err
    said = json.loads(out)  # and nothing else: stdout is for data
    assert "error" not in said, said
    return said


def encoded(log):
    return sum(map(int, log.read_text().split())) if log.exists() else 0


def until(true, seconds=150):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


@with_ray
def test_a_cluster_writes_the_same_bytes_and_goes_on_after_its_driver_was_killed(
    cluster, drawn, local, tmp_path, monkeypatch
):
    wanted, single = local
    run = start(cluster, drawn, tmp_path / "store", tmp_path / "log", pause=0.3)
    until(lambda: files_of(tmp_path / "store"))
    run.send_signal(signal.SIGKILL)
    run.communicate()
    time.sleep(1)
    kept, before = files_of(tmp_path / "store"), encoded(tmp_path / "log")
    assert 1 <= len(kept) < len(wanted)
    second = finish(start(cluster, drawn, tmp_path / "store", tmp_path / "log"))
    assert files_of(tmp_path / "store") == wanted
    assert second["unreadable"] == [name for name, _ in single.unreadable]
    assert second["sum"] == float(single.outputs["features"].sum())
    assert second["fresh"] < single.fresh
    assert second["told"] == [[COUNT, COUNT]]
    assert encoded(tmp_path / "log") - before == second["fresh"]
    assert encoded(tmp_path / "log") <= single.fresh + 2 * 1024  # an open shard for each worker
    monkeypatch.setitem(sys.modules, "ray", None)  # where nothing lacks, no cluster is asked
    files = (drawn / "list").read_text().split("\n")
    whole = Pictures([FilePicture(files[row]) for row in single.rows], tuple(str(row) for row in single.rows))
    third = encode_on_ray(load_digits_clip(), whole, tmp_path / "store")
    assert third.fresh == 0
    np.testing.assert_array_equal(third.outputs["features"], single.outputs["features"])


@with_ray
def test_a_node_killed_in_the_middle_loses_nothing_nor_what_lies_at_a_share(cluster, drawn, local, tmp_path):
    wanted, single = local
    share = f"file://{tmp_path}/share"
    run = start(cluster, drawn, tmp_path / "store", tmp_path / "log", pause=0.3, share=share)
    until(lambda: files_of(tmp_path / "share"))
    cluster.process.stdin.write("kill\n")
    cluster.process.stdin.flush()
    found = finish(run)
    assert files_of(tmp_path / "store") == files_of(tmp_path / "share") == wanted
    assert found["unreadable"] == [name for name, _ in single.unreadable]
    assert found["fresh"] <= single.fresh  # less where the node wrote a shard and was killed before it said so
    assert single.fresh <= encoded(tmp_path / "log") <= single.fresh + 2 * 1024


# -- without a cluster ------------------------------------------------------------------------------------------------


class NotFinite(DigitsClip):
    def encode_images(self, batch):
        return super().encode_images(batch) * float("nan")


@pytest.fixture
def here(monkeypatch):
    """Let this process be the worker: all but Ray itself."""

    def results(tasks, sent, effort):
        for one in tasks:
            yield worker.encode(one, sent) if one.wanted else worker.hashed(one)

    monkeypatch.setattr(cluster_module, "results", results)
    monkeypatch.setattr(cluster_module, "shipped", lambda setup: setup)


def listed(drawn):
    files = (drawn / "list").read_text().split("\n")
    return Pictures([FilePicture(file) for file in files], tuple(str(i) for i in range(len(files))))


def test_a_second_store_takes_over_what_a_share_has_but_for_damage(here, drawn, local, tmp_path):
    wanted, single = local
    effort = Effort(batch=BATCH, exchange=f"file://{tmp_path}/share")
    first = encode_on_ray(load_digits_clip(), listed(drawn), tmp_path / "store", effort=effort)
    assert first.fresh == single.fresh
    assert files_of(tmp_path / "store") == files_of(tmp_path / "share") == wanted
    victim = tmp_path / "share" / next(iter(wanted))
    victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    hostile = shard_bytes(np.zeros((1, 32), np.uint8), np.full((1, 64), np.nan, np.float32))
    (victim.parent / f"{hashlib.sha256(hostile).hexdigest()}.safetensors").write_bytes(hostile)
    second = encode_on_ray(load_digits_clip(), listed(drawn), tmp_path / "other", effort=effort)
    assert 0 < second.fresh <= 1024
    assert victim.name in second.damaged
    assert files_of(tmp_path / "other") == wanted
    assert victim.read_bytes() == wanted[next(iter(wanted))]


def test_a_picture_that_changes_between_hashing_and_encoding_is_encoded_as_it_is_then(here, monkeypatch, tmp_path):
    for name, grey in (("a", 9), ("b", 50)):
        Image.new("L", (8, 8), grey).save(tmp_path / f"{name}.png")
    pictures = Pictures([FilePicture(str(tmp_path / f"{name}.png")) for name in "ab"], ("a", "b"))
    ship = cluster_module.shipped

    def changed(setup):
        Image.new("L", (8, 8), 200).save(tmp_path / "b.png")
        return ship(setup)

    monkeypatch.setattr(cluster_module, "shipped", changed)
    found = encode_on_ray(load_digits_clip(), pictures, tmp_path / "store")
    assert [key.tobytes() for key in found.keys] == [hashlib.sha256(item.read()).digest() for item in pictures.items]
    assert (found.fresh, found.rows.tolist()) == (2, [0, 1])


@pytest.fixture
def one_picture(tmp_path):
    Image.new("L", (8, 8), 9).save(tmp_path / "a.png")
    return FilePicture(str(tmp_path / "a.png"))


def task(item):
    key = hashlib.sha256(item.read()).digest()
    return worker.Assignment(2048, (item,), (key,), {"features": frozenset([key])})


def setup_of(model, tmp_path, **effort):
    return worker.Setup(model, None, ("features",), Effort(**effort), {"features": (str(tmp_path / "s"), "k")}, {})


@with_ray
@pytest.mark.quotes
def test_an_error_on_a_worker_is_its_answer_with_the_row_of_the_split(one_picture, tmp_path):
    from ray import cloudpickle

    model = load_digits_clip()
    model.__class__ = NotFinite
    busy = worker.Worker([])
    busy.setup = setup_of(model, tmp_path)
    answer = cloudpickle.loads(busy({"task": cloudpickle.dumps(task(one_picture))})["done"])
    assert isinstance(answer, ModelError)
    assert "gave NaN or infinite features for the image in row 2048" in str(answer)
    busy.setup = None
    answer = cloudpickle.loads(busy({"task": cloudpickle.dumps(task(one_picture))})["done"])
    assert str(answer).startswith("--engine ray: a worker failed: IndexError")


def test_a_strict_worker_writes_no_shard_of_a_range_with_a_broken_image(one_picture, tmp_path):
    (tmp_path / "b.png").write_bytes(b"broken")
    wanted = task(one_picture)
    keys = (*wanted.keys, hashlib.sha256(b"broken").digest())
    broken = FilePicture(str(tmp_path / "b.png"))
    both = replace(wanted, items=(one_picture, broken), keys=keys, wanted={"features": frozenset(keys)})
    assert not worker.encode(both, setup_of(load_digits_clip(), tmp_path, strict=True)).shards
    done = worker.encode(wanted, setup_of(load_digits_clip(), tmp_path, strict=True))
    assert (tmp_path / "s" / done.shards["features"]).exists()


@pytest.mark.quick
def test_a_share_takes_nothing_that_is_no_shard_of_its_name(tmp_path):
    exchange, folder = Exchange(f"file://{tmp_path}/share"), tmp_path / "here"
    content = shard_bytes(np.zeros((2, 32), np.uint8), np.ones((2, 3), np.float32))
    name = exchange.put("key", content)
    there = tmp_path / "share" / "encodings" / "key" / "shards"
    (there / "notes.txt").write_text("no shard")
    assert exchange.names("key") == [name]
    assert exchange.names("other") == []
    assert exchange.fetch("key", name, folder)
    assert (folder / name).read_bytes() == content
    for bad in (b"no shard", shard_bytes(np.zeros((1, 32), np.uint8), np.full((1, 3), np.inf, np.float32))):
        named = f"{hashlib.sha256(bad).hexdigest()}.safetensors"
        (there / named).write_bytes(bad)
        assert not exchange.fetch("key", named, folder)
    (there / name).write_bytes(content[:-1])
    assert not exchange.fetch("key", name, tmp_path / "there")
    assert not exchange.fetch("key", "0" * 64 + ".safetensors", folder)
    (there / "x").write_bytes(content)
    assert not exchange.fetch("key", "x", folder)
    assert [path.name for path in folder.iterdir()] == [name]


def test_an_address_that_no_file_system_answers_for_is_an_error():
    with pytest.raises(StoreError, match="--share: nothing://there cannot be used"):
        Exchange("nothing://there")


def test_nodes_with_other_libraries_are_refused():
    model = SimpleNamespace(name="m", to=lambda device: None)
    setup = worker.Setup(model, None, ("features",), Effort(), {}, {"torch": "0.1"})
    with pytest.raises(ModelError, match=f"expected torch 0.1 on every node, got {torch.__version__.split('+')[0]}"):
        worker.check_versions(setup)


def test_without_ray_the_error_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    pictures = Pictures([FilePicture(str(tmp_path / "a"))], ("a",))
    with pytest.raises(ModelError, match=r"pip install 'ood-toolkit\[ray\]'"):
        encode_on_ray(load_digits_clip(), pictures, tmp_path / "store")


@pytest.mark.quick
def test_what_is_in_the_store_needs_no_cluster(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    Image.new("L", (8, 8), 9).save(tmp_path / "a.png")
    os.utime(tmp_path / "a.png", (1, 1))
    pictures = Pictures([FilePicture(str(tmp_path / "a.png"))], ("a",))
    first = encode_pictures(load_digits_clip(), pictures, tmp_path / "store")
    again = encode_on_ray(load_digits_clip(), pictures, tmp_path / "store")
    assert (first.fresh, again.fresh) == (1, 0)
    np.testing.assert_array_equal(first.outputs["features"], again.outputs["features"])


def test_pictures_that_only_the_driver_sees_are_told_from_broken_ones(monkeypatch, tmp_path):
    Image.new("L", (8, 8), 9).save(tmp_path / "a.png")
    pictures = Pictures([FilePicture(str(tmp_path / "a.png"))], ("a",))
    done = worker.Done(0, unreadable={0: "cannot be read: No such file or directory"}, unseen=(0,))
    monkeypatch.setattr(cluster_module, "results", lambda tasks, sent, effort: iter([done]))
    with pytest.raises(DataError, match="a: can be read here but not by a worker"):
        encode_on_ray(load_digits_clip(), pictures, tmp_path / "store")


def test_workers_that_die_again_and_again_end_the_run(monkeypatch, tmp_path):
    def dying(tasks, sent, effort):
        tries.append(len(tasks))
        raise cluster_module.Lost("the node died")

    tries: list[int] = []
    monkeypatch.setattr(cluster_module, "results", dying)
    pictures = Pictures([FilePicture(str(tmp_path / "a.png"))], ("a",))
    with pytest.raises(ModelError, match="3 attempts came to nothing: the node died"):
        encode_on_ray(load_digits_clip(), pictures, tmp_path / "store")
    assert tries == [1, 1, 1]
