import numpy as np
import pytest
from sklearn.covariance import EmpiricalCovariance

from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.mahalanobis import Mahalanobis


def outputs(features, labels=None, k=4):
    return Outputs(features, labels=labels, head=Head.linear(np.ones((k, features.shape[1])), None))


def made(n=300, d=6, k=4, seed=0, classes=None):
    rng = np.random.default_rng(seed)
    labels = rng.choice(np.arange(k) if classes is None else classes, n)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 3 * labels[:, None], labels


def slow(features, labels, queries, classes):
    """Loops and sklearn's tied covariance, in float64."""
    means = {c: features[labels == c].mean(axis=0) for c in classes}
    known = np.isin(labels, classes)
    centred = np.array([row - means[c] for row, c in zip(features[known], labels[known], strict=True)])
    precision = EmpiricalCovariance(assume_centered=False).fit(centred).precision_
    return [max(-(q - mean) @ precision @ (q - mean) for mean in means.values()) for q in queries]


def test_equals_loops_and_sklearn():
    features, labels = made()
    queries = np.random.default_rng(1).normal(0, 9, (50, 6))
    scorer = Mahalanobis().fit(outputs(features), outputs(features, labels))
    wanted = slow(features, labels, queries, range(4))
    assert scorer.score(outputs(queries)).numpy() == pytest.approx(wanted, rel=1e-9)
    assert max(wanted) < 0


def test_a_far_offset_does_not_cost_digits():
    features, labels = made()
    queries = np.random.default_rng(1).normal(0, 9, (50, 6))
    scorer = Mahalanobis().fit(outputs(features), outputs(features + 1e6, labels))
    assert scorer.score(outputs(queries + 1e6)).numpy() == pytest.approx(
        slow(features, labels, queries, range(4)), rel=1e-6
    )


def test_classes_without_images_and_labels_of_minus_one_are_left_out():
    features, labels = made(classes=[-1, 0, 2])
    queries = np.random.default_rng(1).normal(0, 9, (50, 6))
    scorer = Mahalanobis().fit(outputs(features), outputs(features, labels))
    assert scorer.score(outputs(queries)).numpy() == pytest.approx(slow(features, labels, queries, [0, 2]), rel=1e-9)
    kept = labels >= 0
    again = Mahalanobis().fit(outputs(features), outputs(features[kept], labels[kept]))
    assert again.score(outputs(queries)).numpy() == pytest.approx(scorer.score(outputs(queries)).numpy(), rel=1e-9)


def test_more_dimensions_than_images_take_the_pseudo_inverse():
    features, labels = made(n=12, d=30)
    queries = np.random.default_rng(1).normal(0, 9, (50, 30))
    scorer = Mahalanobis().fit(outputs(features), outputs(features, labels))
    means = {c: features[labels == c].mean(axis=0) for c in set(labels.tolist())}
    centred = np.array([row - means[c] for row, c in zip(features, labels, strict=True)])
    precision = np.linalg.pinv(centred.T @ centred / 12, rcond=1e-10, hermitian=True)
    assert np.linalg.matrix_rank(precision) == 12 - len(means)
    wanted = [max(-(q - mean) @ precision @ (q - mean) for mean in means.values()) for q in queries]
    assert scorer.score(outputs(queries)).numpy() == pytest.approx(wanted, rel=1e-6)


def test_unit_rows_are_used_when_asked():
    features, labels = made()
    queries = np.random.default_rng(1).normal(0, 9, (50, 6))

    def unit(rows):
        return np.array([row / np.sqrt((row**2).sum()) for row in rows])

    scorer = Mahalanobis(normalise=True).fit(outputs(features), outputs(features, labels))
    wanted = slow(unit(features), labels, unit(queries), range(4))
    assert scorer.score(outputs(queries * 5)).numpy() == pytest.approx(wanted, rel=1e-8)


def test_a_training_set_in_chunks_is_the_same(monkeypatch):
    features, labels = made(n=900)
    queries = np.random.default_rng(1).normal(0, 9, (50, 6))
    monkeypatch.setattr("ood_toolkit.outputs.derived.CHUNK_BYTES", 1)
    scorer = Mahalanobis().fit(outputs(features), outputs(features, labels))
    assert scorer.score(outputs(queries)).numpy() == pytest.approx(slow(features, labels, queries, range(4)), rel=1e-9)


@pytest.mark.parametrize(
    ("labels", "features", "message"),
    [
        (None, np.ones((4, 2)), "mahalanobis: needs train_labels"),
        ([-1] * 4, np.ones((4, 2)), "mahalanobis: needs train_labels"),
        ([0, 0, 1, 1], np.ones((4, 2)), "mahalanobis: the training features have no spread around their class means"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(labels, features, message):
    with pytest.raises(ScorerError) as error:
        Mahalanobis().fit(outputs(features), outputs(features, labels))
    assert str(error.value).startswith(message)
