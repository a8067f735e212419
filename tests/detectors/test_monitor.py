"""`Monitor`: what it takes, what it refuses, its state, and threads."""

import json
import math
import threading

import numpy as np
import pytest

from ood_toolkit import Detector, DetectorError, Monitor, Outputs
from ood_toolkit.detectors.monitoring.state import held_state
from ood_toolkit.detectors.monitoring.watch import watch

RNG = np.random.default_rng(0)
VAL = Outputs.from_logits(4 * RNG.normal(size=(200, 5)))
ID, OOD = 4 * RNG.normal(size=(400, 5)), RNG.normal(size=(300, 5))


@pytest.fixture
def detector():
    return Detector.fit("maxlogit", VAL, rule="conformal:target=0.9")


def test_decisions_and_their_scores_are_the_same_evidence(detector):
    first, second = Monitor(detector), Monitor(detector)
    decided = detector.decide(ID)
    assert first.observe(decided) is second.observe(decided.score) is False
    assert first.bits == second.bits
    assert first.report().rejected == second.report().rejected
    assert second.report().classes == ()


def test_the_alarm_comes_at_one_image_and_stays_until_a_reset(detector):
    monitor = Monitor(detector, alpha=0.05)
    monitor.observe(detector.decide(ID))
    assert monitor.observe(detector.decide(OOD))
    at = monitor.alarm_at
    one_by_one = Monitor(detector, alpha=0.05)
    scores = [*detector.score(ID), *detector.score(OOD)]
    assert [one_by_one.observe([score]) for score in scores].index(True) + 1 == at
    assert monitor.observe(detector.decide(ID))
    assert monitor.report().alarm_at == at > 400
    assert monitor.report().needed_bits == pytest.approx(math.log2(20))
    monitor.reset()
    found = monitor.report()
    assert (found.alarm, found.alarm_at, found.images, found.resets, found.bits) == (False, None, 0, 1, 0)
    assert not monitor.observe(detector.decide(ID))


def test_rows_without_a_score_are_counted_apart(detector):
    monitor = Monitor(detector)
    rows = ID[:20].copy()
    rows[3] = np.nan
    monitor.observe(detector.decide(rows))
    assert (monitor.images, monitor.report().unreadable) == (19, 1)
    assert "1 more could not be scored" in str(monitor.report())
    assert monitor.observe([]) is False


def test_what_is_no_stream_of_this_detector_is_refused(detector):
    monitor = Monitor(detector)
    wrong = ((Outputs.from_logits(OOD), "got Outputs; give detector.decide"), (["a"], "got list"), (None, "got shape"))
    for bad, said in (([[1.0]], "shape"), ([np.inf], "infinity"), *wrong):
        with pytest.raises(DetectorError, match=said):
            monitor.observe(bad)
    other = Detector.fit("msp", Outputs.from_logits(OOD, class_names=tuple("abcde")))
    with pytest.raises(DetectorError, match="other classes"):
        monitor.observe(other.decide(OOD))
    by_class = Detector.fit("msp", VAL, rule="conformal:by=predicted:target=0.8")
    with pytest.raises(DetectorError, match="not bare scores"):
        Monitor(by_class).observe([0.5])
    assert not Monitor(by_class).report().exact
    assert Monitor(detector).report().exact
    with pytest.raises(DetectorError, match="between 0 and 1"):
        Monitor(detector, alpha=1)
    assert monitor.images == 0


def test_a_detector_whose_p_values_promise_nothing_is_refused():
    val = Outputs.from_logits(4 * RNG.normal(size=(200, 3)), labels=RNG.integers(0, 3, 200))
    with pytest.raises(DetectorError, match="promise nothing"):
        Monitor(Detector.fit("temperature", val))


def test_threads_lose_nothing(detector):
    monitor, parts = Monitor(detector), np.array_split(detector.score(ID), 40)
    threads = [threading.Thread(target=lambda i=i: [monitor.observe(p) for p in parts[i::8]]) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = monitor.report()
    assert found.images == found.rejected.n == 400
    assert found.rejected.count == int((~detector.predict(ID)).sum())


def test_it_goes_on_from_its_file(detector, tmp_path):
    whole, half = Monitor(detector, alpha=0.05, seed=3), Monitor(detector, alpha=0.05, seed=3)
    for part in (ID, OOD, ID):
        whole.observe(detector.decide(part))
        half.observe(detector.decide(part))
        half.save(tmp_path / "s.json")
        half = Monitor.load(tmp_path / "s.json", detector)
    assert half.report() == whole.report()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"detector": "0123"}, "is of detector '0123', this is"),
        ({"kind": "else"}, "expected a state"),
        ({"format": 2}, "is of format 2"),
        ({"alpha": None}, "damaged"),
        ({"counts": {}}, "damaged"),
        ({"alarm_at": 10**6}, "do not fit"),
        ({"evidence": []}, "damaged"),
        ({"seed": -1}, "damaged"),
    ],
)
def test_a_state_that_is_damaged_or_of_another_is_refused(detector, tmp_path, change, said):
    file, monitor = tmp_path / "s.json", Monitor(detector)
    monitor.observe(detector.score(ID))
    monitor.save(file)
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(DetectorError, match=said) as refused:
        Monitor.load(file, detector)
    assert "\n" not in str(refused.value)
    file.write_text(file.read_text()[:-20])
    with pytest.raises(DetectorError, match="damaged"):
        Monitor.load(file, detector)


ODD = (None, -1, 10**400, 0.5, float("nan"), "x", [], {}, [[1]], True)


def test_no_damaged_state_ends_in_anything_but_one_line(detector, tmp_path):
    file, monitor = tmp_path / "s.json", Monitor(detector)
    monitor.observe(detector.score(ID))
    monitor.fed = [{"rows": 400, "first": "a", "chain": "b"}]
    monitor.save(file)
    content, state = file.read_bytes(), json.loads(file.read_text())

    def damaged():
        for place in RNG.integers(0, len(content), 100).tolist():
            yield content[:place]
            yield content[:place] + bytes([int(RNG.integers(256))]) + content[place + 1 :]
        for outer, inner in (("evidence", state["evidence"]), ("counts", state["counts"]), ("fed", state["fed"][0])):
            for name in inner:
                for odd in ODD:
                    changed = {**inner, name: odd}
                    yield json.dumps({**state, outer: [changed] if outer == "fed" else changed}).encode()
        for name in state:
            for odd in ODD:
                yield json.dumps({**state, name: odd}).encode()

    refused = []
    for bad in damaged():
        file.write_bytes(bad)
        try:
            Monitor.load(file, detector).report().lines()
        except DetectorError as error:
            refused.append(str(error))
    assert len(refused) > 300
    assert [said for said in refused if not said.startswith(str(file)) or "\n" in said] == []


def test_a_second_call_waits_for_the_state(detector, tmp_path):
    state = tmp_path / "s.json"
    with held_state(state):
        waiting = threading.Thread(target=watch, args=(detector, list, state))
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        assert not state.exists()
    waiting.join(30)
    assert Monitor.load(state, detector).images == 0
