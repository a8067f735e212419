"""Discovery of three digits that the model itself has never seen: training it takes minutes."""

import json
import os
import subprocess
import sys

import pytest

from ood_toolkit.data.catalogue.digits import DIGITS

HIDDEN = ("zero", "four", "seven")


@pytest.mark.slow
def test_digits_hidden_from_the_model_are_found_and_learnt(tmp_path):
    known = ",".join(name for name in DIGITS.classes if name not in HIDDEN)
    weights, out = tmp_path / "seven.safetensors", tmp_path / "found"
    trainer = [
        sys.executable,
        "-m",
        "ood_toolkit.learning.digits_clip.train",
        "--output",
        str(weights),
        "--classes",
        known,
    ]
    subprocess.run(trainer, check=True, capture_output=True)
    line = ["discover", "--id", f"without:digits:{'+'.join(HIDDEN)}", "--among", "digits", "--output", str(out)]
    subprocess.run(
        [sys.executable, "-m", "ood_toolkit", *line, "--model", f"digits-clip:weights={weights}"],
        check=True,
        capture_output=True,
        env=os.environ | {"OODKIT_STORE": str(tmp_path / "store"), "OODKIT_NO_PLUGINS": "1"},
    )
    said = json.loads((out / "clusters.json").read_text())
    assert said["clusters_found"]["purity"] >= 0.9
    assert said["clusters_written"]["purity"] >= 0.9
    assert said["clusters_found"]["classes_found"] == 3
    assert said["new_accuracy"] >= 0.9
    assert said["id_accuracy"]["new_head"] >= said["id_accuracy"]["own_head"] - 0.01
