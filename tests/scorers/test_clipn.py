import math

import numpy as np
import pytest
import torch

from ood_toolkit.errors import OutputsError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.clipn import CLIPNAgree, CLIPNCompete

IMAGES, TEXTS = np.array([[1, 0.2, 0], [0.1, 0.1, 1]]), np.array([[1, 0, 0.1], [0, 1, 0.1]])
NO = np.array([[0.2, 0.1, 1], [0.1, 0.3, 0.9]])


def slow(yes, no):
    """Both scores of one image from its two rows of logits, in float64."""
    q = [1 / (1 + math.exp(min(b - a, 700))) for a, b in zip(yes, no, strict=True)]
    powers = [math.exp(a - max(yes)) for a in yes]
    return q[int(np.argmax(yes))], math.fsum(p * w for p, w in zip(powers, q, strict=True)) / math.fsum(powers)


def test_golden_values():
    x = Outputs.from_embeddings(IMAGES, Head.zero_shot(TEXTS, "ab", 10.0, no=NO))
    assert CLIPNCompete().score(x).numpy() == pytest.approx([0.99952506, 0.00034135], abs=5e-9)
    assert CLIPNAgree().score(x).numpy() == pytest.approx([0.99935263, 0.00037828], abs=5e-9)


@pytest.mark.parametrize("bias", [0.0, -6.0])
def test_both_equal_the_slow_formulas(make_outputs, bias):
    x = make_outputs(bias=bias)
    wanted = np.array([slow(a, b) for a, b in zip(x.logits.tolist(), x.no_logits.tolist(), strict=True)])
    assert CLIPNCompete().score(x).numpy() == pytest.approx(wanted[:, 0], rel=1e-6)
    assert CLIPNAgree().score(x).numpy() == pytest.approx(wanted[:, 1], rel=1e-5)


@pytest.mark.parametrize("scorer", [CLIPNCompete(), CLIPNAgree()], ids=lambda s: s.name)
def test_both_ends_of_the_range_stay_distinct(scorer):
    # Yes and no texts at right angles: the gap of both classes is scale * (cos - sin), from -36 to 36.
    head = Head.zero_shot([[1.0, 0, 0], [1.0, 0, 0.1]], "ab", scale=36.0, no=[[0.0, 1, 0], [0.0, 1, 0]])
    angles = torch.linspace(0, math.pi / 2, 61)
    x = Outputs.from_embeddings(torch.stack([angles.cos(), angles.sin(), 0 * angles], dim=1), head)
    score = scorer.score(x)
    wanted = [slow(a, b) for a, b in zip(x.logits.tolist(), x.no_logits.tolist(), strict=True)]
    wanted = np.array([w[isinstance(scorer, CLIPNAgree)] for w in wanted])
    assert score.dtype == torch.float64
    assert score.numpy() == pytest.approx(wanted, rel=2e-5, abs=0)
    assert float(score.min()) < 1e-14
    complement = [1 / (1 + math.exp(gap)) for gap in (x.logits - x.no_logits)[:20, 0].tolist()]
    assert (1 - score[:20]).numpy() == pytest.approx(complement, rel=0.3, abs=2.3e-16)
    high = score[x.logits[:, 0] - x.no_logits[:, 0] < 35]
    assert bool((high.diff() < 0).all())
    assert float(high.max()) < 1


@pytest.mark.parametrize("scorer", [CLIPNCompete(), CLIPNAgree()], ids=lambda s: s.name)
def test_no_texts_are_needed(scorer):
    x = Outputs.from_embeddings(IMAGES, Head.zero_shot(TEXTS, "ab"))
    assert scorer.needs - x.provides == {"text:no"}
    with pytest.raises(OutputsError, match="text:no: this head holds no such bank"):
        scorer.score(x)
