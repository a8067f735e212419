"""On real outputs the thresholds accept about 95 % of fresh ID; benchmarks/calibration.py prints the whole table."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from ood_toolkit import bench, get_registry
from ood_toolkit.scorers.thresholds import threshold

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "calibration.py"
QUICK = [
    "msp",
    "maxlogit",
    "energy",
    "klm",
    "temperature",
    "react",
    "vra",
    "logitgap-adaptive",
    "mahalanobis",
    "classwise",
]
SEEDS = range(5)


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("calibration_table", SCRIPT)
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made  # dataclasses look their module up
    spec.loader.exec_module(made)
    yield made
    del sys.modules[spec.name]


@pytest.mark.parametrize("n", [200, 500])
def test_fresh_images_are_accepted_as_the_threshold_says(script, data, n, monkeypatch):
    monkeypatch.setenv("OODKIT_NO_PLUGINS", "1")
    monkeypatch.setitem(script.__dict__, "FRESH", 2000)
    monkeypatch.setitem(script.__dict__, "TRAIN", 1000)
    found = script.shares(QUICK, script.resnet_draw(data), n, SEEDS)
    assert set(found) == set(QUICK)
    missed = {spec: np.mean(shares) for spec, shares in found.items() if abs(np.mean(shares) - 95) > 3}
    assert missed == {}


def test_taken_from_what_it_learnt_the_threshold_of_klm_misses(script, data):
    draw = script.resnet_draw(data)(0, 50)
    fitted = get_registry().scorer("klm").fit(draw.val)
    cut, _ = threshold("tpr", fitted.score(draw.val))
    assert (fitted.score(draw.fresh).numpy() >= cut).mean() < 0.85


def test_draws_are_disjoint_and_of_the_data(script, data):
    for drawn, names in ((script.resnet_draw(data), None), (script.food_draw(data), "negatives")):
        draw = drawn(0, 200)
        assert len(draw.val) == 200
        parts = [part.row_keys for part in (draw.val, draw.train, draw.fresh)]
        for one, other in ((0, 1), (0, 2), (1, 2)):
            assert np.isin(parts[one], parts[other]).mean() < 0.01  # the data holds a few pictures twice
        assert names is None or names in draw.val.head.banks


def test_a_line_marks_what_misses_and_what_is_only_reported(script):
    assert script.line("msp", [[94.0, 96.0], [95.0, 95.0]]) == "| msp | 95.0 (0.7) | 95.0 (0.0) |  |"
    assert script.line("klm", [[79.0, 79.0]]) == "| klm | 79.0 (0.0) | missed |"
    assert script.line("grid", [[70.0]]) == "| grid | 70.0 (0.0) | reported |"


@pytest.mark.parametrize(("mixed", "noted"), [(False, 5), (True, 0)])
def test_what_misses_on_another_split_has_a_note_in_its_rows(script, data, mixed, noted):
    drawn = script.food_draw(data, mixed=mixed)
    draws = [drawn(seed, 500) for seed in SEEDS]
    rows = [bench("variance", draw.fresh, {"val": draw.val}, draw.val).rows[0] for draw in draws]
    shares = [100 * row.id_accepted for row in rows]
    assert bool(abs(np.mean(shares) - 95) > 3) is (noted > 0)
    assert sum(any("unlike validation" in note for note in row.notes) for row in rows) == noted
