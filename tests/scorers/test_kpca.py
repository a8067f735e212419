import numpy as np
import pytest

from ood_toolkit.api.registry import get_registry
from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.scorers.kpca import KPCACoP, KPCACoRP


def slow(kernel, train, queries, ratio):
    """Kernel PCA in its dual form, from kernel values alone: eigenvectors of the centred Gram matrix of training rows.

    The squared error of a query is its centred kernel with itself less its squared coordinates along the components.
    """
    n = len(train)
    gram = np.array([[kernel(a, b) for b in train] for a in train])
    values, vectors = np.linalg.eigh(gram - gram.mean(0) - gram.mean(1)[:, None] + gram.mean())
    order = np.argsort(values)[::-1]
    shares, kept, total = [], [], max(values.sum(), 0)
    for i in order:
        kept.append(i)
        shares.append(values[i])
        if sum(shares) >= ratio * total:
            break
    scores = []
    for query in queries:
        near = np.array([kernel(query, row) for row in train])
        own = kernel(query, query) - 2 * near.mean() + gram.mean()
        centred = near - near.mean() - gram.mean(axis=1) + gram.mean()
        along = sum((vectors[:, i] @ centred) ** 2 / values[i] for i in kept)
        scores.append(-np.sqrt(own - along))
    assert 0 < len(kept) < n
    return scores


def cosine(a, b):
    return a @ b / np.sqrt((a @ a) * (b @ b))


def random_features(gamma, m, seed, width):
    """Give the kernel that random Fourier features of a seed make of two rows."""
    draw = np.random.default_rng(seed)
    directions, phases = draw.normal(0, np.sqrt(2 * gamma), (m, width)), draw.uniform(0, 2 * np.pi, m)

    def kernel(a, b):
        a, b = (np.cos(directions @ (row / np.sqrt(row @ row)) + phases) for row in (a, b))
        return 2 / m * (a @ b)

    return kernel


@pytest.mark.parametrize("ratio", [None, 0.5])
def test_cop_equals_the_dual_form(case, ratio):
    scorer = (KPCACoP() if ratio is None else KPCACoP(ratio)).fit(case.x, case.train[:60])
    wanted = slow(cosine, case.raw[0][:60], case.raw[1][:20], ratio or 0.9)
    assert scorer.score(case.x[:20]).numpy() == pytest.approx(wanted, rel=10 * case.rel)


@pytest.mark.parametrize(("gamma", "m", "seed", "ratio"), [(1.0, 64, 0, 0.9), (3.0, 40, 7, 0.6)])
def test_corp_equals_the_dual_form(case, gamma, m, seed, ratio):
    scorer = KPCACoRP(ratio, gamma, m, seed).fit(case.x, case.train[:60])
    wanted = slow(random_features(gamma, m, seed, 12), case.raw[0][:60], case.raw[1][:20], ratio)
    assert scorer.score(case.x[:20]).numpy() == pytest.approx(wanted, rel=10 * case.rel)


def test_random_features_stand_for_the_cosine_gaussian_kernel(case):
    mapped = KPCACoRP(gamma=2.0, m=512).fit(case.x, case.train).mapped(case.x.embeddings[:20].double())
    unit = case.unit[1][:20]
    wanted = np.exp(-2.0 * ((unit[:, None] - unit) ** 2).sum(axis=2))
    assert (mapped @ mapped.T).numpy() == pytest.approx(wanted, abs=5 / np.sqrt(512))


def test_golden_value():
    """Unit rows (1, 0), (1, 0), (0, 1), (0, -1): the mean is (0.5, 0), the leading direction the second axis."""
    train = Outputs([[2.0, 0], [5, 0], [0, 3], [0, -1]], np.zeros((4, 2)))
    x = Outputs([[4.0, 0], [0, 7], [-1, 0]], np.zeros((3, 2)))
    assert KPCACoP(0.5).fit(x, train).score(x).tolist() == pytest.approx([-0.5, -0.5, -1.5])


def test_a_draw_is_the_same_again_and_another_seed_is_another(case):
    first, again, other = (KPCACoRP(m=32, seed=seed).fit(case.x, case.train).score(case.x) for seed in (3, 3, 4))
    assert first.tolist() == again.tolist()
    assert not np.allclose(first, other)


@pytest.mark.parametrize("scorer", [KPCACoP(), KPCACoRP(m=32)], ids=lambda scorer: scorer.name)
def test_chunks_and_blocks_are_the_same_as_a_whole(case, scorer, monkeypatch):
    whole = scorer.fit(case.x, case.train).score(case.x).numpy()
    monkeypatch.setattr(Outputs, "chunk_rows", 11)
    monkeypatch.setattr("ood_toolkit.scorers.kpca.ROWS", 4)
    fresh = Outputs(case.train.features, head=case.train.head)
    assert scorer.fit(case.x, fresh).score(case.x).numpy() == pytest.approx(whole, rel=1e-6)


def test_their_specs_parse():
    assert get_registry().scorer("kpca-cop:ratio=0.99") == KPCACoP(0.99)
    assert get_registry().scorer("kpca-corp:gamma=2:m=2048:ratio=0.8") == KPCACoRP(0.8, 2.0, 2048)
    assert KPCACoRP(seed=2).spec == "kpca-corp:seed=2"


def test_what_cannot_be_learned_from_is_refused():
    pair = Outputs([[1.0, 0], [0, 1]], np.zeros((2, 2)))
    with pytest.raises(ScorerError, match=r"kpca-cop: ratio=0\.9: the training features have no variance beyond the 1"):
        KPCACoP().fit(pair, pair)
    one = Outputs([[1.0, 1], [2, 2]], np.zeros((2, 2)))
    with pytest.raises(ScorerError, match=r"kpca-corp: ratio=0\.9: the training features have no variance beyond"):
        KPCACoRP(m=8).fit(one, one)
    with pytest.raises(ScorerError, match="kpca-cop: needs train to fit, got none"):
        KPCACoP().fit(pair)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KPCACoP(1.0), "kpca-cop: ratio: expected a number above 0 and below 1, got 1.0"),
        (lambda: KPCACoP(0), "kpca-cop: ratio: expected a number above 0 and below 1, got 0"),
        (lambda: KPCACoRP(gamma=0), "kpca-corp: gamma: expected a number above 0, got 0"),
        (lambda: KPCACoRP(m=2.5), "kpca-corp: m: expected a whole number above 0, got 2.5"),
        (lambda: KPCACoRP(seed=-1), "kpca-corp: seed: expected a whole number of at least 0, got -1"),
    ],
)
def test_parameters_out_of_range_are_refused(make, message):
    with pytest.raises(ScorerError, match=message):
        make()
