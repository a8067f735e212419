import numpy as np
import pytest

from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.ora import ORA


def slow(case):
    """An image and a boundary at a time: where the two logits are one, and the angle by its cosine."""
    mean = sum(case.h[0]) / len(case.h[0])
    scores = []
    for h in case.h[1]:
        z = case.w @ h + case.b
        y, angles = int(z.argmax()), [0.0]
        for c in range(len(z)):
            if c == y:
                continue
            across = case.w[y] - case.w[c]
            there = h - (z[y] - z[c]) / (across @ across) * across
            assert case.w[y] @ there + case.b[y] == pytest.approx(case.w[c] @ there + case.b[c])
            a, b = h - mean, there - mean
            angles.append(np.arccos(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1, 1)))
        scores.append(max(angles) / np.pi)
    return scores


def test_equals_loops(case):
    got = ORA().fit(case.x, case.train).score(case.x).numpy()
    assert got == pytest.approx(slow(case), rel=10 * case.rel, abs=10 * case.rel)


def test_a_training_set_in_chunks_is_the_same(case, monkeypatch):
    whole = ORA().fit(case.x, case.train).score(case.x).numpy()
    monkeypatch.setattr(Outputs, "chunk_rows", 7)
    fresh = Outputs(case.train.features, head=case.train.head)
    assert ORA().fit(case.x, fresh).score(case.x).numpy() == pytest.approx(whole, rel=1e-5)


def test_golden_values():
    """The boundary is the diagonal and the mean (0, -1): from there (1, 0) is seen at 45 degrees and its projection,
    (0.5, 0.5), at 90 - 18.43. An image on the boundary has no angle; one at the mean stays finite.
    """
    head = Head.linear([[1.0, 0], [0, 1]], [0.0, 0.0])
    train, x = Outputs([[1.0, -1], [-1, -1]], head=head), Outputs([[1.0, 0], [2, 2], [0, -1]], head=head)
    got = ORA().fit(x, train).score(x)
    beside = np.arctan2(1.5, 0.5) - np.pi / 4
    assert got[:2].tolist() == pytest.approx([beside / np.pi, 0], abs=1e-6)
    assert bool(got.isfinite().all())


def test_classes_of_equal_rows_have_no_boundary():
    head = Head.linear([[1.0, 0], [1, 0]], [0.0, -5.0])
    x = Outputs([[3.0, 1], [1, 2]], head=head)
    assert ORA().fit(x, x).score(x).tolist() == [0, 0]
