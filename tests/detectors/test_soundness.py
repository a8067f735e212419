import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, safe_open, save_file

from ood_toolkit import Detector, Head, Outputs
from ood_toolkit.detectors.file import digest_of
from ood_toolkit.errors import DetectorError

WIDTH, CLASSES = 6, ("cat", "dog", "car")


@pytest.fixture
def edited(tmp_path):
    """Save a detector, change its header and arrays, sign it again, and load it."""
    draw = torch.Generator().manual_seed(0)
    head = Head.zero_shot(torch.randn(3, WIDTH, generator=draw), CLASSES)
    val = Outputs(torch.randn(60, WIDTH, generator=draw), labels=np.arange(60) % 3, head=head)

    def load(change, spec="msp", train=None):
        file = tmp_path / "d.safetensors"
        Detector.fit(spec, val, train=train).save(file)
        arrays = load_file(file)
        with safe_open(file, framework="pt") as held:
            about = json.loads(held.metadata()["oodkit"])
        del about["digest"]
        about["probe"] = None  # nothing but the check of the made-up rows is left
        arrays = {name: array for name, array in arrays.items() if not name.startswith("probe")}
        change(about, arrays)
        save_file(arrays, file, {"oodkit": json.dumps({**about, "digest": digest_of(about, arrays)})})
        return Detector.load(file)

    load.train = Outputs(torch.randn(60, WIDTH, generator=draw), labels=np.arange(60) % 3, head=head)
    return load


@pytest.mark.parametrize("spec", ["msp", "energy", "classwise", "mcm", "knn:k=3", "mahalanobis", "gen"])
def test_a_sound_detector_loads_and_predicts(edited, spec):
    found = edited(lambda about, arrays: None, spec, edited.train)
    assert found.predict(np.ones((2, WIDTH), np.float32)).shape == (2,)


def put(**values):
    return lambda about, arrays: about.update(values)


def cut(name, part):
    def change(about, arrays):
        arrays[name] = arrays[name][part].clone()

    return change


@pytest.mark.parametrize(
    ("spec", "change", "message"),
    [
        ("msp", put(classes="3"), "classes: expected a whole number, got '3'"),
        ("msp", put(classes=-1), "classes: expected a whole number, got -1"),
        ("msp", put(width=2**40), "width: expected a whole number"),
        ("msp", put(classes=4), "its head is of 3 classes and width 6"),
        ("msp", put(probe={"items": {"x": "no arrays", "scores": "none"}}), "damaged"),
        ("msp", put(class_names=["a"]), "class_names: expected 3, got 1"),
        ("msp", cut("head.weight", slice(None, None, 2)), "damaged"),
        ("msp", lambda about, arrays: arrays.update({"head.weight": arrays["head.weight"] * float("nan")}), "finite"),
        ("knn:k=3", cut("state.index_", (slice(None), slice(0, 4))), "damaged"),
        ("classwise", cut("state.thresholds_", slice(0, 2)), "damaged"),
    ],
)
def test_a_detector_that_cannot_predict_is_refused_when_it_is_loaded(edited, spec, change, message):
    if spec.startswith(("knn", "classwise")):
        names = []
        edited(lambda about, arrays: names.extend(arrays), spec, edited.train)
        state = next(name for name in names if name.startswith("state."))
        change = cut(state, (slice(None), slice(0, 4)) if spec.startswith("knn") else slice(0, 2))
    with pytest.raises(DetectorError, match=message) as caught:
        edited(change, spec, edited.train)
    assert "\n" not in str(caught.value)
