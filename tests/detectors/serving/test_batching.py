"""What waits together is decided together, and an error reaches its own request only."""

import asyncio
import time

import numpy as np
import pytest

from ood_toolkit import Detector
from ood_toolkit.detectors.decisions import Decisions
from ood_toolkit.detectors.serving.batcher import Batcher

pytestmark = pytest.mark.quick


def scored(values):
    n = len(values)
    return Decisions(
        np.array(values, float), np.zeros(n), np.ones(n, bool), np.ones(n), np.ones(n), np.zeros(n, int), ("a",)
    )


class Lane:
    """A batcher of lists of numbers, that holds up its first batch until it is told to go on."""

    def __init__(self, most=10):
        self.batches, self.free, self.told = [], asyncio.Event(), []
        self.loop = asyncio.get_running_loop()
        self.batcher = Batcher("test", self.decide, most, lambda found, seconds: self.told.append(len(found)))

    def decide(self, parts):
        self.batches.append(parts)
        if len(self.batches) == 1:
            asyncio.run_coroutine_threadsafe(self.free.wait(), self.loop).result(10)
        values = [value for part in parts for value in part]
        if -1 in values:
            raise ZeroDivisionError("a bad part")
        return scored(values)


def run(scenario, **how):
    async def work():
        lane = Lane(**how)
        task = asyncio.create_task(lane.batcher.run())
        try:
            return await asyncio.wait_for(scenario(lane), 20)
        finally:
            lane.free.set()
            task.cancel()

    return asyncio.run(work())


async def first_held(lane, *parts, kinds=None):
    """Let one part be held up, and the others wait; then give what became of all."""
    tasks = [asyncio.create_task(lane.batcher.ask([0.5], 1))]
    while not lane.batches:
        await asyncio.sleep(0.001)
    for place, part in enumerate(parts):
        kind = None if kinds is None else kinds[place]
        tasks.append(asyncio.create_task(lane.batcher.ask(part, len(part), kind)))
    await asyncio.sleep(0)
    return tasks


def test_parts_that_wait_go_together_up_to_the_most():
    async def scenario(lane):
        tasks = await first_held(lane, [1, 2], [3], [4, 5, 6], [7, 8, 9, 10, 11], [12] * 30, [13])
        assert lane.batcher.rows == 42
        lane.free.set()
        found = await asyncio.gather(*tasks)
        assert [[row["score"] for row in one] for one in found[:4]] == [[0.5], [1, 2], [3], [4, 5, 6]]
        assert len(found[5]) == 30
        assert lane.batches == [[[0.5]], [[1, 2], [3], [4, 5, 6], [13]], [[7, 8, 9, 10, 11]], [[12] * 30]]
        assert lane.told == [1, 7, 5, 30]
        assert lane.batcher.rows == 0

    run(scenario)


def test_kinds_are_not_mixed_and_keep_their_turn():
    async def scenario(lane):
        tasks = await first_held(lane, [1], [2], [3], [4], kinds="abab")
        lane.free.set()
        await asyncio.gather(*tasks)
        assert lane.batches[1:] == [[[1], [3]], [[2], [4]]]

    run(scenario)


def test_an_error_reaches_its_own_request_only():
    async def scenario(lane):
        tasks = await first_held(lane, [1], [-1], [2])
        lane.free.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(one, ZeroDivisionError) for one in found] == [False, False, True, False]
        assert [row["score"] for row in found[3]] == [2]
        assert lane.batches[1:] == [[[1], [-1], [2]], [[1]], [[-1]], [[2]]]

    run(scenario)


def test_who_no_longer_waits_is_left_out():
    async def scenario(lane):
        tasks = await first_held(lane, [1], [2])
        tasks[1].cancel()
        await asyncio.sleep(0)
        assert lane.batcher.rows == 1
        lane.free.set()
        await tasks[2]
        assert lane.batches[1:] == [[[2]]]

    run(scenario)


def test_requests_that_come_together_go_through_the_network_together(client, gate, pngs, asking):
    gate.free.clear()
    post = lambda one: client.post("/predict", content=one, headers={"Content-Type": "image/png"})  # noqa: E731
    first = asking(post, pngs[0])
    assert gate.began.wait(60)  # it is alone with the network before the others come
    rest = asking(post, *pngs[1:6])
    end = time.monotonic() + 60
    while client.portal.call(lambda: client.service.decider.pictures.rows) < 5:
        assert time.monotonic() < end
        time.sleep(0.005)
    gate.free.set()
    found = [*first.answers(), *rest.answers()]
    assert gate.sizes == [1, 5]
    wanted = gate.detector.scorer.spec, [round(score, 4) for score in gate.decide(pngs[:6]).score]
    assert wanted == ("msp", [round(one.json()["decisions"][0]["score"], 4) for one in found])
    assert 'oodkit_batch_rows_bucket{lane="pictures",le="8.0"} 2.0' in client.get("/metrics").text


def test_vectors_of_several_requests_are_decided_together_and_do_not_wait_for_pictures(
    client, gate, pngs, digits, asking, monkeypatch
):
    sizes, whole = [], Detector.decide_rows
    monkeypatch.setattr(
        Detector, "decide_rows", lambda self, rows, *a, **k: sizes.append(len(rows)) or whole(self, rows, *a, **k)
    )
    gate.free.clear()
    picture = asking(lambda one: client.post("/predict", content=one, headers={"Content-Type": "image/png"}), pngs[0])
    gate.began.wait(10)
    x = digits[0].features[:30].tolist()
    vectors = asking(
        lambda rows: client.post("/predict", json={"embeddings": rows}), *(x[at : at + 3] for at in range(0, 30, 3))
    )
    found = vectors.answers()
    assert sum(sizes) == 30
    assert [len(one.json()["decisions"]) for one in found] == [3] * 10
    gate.free.set()
    assert picture.answers()[0].status_code == 200
