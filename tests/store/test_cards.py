"""Cards of models: what fits the files as they are, what is damaged, what `verify` names and `gc` takes."""

import os
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

from ood_toolkit.store.cards import Card, Cards, state_of_files
from ood_toolkit.store.garbage import collect, survey
from ood_toolkit.store.verification import damaged

pytestmark = pytest.mark.quick

ARRAYS = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": np.ones(2, np.float32)}


@pytest.fixture(autouse=True)
def _files_are_old(monkeypatch):
    monkeypatch.setattr("ood_toolkit.store.cards.FRESH_NS", -1)


@pytest.fixture
def weights(tmp_path):
    file = tmp_path / "weights.bin"
    file.write_bytes(b"0123456789")
    return str(file)


def card_of(file, model="m", **facts):
    return Card(model, state_of_files([file, f"{file}.none"]), {"torch": "1", "gone": None}, facts, ARRAYS)


def written(store, *arguments, **facts):
    card = card_of(*arguments, **facts)
    Cards(store).write(card)
    return card


def path_of(store):
    (path,) = (store / "models").glob("*.model")
    return path


def test_a_card_comes_back_as_it_was_written(tmp_path, weights):
    card = written(tmp_path, weights, scale=0.1 + 0.2, notes=["ä"])
    back = Cards(tmp_path).read("m", list(card.files))
    assert (back.model, back.files, back.versions, back.facts) == (card.model, card.files, card.versions, card.facts)
    assert not back.is_stale
    assert all(np.array_equal(back.arrays[name], array) for name, array in ARRAYS.items())
    assert Cards(tmp_path).read("other", list(card.files)) is None
    assert Cards(tmp_path).read("m", [f"{weights}.none"]) is None


def test_a_card_of_files_that_may_change_under_the_same_time_is_not_kept(tmp_path, weights, monkeypatch):
    monkeypatch.setattr("ood_toolkit.store.cards.FRESH_NS", 10**12)
    written(tmp_path, weights)
    assert not (tmp_path / "models").exists()


def test_every_change_of_a_file_makes_a_card_stale(tmp_path, weights):
    before = os.stat(weights)

    def replaced():
        os.rename(weights, f"{weights}.old")  # which keeps its inode from being used again
        with open(weights, "wb") as file:
            file.write(b"0123456780")
        os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))

    def written_over():
        with open(weights, "r+b") as file:
            file.write(b"1")
        os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))

    def appears():
        with open(f"{weights}.none", "wb"):
            pass

    for change in (replaced, written_over, appears, lambda: os.unlink(weights)):
        card = card_of(weights)
        assert not card.is_stale
        change()
        assert card.is_stale, change


def test_a_damaged_card_is_none_and_is_named(tmp_path, weights):
    card = written(tmp_path, weights, scale=1.5)
    path = path_of(tmp_path)
    whole = path.read_bytes()
    draw = np.random.default_rng(0)
    cuts = [whole[:end] for end in (0, 1, 31, 32, 40, len(whole) - 1)]
    flips = [bytearray(whole) for _ in range(200)]
    for flip in flips:
        flip[int(draw.integers(len(whole)))] ^= 1 << int(draw.integers(8))
    for content in (*cuts, *map(bytes, flips), whole + b"x", b"\0" * 4096, b"{}"):
        path.write_bytes(content)
        assert Cards(tmp_path).read("m", list(card.files)) is None
    assert [place for place, _ in damaged(tmp_path)] == [path]
    path.write_bytes(whole)
    assert list(damaged(tmp_path)) == []


def test_gc_takes_cards_that_no_run_would_believe_and_those_of_the_model(tmp_path, weights):
    written(tmp_path, weights)
    other = f"{weights}.other"
    with open(other, "wb") as file:
        file.write(b"1")
    written(tmp_path, other, "second")
    assert survey(tmp_path).lost == {}
    found = survey(tmp_path, "second")
    assert list(found.lost.values()) == ["what is known of second"]
    os.unlink(weights)
    found = survey(tmp_path)
    (lost,) = found.lost
    assert found.lost[lost] == "what was known of m, whose files have changed or are gone"
    assert list(collect(tmp_path, found)) == [lost]
    assert [card.model for _, card in Cards(tmp_path).all()] == ["second"]
    path_of(tmp_path).write_bytes(b"?")
    assert "damaged" in next(iter(survey(tmp_path).lost.values()))


def work(store, file, turn):
    """Write and read the same card many times; tell how often it could not be read."""
    lost = 0
    for place in range(30):
        written(store, file, turn=turn, place=place)
        lost += Cards(store).read("m", [file]) is None
    return lost


def test_processes_that_write_one_card_leave_a_whole_one(tmp_path, weights):
    with ProcessPoolExecutor(2) as pool:
        tasks = [pool.submit(work, tmp_path, weights, turn) for turn in range(2)]
        assert [task.result() for task in tasks] == [0, 0]
    assert Cards(tmp_path).read("m", [weights]).facts["place"] == 29
    assert [path.name for path in (tmp_path / "models").iterdir()] == [path_of(tmp_path).name]
