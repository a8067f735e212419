import numpy as np
import pytest
import torch

from ood_toolkit.errors import OutputsError, ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.glmcm import GLMCM, LocalMCM


def patches(n=20, r=6, k=4, d=12, seed=0):
    """Unit rows of images (n, d), of their patches (n, r, d) and of texts (k, d), float64."""
    draw = np.random.default_rng(seed)
    rows = [draw.normal(size=shape) for shape in ((n, d), (n, r, d), (k, d))]
    return [row / np.linalg.norm(row, axis=-1, keepdims=True) for row in rows]


def slow(images, local, texts):
    """G = max_k softmax(v . t)_k and L = max_{r,k} softmax(l_r . t)_k, image by image and patch by patch."""

    def largest(row):
        powers = [np.exp(row @ text) for text in texts]
        return max(powers) / sum(powers)

    return np.array([largest(v) for v in images]), np.array([max(largest(row) for row in rows) for rows in local])


def outputs(images, local, texts, scale=100.0):
    head = Head.zero_shot(texts.astype(np.float32), [str(i) for i in range(len(texts))], scale)
    return Outputs(images.astype(np.float32), extras={"local": local}, head=head)


@pytest.mark.parametrize("lam", [0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_equals_the_slow_formula(lam, scale):
    images, local, texts = patches()
    g, best = slow(images, local, texts)
    x = outputs(images, best.astype(np.float32), texts, scale)
    assert GLMCM(lam).score(x).numpy() == pytest.approx(g + lam * best, rel=1e-6)
    parts = torch.cat([GLMCM(lam).score(part) for part in x.chunks(3)])
    assert parts.numpy() == pytest.approx(g + lam * best, rel=1e-6)
    assert LocalMCM().score(x).numpy() == pytest.approx(best, rel=1e-6)
    assert LocalMCM().score(x[4:9]).numpy() == pytest.approx(best[4:9], rel=1e-6)


def test_golden_values_with_a_local_part():
    x = outputs(*(np.array(rows) for rows in ([[1, 0.2, 0], [0.1, 0.1, 1]], [0.25, 0.75], [[1, 0, 0.1], [0, 1, 0.1]])))
    assert GLMCM().score(x).numpy() == pytest.approx([0.68580325 + 0.25, 0.5 + 0.75], abs=3e-8)
    assert GLMCM(0.5).score(x).numpy() == pytest.approx([0.68580325 + 0.125, 0.5 + 0.375], abs=3e-8)


def test_half_precision_and_double_local_numbers():
    images, local, texts = patches()
    best = slow(images, local, texts)[1]
    for dtype in (np.float16, np.float64):
        score = LocalMCM().score(outputs(images, best.astype(dtype), texts))
        assert score.dtype == torch.float64
        assert score.tolist() == best.astype(dtype).astype(np.float64).tolist()


@pytest.mark.parametrize("shape", [(20, 2), (20, 1), (20, 3, 4)])
@pytest.mark.parametrize("scorer", [GLMCM(), LocalMCM()], ids=lambda scorer: scorer.name)
def test_more_than_one_number_an_image_is_refused(scorer, shape):
    images, _, texts = patches()
    with pytest.raises(ScorerError, match=r"extra:local: expected one number an image, got shape \(20, "):
        scorer.score(outputs(images, np.zeros(shape), texts))


@pytest.mark.parametrize("lam", [-0.5, float("nan"), float("inf"), "half"])
def test_wrong_lambda(lam):
    with pytest.raises(ScorerError, match="gl-mcm: lam: expected a number of at least 0, got"):
        GLMCM(lam)


def test_needs_texts_and_declares_the_paper_s_prompt():
    with pytest.raises(OutputsError, match="cosine: needs zero_shot"):
        GLMCM().score(Outputs(logits=[[1.0, 2.0]], extras={"local": [0.5]}))
    for scorer in (GLMCM(), LocalMCM()):
        assert scorer.prompts.templates == ("a photo of a {}",)
    assert GLMCM().lam == 1.0


@pytest.mark.parametrize("scorer", [GLMCM(), LocalMCM()], ids=lambda scorer: scorer.name)
def test_says_that_the_local_part_is_missing(scorer, make_outputs):
    with pytest.raises(ScorerError, match=f"{scorer.name}: needs extra:local"):
        scorer.score(make_outputs(4))
