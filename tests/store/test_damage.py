"""Damage in a store is named by `oodkit store verify` and mended by the next run; a hostile file is only data."""

import hashlib
import json
import os
import pickle
import re
import shutil
import struct
import tempfile
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from ood_toolkit.cli import main
from ood_toolkit.errors import StoreError
from ood_toolkit.store.encodings import Encoding
from ood_toolkit.store.hashes import Memory
from ood_toolkit.store.shard import open_shard, shard_bytes, shard_name

SETS = {"one": 20, "two": 12}


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def encoded(self):
        """How many images were encoded, as the command says."""
        return int(re.search(r"encoded ([\d,]+) images", self.err)[1].replace(",", ""))

    @property
    def metrics(self):
        """What the result says, without times."""
        return [row["metrics"] for row in json.loads(self.out)["rows"]]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Make a store of two encoded sets and an imported one, once; its files look as if they were old."""
    base = tmp_path_factory.mktemp("made")
    draw = np.random.default_rng(0)
    for name, count in SETS.items():
        for place in range(count):
            path = base / name / "ab"[place % 2] / f"{place:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw.integers(0, 256, (8, 8), dtype=np.uint8)).save(path)
    np.savez(base / "i.npz", embeddings=np.eye(3, 4, dtype=np.float32), labels=np.arange(3))
    for line in (bench_of(base), ("import", "i", base / "i.npz", "--model", "other")):
        with pytest.raises(SystemExit) as stop:
            main([*map(str, line), "--store", str(base / "store")])
        assert not stop.value.code
    for path in base.rglob("*"):
        os.utime(path, ns=(10**18, 10**18))
    return base / "store"


def bench_of(base, *more):
    sets = ("--id", f"folder:{base / 'one'}", "--ood", f"folder:{base / 'two'}", "--format", "json")
    return ("bench", *sets, "--scorers", "msp", "--val-split", "0", "--model", "digits-clip", *more)


@pytest.fixture
def bench(oodkit, store, made):
    return lambda *more: oodkit(*bench_of(made.parent, *more))


@pytest.fixture
def store(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "store")
    monkeypatch.setenv("OODKIT_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def oodkit(oodkit):
    return lambda *words: Done(*oodkit(*words))


@pytest.fixture
def verified(oodkit, store):
    """Run `oodkit store verify`; gives the damaged places, whose count decides the exit code."""

    def run():
        done = oodkit("store", "verify")
        places = [line.partition(":")[0] for line in done.out.splitlines()]
        assert done.code == bool(places), done
        return places

    return run


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def shard_of(store, images):
    """Find the shard of a set by its number of images."""
    return next(path for path in store.glob("encodings/*/shards/*") if len(open_shard(path).keys) == images)


def one_line(done):
    assert done.code == 1
    assert done.err.startswith("oodkit: ")
    assert done.err.count("\n") == 1, done.err


def test_a_whole_store_is_said_to_be_whole(oodkit, store):
    done = oodkit("store", "verify")
    assert (done.code, done.out, done.err) == (0, "", "all is whole\n")


@pytest.mark.parametrize("part", ["length", "header", "keys", "rows", "end"])
def test_a_flipped_byte_of_a_shard_is_named_and_only_its_images_are_encoded_again(bench, store, verified, part):
    before = bench()
    path = shard_of(store, SETS["two"])
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    start = {
        name: 8 + length + json.loads(content[8 : 8 + length])[name]["data_offsets"][0] for name in ("keys", "rows")
    }
    flip(path, {"length": 1, "header": 20, "keys": start["keys"] + 5, "rows": start["rows"] + 5, "end": -1}[part])
    assert verified() == [str(path.relative_to(store))]
    done = bench()
    assert (done.code, done.encoded) == (0, SETS["two"])
    assert f"shard {path.name} was damaged; its images were encoded again" in done.err
    assert done.metrics == before.metrics
    assert path.read_bytes() == content
    assert verified() == []
    assert bench().encoded == 0


def test_damage_that_no_time_stamp_shows_is_mended_once_verify_has_found_it(bench, store, verified):
    """Disks that lose a bit change neither size nor time."""
    assert bench().encoded == 0  # shards are remembered with their stamps
    path = shard_of(store, SETS["one"])
    content, stat = path.read_bytes(), os.stat(path)
    with path.open("r+b") as file:
        file.seek(len(content) // 2)
        file.write(bytes([content[len(content) // 2] ^ 1]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert verified() == [str(path.relative_to(store))]
    assert bench().encoded == SETS["one"]
    assert path.read_bytes() == content
    assert verified() == []


@pytest.mark.parametrize("place", [0, 40, 200, -1])
def test_a_flipped_byte_of_a_text_file_is_named_and_mended(bench, store, verified, place):
    path = min(store.glob("texts/*.texts"))
    content, before = path.read_bytes(), bench()
    flip(path, place)
    assert verified() == [str(path.relative_to(store))]
    done = bench()
    assert (done.code, done.encoded) == (0, 0)
    assert done.metrics == before.metrics
    assert path.read_bytes() == content
    assert verified() == []


@pytest.mark.parametrize("place", [1, 30, 0.3, 0.7, -1])
def test_a_flipped_byte_of_a_listing_is_named_and_mended(bench, store, verified, place):
    (path,) = store.glob("sets/*two.test.listing")
    content = path.read_bytes()
    flip(path, int(place * len(content)) if isinstance(place, float) else place)
    assert verified() == [str(path.relative_to(store))]
    done = bench()
    assert (done.code, done.encoded) == (0, 0)
    assert path.read_bytes() == content
    assert verified() == []


def test_damage_of_imported_arrays_that_no_time_stamp_shows_is_found_once_verify_has_seen_it(oodkit, store, verified):
    (path,) = store.glob("arrays/*/features.npy")
    words = ("score", "msp", "--id", "i", "--model", "other", "--val-split", "0")
    before, stat = oodkit(*words), os.stat(path)
    flip(path, -1)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert verified() == [str(path.parent.relative_to(store))]
    assert "its arrays" not in before.err
    assert "its arrays are damaged or gone" in oodkit(*words).err


def test_a_flipped_byte_of_imported_arrays_is_named_and_mended(oodkit, store, verified, made):
    (path,) = store.glob("arrays/*/features.npy")
    for place in (2, 20, -1):
        flip(path, place)
        assert verified() == [str(path.parent.relative_to(store))]
        assert oodkit("import", "i", made.parent / "i.npz", "--model", "other").code == 0
        assert verified() == []


def test_a_damaged_name_of_imported_arrays_is_named_and_stops_only_its_own_set(oodkit, bench, store, verified):
    (path,) = store.glob("names/*/*.json")
    for content in (b"", b"{", b"[]", b'{"key": 1}', b"\xff\xfe"):
        path.write_bytes(content)
        listed = oodkit("store", "list")
        assert listed.code == 0
        assert "1 passed over, being damaged" in listed.err
        assert "digits-clip: features" in listed.out
        assert oodkit("datasets").code == oodkit("models").code == 0
        assert verified() == [str(path.relative_to(store))]
        for words in (("--model", "other"), ()):
            done = oodkit("bench", "--id", "i", "--ood", "letters", *words)
            one_line(done)
            assert f"{path}: damaged entry" in done.err
    assert bench().code == 0
    assert oodkit("bench", "--id", "digits", "--ood", "letters", "--scorers", "msp").code == 0


FOREIGN = ("names/other/._i.test.json", "names/.DS_Store", "names/mine/notes.txt", "sets/._x.test.listing",
           "sets/my.txt", "texts/my.texts", "texts/._a.json", "negatives/._b.json", "negatives/mine.json",
           "encodings/mine/encoder.json", "arrays/mine/a.npy", "leases/mine", "encodings/._a/encoder.json")  # fmt: skip


def test_foreign_files_are_named_by_verify_and_passed_over_by_all_else(oodkit, bench, store):
    (encoder,) = store.glob("encodings/*/shards")
    names = (*FOREIGN, f"{encoder.relative_to(store)}/._{'a' * 64}.safetensors")
    for name in names:
        (store / name).parent.mkdir(exist_ok=True)
        (store / name).write_bytes(b"\x00\x05mine")
    said = oodkit("store", "verify")
    assert (said.code, said.err) == (0, f"all is whole; {len(names)} passed over\n")
    named = {line.partition(":")[0] for line in said.out.splitlines()}
    wanted = set(names)
    for place in ("encodings/mine", "arrays/mine", "encodings/._a"):
        wanted = {place if name.startswith(f"{place}/") else name for name in wanted}
    assert named == wanted
    for words in (("store", "list"), ("negatives",), ("datasets",), ("models",)):
        done = oodkit(*words)
        assert (done.code, "damaged" in done.err) == (0, False), done
    assert bench().code == 0
    assert oodkit("store", "gc", "--yes").code == 0
    assert all((store / name).read_bytes() == b"\x00\x05mine" for name in names)


TRACE = os.path.join(tempfile.gettempdir(), f"oodkit-bomb-{os.getpid()}")


class Bomb:
    """Leaves a trace if somebody unpickles it."""

    def __reduce__(self):
        return open, (TRACE, "w")  # pragma: no cover


def header(about, data=b""):
    text = about if isinstance(about, bytes) else json.dumps(about).encode()
    return struct.pack("<Q", len(text)) + text + data


def about(keys, rows, keys_at, rows_at, dtypes=("U8", "F32")):
    return {
        "keys": {"dtype": dtypes[0], "shape": keys, "data_offsets": keys_at},
        "rows": {"dtype": dtypes[1], "shape": rows, "data_offsets": rows_at},
    }


HOSTILE = {
    "empty": b"",
    "short": b"\x01\x02",
    "huge header": struct.pack("<Q", 2**63) + b"{}",
    "longer header than file": struct.pack("<Q", 60000) + b"{}",
    "no json": header(b"{nope"),
    "no utf-8": header(b"\xff\xfe\xfd"),
    "a list": header([1, 2]),
    "nested deeply": header(b"[" * 65000),
    "no rows": header({"keys": {"dtype": "U8", "shape": [0, 32], "data_offsets": [0, 0]}}),
    "entries that are text": header({"keys": "x", "rows": "y"}),
    "negative offsets": header(about([1, 32], [1, 8], [-64, -32], [-32, 0]), bytes(64)),
    "negative shape": header(about([-1, 32], [-1, -8], [0, 32], [32, 64]), bytes(64)),
    "offsets behind the end": header(about([1, 32], [1, 8], [10**9, 10**9 + 32], [0, 32]), bytes(64)),
    "enormous": header(about([2**40, 32], [2**40, 8], [0, 2**45], [0, 2**45]), bytes(64)),
    "infinite": header(b'{"keys": {"dtype": "U8", "shape": [Infinity], "data_offsets": [0, 1]}, "rows": 1}'),
    "text for offsets": header(about([1, 32], [1, 8], ["a", "b"], ["c", "d"]), bytes(64)),
    "wrong dtype": header(about([1, 32], [1, 4], [0, 32], [32, 64], ("U8", "F64")), bytes(64)),
    "objects": header(about([1, 32], [1, 8], [0, 32], [32, 64], ("U8", "O")), bytes(64)),
    "a list for dtype": header(about([1, 32], [1, 8], [0, 32], [32, 64], (["U8"], {})), bytes(64)),
    "keys and rows that do not match": header(about([2, 32], [1, 8], [0, 64], [64, 96]), bytes(96)),
    "keys too short": header(about([1, 16], [1, 8], [0, 16], [16, 48]), bytes(48)),
    "a single number": header(about([], [], [0, 1], [1, 5]), bytes(5)),
    "pickle": pickle.dumps(Bomb()),
    "pickle as header": header(pickle.dumps(Bomb())),
    "numpy objects": b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_no_shard(tmp_path, name):
    content = HOSTILE[name]
    path = tmp_path / shard_name(content)  # the checksum fits
    path.write_bytes(content)
    with pytest.raises(StoreError, match="no shard of this store") as caught:
        open_shard(path)
    assert "\n" not in str(caught.value)
    assert not os.path.exists(TRACE)


@pytest.mark.parametrize("fits", [True, False])
def test_hostile_files_in_the_store_are_taken_out_of_the_way(bench, store, verified, fits):
    folder = shard_of(store, SETS["one"]).parent
    for place, content in enumerate(HOSTILE.values(), 1):
        (folder / (shard_name(content) if fits else f"{place:064x}.safetensors")).write_bytes(content)
    named = verified()
    assert len(named) == len(HOSTILE)
    done = bench()
    assert (done.code, done.encoded) == (0, 0)
    assert verified() == []
    assert len(list(folder.iterdir())) == 2
    assert not os.path.exists(TRACE)


def test_a_truncated_shard_is_encoded_again(bench, store, verified):
    path = shard_of(store, SETS["one"])
    content = path.read_bytes()
    for size in (0, 4, 100, len(content) - 1):
        path.write_bytes(content[:size])
        assert verified() == [str(path.relative_to(store))]
        assert bench().encoded == SETS["one"]
        assert path.read_bytes() == content


def test_a_folder_in_place_of_a_shard_is_named_and_taken_out_of_the_way(bench, store, verified):
    path = shard_of(store, SETS["one"])
    path.unlink()
    path.mkdir()
    (path / "inside").touch()
    assert verified() == [str(path.relative_to(store))]
    done = bench()
    assert (done.code, done.encoded) == (0, SETS["one"]), done.err
    assert path.is_file()
    assert verified() == []


def test_a_shard_that_is_gone_is_encoded_again(bench, store):
    shard_of(store, SETS["two"]).unlink()
    assert bench().encoded == SETS["two"]


def test_a_forged_shard_of_another_width_is_not_mixed_with_others(tmp_path):
    """A name that fits says only that the bytes are whole, not who wrote them."""
    memory = Memory(tmp_path)
    try:
        encoding = Encoding(tmp_path, {"kind": "features"}, memory)
        keys = np.arange(96, dtype=np.uint8).reshape(3, 32)
        encoding.add(keys[:2], np.ones((2, 4), np.float32), {"model": "m"})
        forged = shard_bytes(keys[2:], np.ones((1, 5), np.float32))
        (encoding.folder / "shards" / shard_name(forged)).write_bytes(forged)
        encoding.refresh()
        with pytest.raises(StoreError):
            encoding.read(keys)
    finally:
        memory.close()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"text"', b'{"identity": 5, "model": "m"}', b"\xff\xfe\x00"])
def test_a_damaged_record_of_an_encoder_is_named_and_does_not_stop_a_run(bench, oodkit, store, verified, content):
    (path,) = store.glob("encodings/*/encoder.json")
    path.write_bytes(content)
    assert verified() == [str(path.relative_to(store))]
    listed = oodkit("store", "list")
    assert (listed.code, "1 passed over, being damaged" in listed.err) == (0, True)
    done = bench()
    assert (done.code, done.encoded) == (0, 0)
    assert verified() == []  # the run has mended it
    assert oodkit("store", "list").err == ""


@pytest.mark.parametrize("how", ["all", "start", "middle", "end", "empty", "cut"])
def test_damaged_hashes_are_made_again(bench, store, verified, how):
    path = store / "hashes.sqlite"
    content = bytearray(path.read_bytes())
    half = len(content) // 2
    spoilt = {
        "all": b"no database at all\n" * 400,
        "start": b"x" * 50 + content[50:],
        "middle": content[:4096] + b"\xa5" * (len(content) - 4096),
        "end": content[:half] + b"\x00" * half,
        "empty": b"",
        "cut": content[:half],
    }[how]
    path.write_bytes(spoilt)
    done = bench()
    assert (done.code, done.encoded) == (0, 0), done.err
    again = bench()
    assert (again.code, again.encoded) == (0, 0)
    assert verified() == []


def test_a_store_that_may_not_be_written_is_told_in_one_line(oodkit, tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    try:
        if os.access(folder, os.W_OK):
            pytest.skip("permissions do not bind this user")
        one_line(oodkit("encode", "digits", "--store", folder))
        one_line(oodkit("encode", "digits", "--store", folder / "below"))
    finally:
        folder.chmod(0o700)


def test_a_file_in_place_of_the_store_is_told_in_one_line(oodkit, tmp_path):
    (tmp_path / "file").touch()
    done = oodkit("encode", "digits", "--store", tmp_path / "file")
    assert done.code != 0
    assert "Traceback" not in done.err


def test_what_a_shard_is_named_after_is_the_hash_of_its_bytes(store):
    for path in store.glob("encodings/*/shards/*"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.stem
