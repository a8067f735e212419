import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import weibull_min

from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.scorers.openmax import OpenMax, fitted_weibull


def made(n=300, k=6, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n)
    return scale * (2 * rng.normal(size=(n, k)) + 5 * np.eye(k)[labels]), labels


def tails_of(logits, labels, tail):
    """Mean logits and the largest distances of each class, by loops over the images that are classified right."""
    found = {}
    for c in range(logits.shape[1]):
        rows = [row for row, label in zip(logits, labels, strict=True) if label == c and np.argmax(row) == c]
        if not rows:
            continue
        mean = np.mean(rows, axis=0)
        found[c] = mean, np.array(sorted(np.sqrt(((row - mean) ** 2).sum()) for row in rows)[-tail:])
    return found


def weibull(moved):
    """Shape and scale of the most likely Weibull distribution, by the textbook equation for the shape."""
    y = moved / moved.max()

    def equation(shape):
        return (y**shape * np.log(y)).sum() / (y**shape).sum() - 1 / shape - np.log(y).mean()

    shape = brentq(equation, 1.0, 1e8, xtol=1e-12, rtol=1e-14)
    return shape, moved.max() * (y**shape).mean() ** (1 / shape)


def slow(logits, labels, asked, tail, alpha):
    """The definition in loops, with scipy's distribution function."""
    models = {}
    for c, (mean, distances) in tails_of(logits, labels, tail).items():
        moved = 10_000 + distances - distances.min()
        models[c] = mean, distances.min(), *weibull(moved)
    found = []
    for row in asked:
        alive, unknown, revised = min(alpha, len(row)), 0.0, np.array(row)
        for i, c in enumerate(np.argsort(row)[::-1][:alive], start=1):
            mean, least, shape, scale = models[c]
            beyond = weibull_min.cdf(10_000 + np.sqrt(((row - mean) ** 2).sum()) - least, shape, scale=scale)
            share = beyond * (alive + 1 - i) / alive
            revised[c], unknown = row[c] * (1 - share), unknown + row[c] * share
        e = np.exp(np.append(revised, unknown) - max(revised.max(), unknown))
        found.append(1 - e[-1] / e.sum())
    return found


@pytest.mark.parametrize("alpha", [1, 3, 10])
@pytest.mark.parametrize("tail", [5, 20, 1000])
def test_equals_loops_and_scipy(alpha, tail):
    logits, labels = made()
    asked = np.random.default_rng(1).normal(1, 3, (60, 6))
    fitted = OpenMax(tail, alpha).fit(Outputs.from_logits(logits), Outputs.from_logits(logits, labels))
    wanted = slow(logits, labels, asked, tail, alpha)
    assert np.ptp(wanted) > 0.1
    assert fitted.score(Outputs.from_logits(asked)).numpy() == pytest.approx(wanted, rel=1e-6, abs=1e-9)


def test_the_weibull_fit_is_the_most_likely_one():
    import torch

    rng = np.random.default_rng(0)
    rows = np.sort(rng.gamma(2.0, 3.0, (8, 20)), axis=1)[:, ::-1].copy()
    there = np.ones((8, 20), dtype=bool)
    there[0, 7:], rows[0, 7:] = False, 0.0
    size, shape, offset = (part.numpy() for part in fitted_weibull(torch.from_numpy(rows), torch.from_numpy(there)))
    scale = size * np.exp(offset)
    for row, known, a, b in zip(rows, there, shape, scale, strict=True):
        y = 10_000 + row[known] - row[known].min()
        # Both derivatives of the log likelihood, of log a and log b, vanish.
        u = np.log(y / b)
        assert np.mean(np.exp(a * u)) == pytest.approx(1, abs=1e-9)
        assert np.mean(1 / a + u - u * np.exp(a * u)) * a == pytest.approx(0, abs=1e-7)


def test_wrong_training_images_are_left_out_and_chunks_change_nothing(monkeypatch):
    logits, labels = made(n=700)
    right = logits.argmax(axis=1) == labels
    assert 0.5 < right.mean() < 1
    asked = Outputs.from_logits(np.random.default_rng(1).normal(1, 3, (60, 6)))
    once = OpenMax().fit(asked, Outputs.from_logits(logits[right], labels[right])).score(asked)
    monkeypatch.setattr("ood_toolkit.outputs.derived.CHUNK_BYTES", 1)
    again = OpenMax().fit(asked, Outputs.from_logits(logits, labels)).score(asked)
    assert again.numpy() == pytest.approx(once.numpy(), rel=1e-9)


def test_classes_without_a_tail_are_said_and_count_as_unknown():
    logits, labels = made()
    keep = (labels != 2) & (labels != 4)
    keep[np.flatnonzero((labels == 4) & (logits.argmax(axis=1) == 4))[0]] = True  # one image: no tail either
    fitted = OpenMax(alpha=1).fit(Outputs.from_logits(logits), Outputs.from_logits(logits[keep], labels[keep]))
    assert fitted.notes_ == ["2 of 6 classes have no tail of distances"]
    asked = 8.0 * np.eye(6)[[2, 4]]
    # The whole logit goes to the unknown class: 0, ..., 0 against 8.
    wanted = 1 - np.exp(8) / (np.exp(8) + 6)
    assert fitted.score(Outputs.from_logits(asked)).numpy() == pytest.approx([wanted, wanted], rel=1e-9)
    alone = logits[keep][labels[keep] == 4]
    own = alone[alone.argmax(axis=1) == 4]
    e = np.exp(own[0])
    assert fitted.score(Outputs.from_logits(own)).numpy() == pytest.approx([e.sum() / (e.sum() + 1)], rel=1e-9)


@pytest.mark.parametrize("labels", [None, [-1, -1], [1, 0]])
def test_training_without_right_images_is_refused(labels):
    train = Outputs.from_logits([[2.0, 1.0], [0.0, 3.0]], labels)
    with pytest.raises(ScorerError, match="openmax: needs train_labels, at least one training image classified right"):
        OpenMax().fit(train, train)


def test_a_set_of_which_images_are_left_out_is_walked_and_never_copied(monkeypatch):
    logits, labels = made(n=700)
    labels[::3] = -1
    few = Outputs.from_logits(logits[labels >= 0], labels[labels >= 0])
    wanted = OpenMax().fit(few, few).far_
    x = Outputs.from_logits(logits, labels)
    monkeypatch.setattr(Outputs, "chunk_rows", 64)
    monkeypatch.setattr(Outputs, "_places", lambda self, index: pytest.fail("copied"))
    found = OpenMax().fit(x, x).far_
    assert np.asarray(found) == pytest.approx(np.asarray(wanted), rel=1e-9)
