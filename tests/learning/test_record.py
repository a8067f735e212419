import csv
import json
from dataclasses import replace

import pytest

from ood_toolkit.errors import TrainingError
from ood_toolkit.learning import record as module
from ood_toolkit.learning.record import EPOCHS, RECORD, Record

pytestmark = pytest.mark.quick

DATA = {"train": {"name": "toys", "fingerprint": "12ab"}}
MADE = Record("cma", {"lr": 0.1}, DATA, {"name": "toy"}, seed=3, command=["train", "cma"])


def test_what_decided_a_run_and_what_came_of_it_is_written(tmp_path):
    MADE.write(tmp_path, [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25, "gap": 0.1}], {"gap": 0.1})
    said = json.loads((tmp_path / RECORD).read_text())
    assert {"kind": "cma", "config": {"lr": 0.1}, "seed": 3, "command": ["train", "cma"]}.items() <= said.items()
    assert {"torch", "python"} <= set(said["versions"])
    with (tmp_path / EPOCHS).open(newline="") as file:
        assert [row["gap"] for row in csv.DictReader(file)] == ["", "0.1"]


def test_a_run_that_stops_while_it_writes_does_not_look_finished(tmp_path, monkeypatch):
    """The record is what tells a finished run, so nothing may be left to write after it."""
    real = module.replaced_file

    def stops(place):
        if place.name == EPOCHS:
            raise KeyboardInterrupt
        return real(place)

    monkeypatch.setattr(module, "replaced_file", stops)
    with pytest.raises(KeyboardInterrupt):
        MADE.write(tmp_path, [{"epoch": 1}], {})
    assert not (tmp_path / RECORD).exists()


def test_what_is_no_number_is_null(tmp_path):
    record = Record("head", {"a": (1, float("inf"))}, {}, {}, 0, command=[])
    record.write(tmp_path, [{"epoch": 1, "loss": float("nan")}], {"x": [float("nan"), 2.5]})
    held = json.loads((tmp_path / RECORD).read_text(), parse_constant=lambda name: pytest.fail(name))
    assert (held["config"]["a"], held["epochs"][0]["loss"], held["result"]["x"]) == ([1, None], None, [None, 2.5])
    assert held["computed"]["processes"] == 1


@pytest.mark.parametrize(
    ("change", "there", "asked"),
    [
        ({"config": {"lr": 0.2}}, '"lr": 0.1', '"lr": 0.2'),
        ({"config": {"lr": 0.1, "crop": True}}, "nothing else", '"crop": true'),
        ({"data": {"train": {"name": "toys", "fingerprint": "ff"}}}, '"12ab"', '"train fingerprint": "ff"'),
        ({"data": {**DATA, "val": {"fingerprint": "cd"}}}, "nothing else", '"val fingerprint": "cd"'),
        ({"model": {"name": "toy", "fingerprint": "1"}}, "nothing else", '"model fingerprint": "1"'),
        ({"kind": "clipn"}, '"kind": "cma"', '"kind": "clipn"'),
    ],
)
def test_a_finished_run_is_read_by_one_that_decides_the_same_alone(tmp_path, change, there, asked):
    MADE.write(tmp_path, [{"epoch": 1}], {"gap": 0.1})
    assert MADE.read(tmp_path)["result"] == {"gap": 0.1}
    assert Record(MADE.kind, MADE.config, {"train": {"name": "b/../toys", "fingerprint": "12ab"}}, MADE.model, 0).read(
        tmp_path
    )
    with pytest.raises(TrainingError, match="it holds a run with other settings or data; give those, or") as refused:
        replace(MADE, **change).read(tmp_path)
    _, _, told = str(refused.value).partition("there: ")
    assert there in told.partition("; asked: ")[0]
    assert asked in told.partition("; asked: ")[2]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"kind": 1, "config": [], "data": {}, "model": {}}', "\0", ""])
def test_a_damaged_record_is_one_line(tmp_path, text):
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(TrainingError, match=RECORD) as refused:
        MADE.read(tmp_path)
    assert "\n" not in str(refused.value)
