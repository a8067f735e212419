import numpy as np
import pytest

from ood_toolkit.errors import StoreError
from ood_toolkit.store.encodings import Encoding, Index, encodings, models_holding
from ood_toolkit.store.hashes import Memory
from ood_toolkit.store.listings import Listing, Listings
from ood_toolkit.store.shard import Shard, open_shard, write_shard

pytestmark = pytest.mark.quick


def keys(*numbers, start=b""):
    """Make keys that begin alike where asked."""
    return np.stack([np.frombuffer((start + bytes([n])).ljust(32, b"."), np.uint8) for n in numbers])


def rows(*numbers):
    return np.array([[n, n + 0.5] for n in numbers], dtype=np.float32)


@pytest.fixture
def encoding(tmp_path):
    memory = Memory(tmp_path)
    yield Encoding(tmp_path, {"kind": "features", "weights": "w"}, memory)
    memory.close()


ABOUT = {"model": "m", "batch": 32, "device": "cpu", "versions": {}}


def test_rows_are_found_by_their_keys_in_any_order(encoding):
    encoding.add(keys(5, 1, 3), rows(5, 1, 3), ABOUT)
    encoding.add(keys(2, 9), rows(2, 9), ABOUT)
    encoding.refresh()
    asked = (9, 1, 2, 9, 5)
    np.testing.assert_array_equal(encoding.read(keys(*asked)), rows(*asked))
    assert encoding.has(keys(1, 4, 9)).tolist() == [True, False, True]
    with pytest.raises(StoreError, match="1 of 2 rows are not in the store"):
        encoding.read(keys(1, 4))


def test_keys_that_begin_alike_are_told_apart(tmp_path):
    same = keys(1, 2, 3, start=b"12345678")
    index = Index.of([Shard(tmp_path, same[[2, 0]], rows(3, 1))])
    assert index.keys[index.find(same[[0, 2]])].tolist() == same[[0, 2]].tolist()
    assert index.find(same[[1]]).tolist() == [-1]
    assert Index.of([]).find(same).tolist() == [-1, -1, -1]


def test_many_keys_are_all_found(tmp_path):
    rng = np.random.default_rng(0)
    many = rng.integers(0, 256, (5000, 32), dtype=np.uint8)
    index = Index.of([Shard(tmp_path, many[:3000], many), Shard(tmp_path, many[3000:], many)])
    places = index.places[index.find(many)]
    assert places[:3000].tolist() == [[0, row] for row in range(3000)]
    assert places[3000:].tolist() == [[1, row] for row in range(2000)]


def test_many_rows_are_mapped_and_not_held_in_memory(encoding, monkeypatch):
    encoding.add(keys(1, 2), rows(1, 2), ABOUT)
    encoding.refresh()
    monkeypatch.setattr("ood_toolkit.store.encodings.IN_MEMORY", 8)
    found = encoding.read(keys(2, 1, 2))
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, rows(2, 1, 2))
    assert [path.name for path in encoding.folder.iterdir() if path.is_file()] == ["encoder.json"]


def test_equal_shards_are_one_file(encoding, tmp_path):
    encoding.add(keys(1, 2), rows(1, 2), ABOUT)
    (path,) = encoding.folder.glob("shards/*")
    assert write_shard(path.parent, keys(1, 2), rows(1, 2)) == path
    shard = open_shard(path)
    np.testing.assert_array_equal(shard.rows, rows(1, 2))
    assert isinstance(shard.rows, np.memmap)
    assert encodings(tmp_path) == [encoding.folder]


def test_rows_may_be_single_numbers(encoding):
    encoding.add(keys(1, 2), np.float32([7, 8]), ABOUT)
    encoding.refresh()
    assert encoding.read(keys(2, 1)).tolist() == [8, 7]


def test_the_models_that_hold_all_of_some_sets(tmp_path):
    memory = Memory(tmp_path)
    for model, kind, held in (("one", "features", (1, 2, 3)), ("two", "features", (1, 2)), ("two", "local", (1, 2, 3))):
        encoding = Encoding(tmp_path, {"kind": kind, "weights": model}, memory)
        encoding.add(keys(*held), rows(*held), {**ABOUT, "model": model})
    memory.close()
    Listings(tmp_path).write(Listing("a", "test", keys(1, 2), ("x", "y")))
    Listings(tmp_path).write(Listing("b", "test", keys(3), ("z",)))
    assert models_holding(tmp_path, ["a"]) == ["one", "two"]
    assert models_holding(tmp_path, ["a", "b"]) == ["one"]
    assert models_holding(tmp_path, ["a", "gone"]) == []
    assert models_holding(tmp_path, []) == []
