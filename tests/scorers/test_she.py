import numpy as np
import pytest

from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.scorers.she import SHE

NEAR = {
    "inner": lambda a, b: sum(p * q for p, q in zip(a, b, strict=True)),
    "euclidean": lambda a, b: -np.sqrt(sum((p - q) ** 2 for p, q in zip(a, b, strict=True))),
    "cosine": lambda a, b: (a @ b) / np.sqrt((a @ a) * (b @ b)),
}


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("metric", NEAR)
def test_equals_loops(case, metric, normalise):
    rows, queries = case.unit if normalise else case.raw
    said = case.z[0].argmax(axis=1)
    patterns = [
        np.mean([rows[i] for i in range(len(rows)) if said[i] == c and case.labels[i] == c], axis=0) for c in range(5)
    ]
    wanted = [NEAR[metric](q, patterns[int(z.argmax())]) for q, z in zip(queries, case.z[1], strict=True)]
    scorer = SHE(metric, normalise).fit(case.x, case.train)
    assert scorer.score(case.x).numpy() == pytest.approx(wanted, rel=case.rel, abs=case.rel * np.abs(wanted).max())
    assert scorer.notes_ == []


def test_a_training_set_in_chunks_is_the_same(case, monkeypatch):
    whole = SHE().fit(case.x, case.train).score(case.x).numpy()
    monkeypatch.setattr(Outputs, "chunk_rows", 7)
    fresh = Outputs(case.train.features, labels=case.labels, head=case.train.head)
    assert SHE().fit(case.x, fresh).score(case.x).numpy() == pytest.approx(whole, rel=1e-6)


def test_a_class_never_right_takes_the_mean_of_its_images():
    """Class 1 is right once, with (0, 4); class 2 never, and has (6, 0) and (8, 2)."""
    logits = np.eye(3)[[0, 0, 1, 0, 0, 1]]
    train = Outputs([[1.0, 1], [3, 1], [0, 4], [9, 9], [6, 0], [8, 2]], logits, labels=[0, 0, 1, 1, 2, 2])
    scorer = SHE().fit(train, train)
    assert scorer.patterns_.tolist() == [[2, 1], [0, 4], [7, 1]]
    assert scorer.score(Outputs([[2.0, 3]] * 3, np.eye(3))).tolist() == [7, 12, 17]
    said = "1 of 3 classes have no rightly classified training image; they take the mean of all of theirs"
    assert scorer.notes_ == [said]


def test_a_class_without_images_takes_the_mean_of_all():
    """Classes 2 and 3 have no image; class 1 is never right; an image of no class, (99, 99), counts nowhere."""
    train = Outputs([[1.0, 1], [3, 1], [8, 4], [99, 99]], np.eye(4)[[0, 0, 2, 1]], labels=[0, 0, 1, -1])
    scorer = SHE().fit(train, train)
    assert scorer.patterns_.tolist() == [[2, 1], [8, 4], [4, 2], [4, 2]]
    assert scorer.score(Outputs([[2.0, 3]] * 4, np.eye(4))).tolist() == [7, 28, 14, 14]
    assert scorer.notes_ == [
        "1 of 4 classes have no rightly classified training image; they take the mean of all of theirs",
        "2 of 4 classes have no training image; they take the mean of all training images",
    ]


def test_images_of_no_class_are_left_out():
    train = Outputs([[1.0], [5.0], [99.0]], np.eye(2)[[0, 1, 1]], labels=[0, 1, -1])
    assert SHE().fit(train, train).patterns_.tolist() == [[1], [5]]


def test_what_cannot_be_learned_from_is_refused():
    x = Outputs([[1.0], [2.0]], np.eye(2))
    with pytest.raises(ScorerError, match="she: needs train_labels"):
        SHE().fit(x, x)
    none = Outputs([[1.0], [2.0]], np.eye(2), labels=[-1, -1])
    with pytest.raises(ScorerError, match="she: needs train_labels, training images of at least one class"):
        SHE().fit(x, none)
    with pytest.raises(ScorerError, match="she: metric: expected inner, euclidean or cosine, got 'dot'"):
        SHE("dot")
