import numpy as np
import pytest

from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.pnml import PNML


def slow(case):
    """An image at a time: what maximum likelihood would give to each class if that were its label, normalised."""
    right = np.linalg.pinv(case.unit[0])  # (d, n), the pseudo-inverse of the training rows
    scores = []
    for row in case.unit[1]:
        z = case.w @ row + case.b
        p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
        a = sum((right.T @ row) ** 2)
        s = a / (1 + a)
        genies = [p[c] / (p[c] + np.delete(p, c).sum() * p[c] ** s) for c in range(len(p))]
        scores.append(-np.log(sum(genies)) / np.log(len(p)))
    return scores


def test_equals_loops(case):
    got = PNML().fit(case.x, case.train).score(case.x).numpy()
    assert got == pytest.approx(slow(case), rel=10 * case.rel, abs=10 * case.rel)


def test_fewer_images_than_features(case):
    case.unit, few = (case.unit[0][:7], case.unit[1]), case.train[:7]
    assert PNML().fit(case.x, few).score(case.x).numpy() == pytest.approx(slow(case), rel=1e-4, abs=1e-5)


def test_a_training_set_in_chunks_is_the_same(case, monkeypatch):
    whole = PNML().fit(case.x, case.train).score(case.x).numpy()
    monkeypatch.setattr(Outputs, "chunk_rows", 7)
    fresh = Outputs(case.train.features, head=case.train.head)
    assert PNML().fit(case.x, fresh).score(case.x).numpy() == pytest.approx(whole, rel=1e-5)


def test_golden_values():
    """Two training images along each axis: a = 1 / 2 and s = 1 / 3 for every image; p = (1, 1) / 2 on the diagonal.

    There each class gets (1/2) / (1/2 + 2^(-4/3)); one that is as good as certain has no regret.
    """
    head = Head.linear([[9.0, 0], [0, 9]], [0.0, 0.0])
    train = Outputs([[3.0, 0], [1, 0], [0, 2], [0, 4]], head=head)
    x = Outputs([[5.0, 5]], head=head)
    wanted = -np.log(2 * 0.5 / (0.5 + 2 ** (-4 / 3))) / np.log(2)
    assert PNML().fit(x, train).score(x).tolist() == pytest.approx([wanted], rel=1e-6)
    certain = Head.linear([[99.0, 0], [0, 99]], [0.0, 0.0])
    sure = Outputs([[5.0, 0]], head=certain)
    assert PNML().fit(sure, Outputs(train.features, head=certain)).score(sure).tolist() == pytest.approx([0], abs=1e-9)
