import numpy as np
import pytest
from scipy.stats import multivariate_normal

from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.scorers.gmm import GMM


def outputs(features, labels=None, k=4):
    return Outputs(features, np.zeros((len(features), k)), labels)


def made(n=300, d=6, classes=(0, 1, 2, 3), seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, n, p=np.arange(1, len(classes) + 1) / sum(range(1, len(classes) + 1)))
    features = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) * (1 + labels[:, None]) + 3 * labels[:, None]
    return features, labels


def slow(features, labels, queries, reg=1e-6):
    """Loops over classes and scipy's normal density, in float64."""
    classes = sorted(set(labels[labels >= 0].tolist()))
    known = sum(int((labels == c).sum()) for c in classes)
    covariances = {c: np.cov(features[labels == c].T, bias=True) for c in classes}
    spread = sum(np.trace(covariances[c]) * (labels == c).sum() for c in classes) / known / features.shape[1]
    parts = []
    for c in classes:
        covariance = covariances[c] + reg * spread * np.eye(features.shape[1])
        density = multivariate_normal(features[labels == c].mean(axis=0), covariance).logpdf(queries)
        parts.append(np.log((labels == c).sum() / known) + density)
    return np.logaddexp.reduce(parts, axis=0)


@pytest.mark.parametrize("reg", [1e-6, 0.1])
@pytest.mark.parametrize("size", [1.0, 1e4, 1e-4])
def test_equals_scipy(reg, size):
    features, labels = made()
    queries = np.random.default_rng(1).normal(0, 9, (50, 6))
    scorer = GMM(reg).fit(outputs(features), outputs(size * features, labels))
    wanted = slow(size * features, labels, size * queries, reg)
    assert scorer.score(outputs(size * queries)).numpy() == pytest.approx(wanted, rel=1e-8)


def test_classes_without_images_and_labels_of_minus_one_are_left_out():
    features, labels = made(classes=(-1, 0, 2))
    queries = np.random.default_rng(1).normal(0, 9, (50, 6))
    scorer = GMM().fit(outputs(features), outputs(features, labels))
    assert scorer.means_.shape == (2, 6)
    assert scorer.score(outputs(queries)).numpy() == pytest.approx(slow(features, labels, queries), rel=1e-8)


def test_fewer_images_than_dimensions_and_a_class_of_one_image():
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(9, 12)), np.array([0] * 8 + [1])
    scorer = GMM(reg=0.01).fit(outputs(features), outputs(features, labels))
    found = scorer.score(outputs(features + rng.normal(size=(9, 12))))
    assert found.isfinite().all()
    centred = features[:8] - features[:8].mean(axis=0)
    ridge = 0.01 * (centred**2).sum() / 9 / 12 * np.eye(12)
    parts = [
        np.log(8 / 9)
        + multivariate_normal(features[:8].mean(axis=0), centred.T @ centred / 8 + ridge).logpdf(features),
        np.log(1 / 9) + multivariate_normal(features[8], ridge).logpdf(features),
    ]
    assert scorer.score(outputs(features)).numpy() == pytest.approx(np.logaddexp.reduce(parts, axis=0), rel=1e-8)


def test_unit_rows_are_used_when_asked():
    features, labels = made()
    queries = np.random.default_rng(1).normal(0, 9, (50, 6))

    def unit(rows):
        return np.array([row / np.sqrt((row**2).sum()) for row in rows])

    scorer = GMM(normalise=True).fit(outputs(features), outputs(features, labels))
    assert scorer.score(outputs(5 * queries)).numpy() == pytest.approx(
        slow(unit(features), labels, unit(queries)), rel=1e-7
    )


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "gmm: needs train_labels"),
        ([-1] * 4, "gmm: needs train_labels"),
        ([0, 0, 1, 1], "gmm: the training features have no spread around their class means"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(labels, message):
    with pytest.raises(ScorerError) as error:
        GMM().fit(outputs(np.ones((4, 2))), outputs(np.ones((4, 2)), labels))
    assert str(error.value).startswith(message)
