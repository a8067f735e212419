import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from ood_toolkit.api.registry import get_registry
from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.scorers.neco import NECO


def slow(train, queries, logits, ratio=0.9, dim=None, maxlogit=True):
    """By scikit-learn's scaler and PCA, an image at a time."""
    scaler = StandardScaler().fit(train)
    pca = PCA().fit(scaler.transform(train))
    if dim is None:
        dim = next(q for q in range(1, 99) if sum(pca.explained_variance_ratio_[:q]) >= ratio)
    scores = []
    for query, z in zip(scaler.transform(queries), logits, strict=True):
        along = [query @ direction for direction in pca.components_[:dim]]
        share = np.sqrt(sum(a * a for a in along) / sum(v * v for v in query))
        scores.append(share * max(z) if maxlogit else share)
    return scores


@pytest.mark.parametrize(
    "asked", [{}, {"ratio": 0.5}, {"ratio": 0.99}, {"dim": 3}, {"maxlogit": False}, {"dim": 1, "maxlogit": False}]
)
def test_equals_loops(case, asked):
    wanted = slow(*case.raw, case.z[1], **asked)
    got = NECO(**asked).fit(case.x, case.train).score(case.x).numpy()
    assert got == pytest.approx(wanted, rel=case.rel, abs=case.rel * np.abs(wanted).max())


def test_a_training_set_in_chunks_is_the_same(case, monkeypatch):
    whole = NECO().fit(case.x, case.train).score(case.x).numpy()
    monkeypatch.setattr(Outputs, "chunk_rows", 7)
    fresh = Outputs(case.train.features, head=case.train.head)
    assert NECO().fit(case.x, fresh).score(case.x).numpy() == pytest.approx(whole, rel=1e-6)


def test_golden_values():
    """Mean (0, 0, 5), spread (2, 1, none); s = (1, 1, 0) has half its square along either axis, (0, 2, 0) all or none.

    The first axis leads by a hair, so that q = 1 takes it; an image at the mean scores 0.
    """
    train = Outputs([[2.0, 1, 5], [-2, -1, 5], [2, 1, 5], [-2, -1, 5]], np.zeros((4, 2)))
    x = Outputs([[2.0, 1, 5], [2, -1, 5], [0, 0, 5], [2, 1, 7]], [[3.0, 0], [3, 0], [3, 0], [2, 0]])
    got = NECO().fit(x, train).score(x).tolist()
    assert got == pytest.approx([3, 0, 0, 2 * np.sqrt(2 / 6)], abs=1e-9)


def test_its_spec_parses():
    assert get_registry().scorer("neco:dim=9:maxlogit=false") == NECO(dim=9, maxlogit=False)
    assert NECO().spec == "neco"


def test_what_cannot_be_learned_from_is_refused(case):
    flat = Outputs([[1.0, 1e6 + 2], [1, 1e6 + 2]], np.zeros((2, 2)))
    with pytest.raises(ScorerError, match="neco: the training features have no spread around their mean"):
        NECO().fit(flat, flat)
    with pytest.raises(ScorerError, match="neco: dim=12: expected less than the width of the features, 12"):
        NECO(dim=12).fit(case.x, case.train)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"ratio": 1.0}, "neco: ratio: expected a number above 0 and below 1, got 1.0"),
        ({"dim": 0}, "neco: dim: expected a whole number above 0 or none, got 0"),
        ({"dim": True}, "neco: dim: expected a whole number above 0 or none, got True"),
    ],
)
def test_parameters_out_of_range_are_refused(asked, message):
    with pytest.raises(ScorerError, match=message):
        NECO(**asked)
