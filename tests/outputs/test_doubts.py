import math

import numpy as np
import pytest
import torch

from ood_toolkit.outputs import Head, Outputs
from ood_toolkit.outputs.doubts import doubts_of_head, doubts_of_outputs

DRAW = np.random.default_rng(0)


def head(scale):
    return Head.zero_shot(np.eye(3, 4), ["a", "b", "c"], scale)


@pytest.mark.parametrize("scale", [math.log(100), 4.6052, math.log(117.33)])
def test_the_logarithm_of_a_scale_is_doubted(scale):
    (note,) = doubts_of_head(head(scale))
    assert note.startswith(f"scale {scale:.4g}: is it the log of {math.exp(scale):.0f}?")


@pytest.mark.parametrize("scale", [100.0, 1.0, 4.0, 5.0, 14.3])
def test_other_scales_are_not(scale):
    assert doubts_of_head(head(scale)) == []


def test_a_linear_head_has_no_scale_to_doubt():
    assert doubts_of_head(Head.linear(np.eye(3, 4), None)) == doubts_of_head(None) == []


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_probabilities_are_told_from_logits(kind):
    logits = DRAW.normal(size=(50, 7))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    (note,) = doubts_of_outputs(Outputs.from_logits(shares.astype(kind)))
    assert "sums to 1 and none is negative: are they probabilities?" in note
    (note,) = doubts_of_outputs(Outputs.from_logits((100 * shares).astype(np.float64)))
    assert "sums to 100" in note
    assert doubts_of_outputs(Outputs.from_logits(np.log(shares).astype(kind))) == []


def test_one_row_that_is_no_distribution_is_enough():
    shares = np.full((9, 4), 0.25)
    shares[8, 0] = 0.3
    assert doubts_of_outputs(Outputs.from_logits(shares)) == []
    shares = np.array([[1.5, -0.5], [0.5, 0.5]])
    assert doubts_of_outputs(Outputs.from_logits(shares)) == []


def test_one_class_is_no_distribution():
    assert doubts_of_outputs(Outputs.from_logits(np.ones((3, 1)))) == []


@pytest.mark.parametrize("noise", [0.0, 1e-9])
def test_equal_embeddings_are_doubted(noise):
    rows = np.tile(DRAW.normal(size=4), (6, 1)) + noise * DRAW.normal(size=(6, 4))
    assert doubts_of_outputs(Outputs(torch.tensor(rows), head=head(100.0))) == ["all 6 embeddings are equal"]
    rows[5, 1] += 0.01
    assert doubts_of_outputs(Outputs(torch.tensor(rows), head=head(100.0))) == []
    assert doubts_of_outputs(Outputs(torch.tensor(rows[:1]), head=head(100.0))) == []
