import numpy as np
import pytest

from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Head, Outputs
from ood_toolkit.scorers.mahalanobis import Mahalanobis
from ood_toolkit.scorers.mahalanobis_pp import MahalanobisPP
from ood_toolkit.scorers.rmds import RMDS


def slow(rows, labels, queries):
    """Loops over images and classes, in float64."""
    classes = sorted(set(labels[labels >= 0].tolist()))
    rows, labels = rows[labels >= 0], labels[labels >= 0]
    means = {c: sum(rows[i] for i in range(len(rows)) if labels[i] == c) / (labels == c).sum() for c in classes}
    centre = rows.mean(axis=0)
    tied = sum(np.outer(r - means[c], r - means[c]) for r, c in zip(rows, labels, strict=True)) / len(rows)
    total = sum(np.outer(r - centre, r - centre) for r in rows) / len(rows)
    inverse, background = np.linalg.inv(tied), np.linalg.inv(total)
    return np.array(
        [
            max(-(q - m) @ inverse @ (q - m) + (q - centre) @ background @ (q - centre) for m in means.values())
            for q in queries
        ]
    )


@pytest.mark.parametrize("normalise", [False, True])
def test_equals_loops(case, normalise):
    rows, queries = case.unit if normalise else case.raw
    scorer = RMDS(normalise).fit(case.x, case.train)
    wanted = slow(rows, case.labels, queries)
    assert scorer.score(case.x).numpy() == pytest.approx(wanted, rel=case.rel, abs=case.rel * np.abs(wanted).max())


def test_classes_without_images_and_labels_of_minus_one_are_left_out(case):
    labels = np.where(case.labels == 3, -1, case.labels)
    train = Outputs(case.train.features, labels=labels, head=case.train.head)
    wanted = slow(case.raw[0], labels, case.raw[1])
    got = RMDS().fit(case.x, train).score(case.x).numpy()
    assert got == pytest.approx(wanted, rel=case.rel, abs=case.rel * np.abs(wanted).max())


def test_one_class_has_nothing_relative_to_it():
    rows = np.random.default_rng(0).normal(size=(60, 3))
    train = Outputs(rows, np.zeros((60, 1)), labels=np.zeros(60, "i8"))
    assert RMDS().fit(train, train).score(train).numpy() == pytest.approx(np.zeros(60), abs=1e-9)


def test_golden_value():
    """Two classes on a line, at -1 and 1, each with spread 1: tied variance 1, that of all 2."""
    rows = np.array([[-2.0], [0.0], [0.0], [2.0]])
    train = Outputs(rows, np.zeros((4, 2)), labels=[0, 0, 1, 1])
    x = Outputs([[3.0], [0.0], [-1.0]])
    assert RMDS().fit(x, train).score(x).tolist() == pytest.approx([9 / 2 - 4, -1, 1 / 2])
    assert Mahalanobis().fit(x, train).score(x).tolist() == pytest.approx([-4, -1, 0])


def test_labels_are_needed():
    x = Outputs(np.ones((4, 2)), np.zeros((4, 2)))
    with pytest.raises(ScorerError, match=r"^rmds: needs train_labels, training images of at least one class$"):
        RMDS().fit(x, x)
    with pytest.raises(ScorerError, match="rmds: needs train to fit"):
        RMDS().fit(x)


@pytest.mark.parametrize("scorer", [RMDS, Mahalanobis, MahalanobisPP])
@pytest.mark.parametrize(("images", "few"), [(10, True), (11, False)])
def test_too_few_images_to_spread_in_every_direction_are_said(scorer, images, few):
    rows = np.random.default_rng(0).normal(size=(20, 8))
    train = Outputs(rows[:images], labels=np.arange(images) % 3, head=Head.linear(np.ones((3, 8)), None))
    made = scorer().fit(train, train)
    said = f"{images} training images of 3 classes in 8 dimensions: directions in which they do not differ do not count"
    assert [note.partition(",")[0] for note in made.notes_] == ([said] if few else [])
