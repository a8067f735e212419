import csv
import json

import pytest

from ood_toolkit.learning import record as module
from ood_toolkit.learning.record import EPOCHS, RECORD, Record

pytestmark = pytest.mark.quick

MADE = Record("cma", {"lr": 0.1}, {"train": {"name": "toys"}}, {"name": "toy"}, seed=3, command=["train", "cma"])


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
