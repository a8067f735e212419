import numpy as np
import pytest

from ood_toolkit.learning.seminar.figures import published


@pytest.fixture
def vectors(data):
    return data / "embeddings" / "openai_clip_vit_b32"


def test_the_seminar_runs_on_the_embedded_sets_and_shows_every_printed_figure(oodkit, tmp_path):
    done = oodkit("bench", "--preset", "ust-etri", "--on", "embedded", "--output", tmp_path / "run")
    assert done.code == 0, done.err
    figures = published()
    for row in figures.detection:
        assert f" {row.rate:.2f} " in done.out
    for row in figures.uncertainty:
        for value in row.values.values():
            assert f" {value:.3f} " in done.out
    for part in figures.sets:
        for value in (*part.zero_shot, *part.fine_tuned):
            assert f"{value:.2f}" in done.out
    assert "Printed figures are of the seminar's own sets" in done.out
    again = oodkit("report", tmp_path / "run")
    assert again.code == 0
    assert again.out.splitlines()[0] == done.out.splitlines()[0]
    assert "TNR@TPR95" in again.out


def test_the_seminar_runs_on_real_vectors(oodkit, vectors):
    held = oodkit("bench", "--preset", "ust-etri", "--on", vectors, "--format", "json").read["seminar"]
    accuracy = {(row["role"], row["model"]): row["measured_test"] for row in held["accuracy"]}
    assert accuracy["Food-101", "zero-shot"] == pytest.approx(95.8, abs=0.01)
    assert accuracy["Food-101", "fine-tuned"] > 97.5
    food = {row["thresholds"]: row["f1"] for row in held["uncertainty"] if row["role"] == "Food-101"}
    assert food["class-wise"] > max(food["mean"], food["grid"])  # as the seminar has it


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--on", "embedded", "--scorers", "msp"], 2, "--scorers: does not go with --preset ust-etri"),
        (["--on", "embedded", "--id", "digits"], 2, "--id: does not go with --preset ust-etri"),
        (["--on", "nowhere", "--model", "digits-clip"], 2, "--model: the vectors in nowhere are used as they are"),
        (["--on", "nowhere", "--limit", "5"], 2, "--limit: the vectors in nowhere are used as they are"),
        (["--on", "nowhere"], 1, "expected image_cifar10_test500.npz"),
        ([], 1, "cifar10"),
    ],
)
def test_what_the_seminar_cannot_do_is_said(oodkit, options, code, said):
    done = oodkit("bench", "--preset", "ust-etri", *options)
    assert done.code == code
    assert said in done.err


def test_on_goes_with_the_seminar_alone(oodkit):
    done = oodkit("bench", "--on", "embedded")
    assert (done.code, "--on: goes with --preset ust-etri" in done.err) == (2, True)


def test_damaged_vectors_are_named(oodkit, vectors, tmp_path):
    for file in vectors.glob("*.npz"):
        (tmp_path / file.name).symlink_to(file)
    damaged = tmp_path / "image_objects130.npz"
    damaged.unlink()
    damaged.write_bytes(b"PK not a file")
    asked = ("bench", "--preset", "ust-etri", "--on", tmp_path)
    oodkit(*asked).is_refused("image_objects130.npz: expected an .npz file")
    np.savez(damaged, labels=np.array(["flower"]))
    oodkit(*asked).is_refused("image_objects130.npz: expected the arrays embeddings, labels")
