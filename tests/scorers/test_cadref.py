import numpy as np
import pytest

from ood_toolkit.api.registry import get_registry
from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.cadref import CADRef, CARef


def softmax(z):
    return np.exp(z - z.max()) / np.exp(z - z.max()).sum()


LOGIT_SCORES = {
    "energy": lambda z: np.log(np.exp(z).sum()),
    "maxlogit": max,
    "msp": lambda z: max(softmax(z)),
    "gen": lambda z: 1 / sum((p * np.delete(softmax(z), c).sum()) ** 0.1 for c, p in enumerate(softmax(z))),
}


def means(case):
    said = [int(z.argmax()) for z in case.z[0]]
    return [np.mean([h for h, y in zip(case.h[0], said, strict=True) if y == c], axis=0) for c in range(5)]


def test_caref_equals_loops(case):
    mean = means(case)
    wanted = [
        -sum(abs(a - b) for a, b in zip(h, mean[int(z.argmax())], strict=True)) / sum(abs(a) for a in h)
        for h, z in zip(case.h[1], case.z[1], strict=True)
    ]
    scorer = CARef().fit(case.x, case.train)
    assert scorer.score(case.x).numpy() == pytest.approx(wanted, rel=case.rel)
    assert scorer.notes_ == []


@pytest.mark.parametrize("by", [None, *LOGIT_SCORES])
def test_cadref_equals_loops(case, by):
    mean, certain = means(case), LOGIT_SCORES[by or "energy"]
    usual = np.mean([certain(z) for z in case.z[0]])
    wanted = []
    for h, z in zip(case.h[1], case.z[1], strict=True):
        y, up, down = int(z.argmax()), 0.0, 0.0
        for j in range(len(h)):
            moved = (h[j] - mean[y][j]) * np.sign(case.w[y][j])
            up, down = up + max(moved, 0), down + max(-moved, 0)
        wanted.append(-(up / certain(z) + down / usual) / sum(abs(a) for a in h))
    scorer = (CADRef() if by is None else CADRef(by)).fit(case.x, case.train)
    assert scorer.score(case.x).numpy() == pytest.approx(wanted, rel=10 * case.rel)


def test_a_training_set_in_chunks_is_the_same(case, monkeypatch):
    whole = CADRef().fit(case.x, case.train).score(case.x).numpy()
    monkeypatch.setattr(Outputs, "chunk_rows", 7)
    fresh = Outputs(case.train.features, head=case.train.head)
    assert CADRef().fit(case.x, fresh).score(case.x).numpy() == pytest.approx(whole, rel=1e-6)


HEAD = Head.linear([[1.0, -1], [-1, 1], [-9, -9]], [0.0, 0.0, 0.0])


def test_golden_values():
    """Class 0 has the mean (3, 1), class 1 (1, 3). (5, 2) is 0: moved by (2, 1), up by 2 and down by 1; ||h|| = 7."""
    train, x = Outputs([[2.0, 1], [4, 1], [1, 3]], head=HEAD), Outputs([[5.0, 2]], head=HEAD)
    scorer = CARef().fit(x, train)
    assert scorer.score(x).tolist() == pytest.approx([-3 / 7])
    certain = CADRef("maxlogit").fit(x, train)  # 3 here, and 1, 3 and 2 in training
    assert certain.score(x).tolist() == pytest.approx([-(2 / 3 + 1 / 2) / 7])


def test_a_class_predicted_for_no_image_takes_the_mean_of_all():
    train = Outputs([[2.0, 1], [4, 1], [1, 3]], head=HEAD, labels=[2, 2, 2])
    scorer = CARef().fit(train, train)
    assert scorer.means_[2].tolist() == pytest.approx([7 / 3, 5 / 3])
    assert scorer.notes_ == ["1 of 3 classes are predicted for no training image; they take the mean of all"]


def test_rows_that_would_divide_by_nothing_stay_finite():
    """A row of zeros, and one whose energy is far below 0: it is among the least in-distribution, not the most."""
    head = Head.linear([[1.0, 0], [0, 1]], [-3.0, -3.0])
    train, x = Outputs([[9.0, 1], [1, 9]], head=head), Outputs([[0.0, 0], [0.1, 0], [9, 1]], head=head)
    for scorer in (CARef(), CADRef()):
        scores = scorer.fit(x, train).score(x)
        assert bool(scores.isfinite().all())
        assert scores.argmax() == 2


def test_what_cannot_be_learned_from_or_asked_for_is_refused():
    low = Outputs([[1.0, 2]], head=Head.linear(HEAD.weight, [-99.0] * 3))
    with pytest.raises(
        ScorerError, match="cadref: expected training images whose energy is above 0 on average, got -9"
    ):
        CADRef().fit(low, low)
    assert CADRef("msp").fit(low, low).score(low).tolist() == [0]
    with pytest.raises(ScorerError, match="cadref: logit_score: expected energy, maxlogit, msp or gen, got 'odin'"):
        CADRef("odin")
    assert get_registry().scorer("cadref:logit_score=gen") == CADRef("gen")
