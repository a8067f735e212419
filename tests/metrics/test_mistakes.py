"""Mistakes that other metric code made; each test fails on code that makes it."""

import numpy as np
import pytest
import torch

from ood_toolkit import metrics

SET_B = np.array([3, *range(5, 24)], dtype=float), np.array([0, 1, 2, 4, 5, 5, 6, 9, 13, 20], dtype=float)


def pairs_won(id_scores, ood_scores):
    """Compare every pair in float64, ties half."""
    a, b = np.asarray(id_scores, dtype=np.float64)[:, None], np.asarray(ood_scores, dtype=np.float64)[None]
    return float(np.mean((a > b) + 0.5 * (a == b)))


def test_aupr_out_turns_the_scores_round():
    # `detectors` forgot to: OOD found perfectly would then look like the worst ranking.
    id_scores, ood_scores = np.arange(10, 20), np.arange(0, 5)
    assert metrics.aupr_out(id_scores, ood_scores) == metrics.ap_out(id_scores, ood_scores) == 1.0
    assert metrics.aupr_out(*SET_B) == pytest.approx(metrics.aupr_in(-SET_B[1], -SET_B[0]), abs=1e-15)
    assert metrics.aupr_out(*SET_B) == pytest.approx(0.7464702360, abs=5e-11)


@pytest.mark.parametrize("seed", range(5))
def test_ties_are_grouped_whatever_the_order_of_rows(seed):
    # Ungrouped, constant scores give AUROC 0 or 1 depending on which class comes first.
    rng = np.random.default_rng(seed)
    constant = metrics.evaluate(np.full(30, 2.5), np.full(11, 2.5))
    assert constant["auroc"] == 0.5
    assert constant["detection_error"] == 0.5
    assert constant["aupr_in"] == pytest.approx((1 + 30 / 41) / 2)
    assert constant["ap_in"] == pytest.approx(30 / 41)
    tied = [rng.permutation(np.repeat([0.0, 1.0, 2.0], k)) for k in (9, 4)]
    assert metrics.auroc(*tied) == 0.5


@pytest.mark.parametrize("shift", [-500.0, 500.0, -1e6])
@pytest.mark.parametrize("protocol", metrics.PROTOCOLS)
def test_scores_outside_zero_to_one_are_not_squashed(shift, protocol):
    # A sigmoid makes all distances near 500 equal to 1, and AUROC 0.5 (FPR 0.995 for a Mahalanobis score).
    id_scores, ood_scores = SET_B
    expected = metrics.evaluate(id_scores, ood_scores, protocol)
    assert metrics.evaluate(id_scores + shift, ood_scores + shift, protocol) == expected
    assert expected["auroc"] == 0.81


def test_the_sigmoid_would_have_lost_the_order():
    with np.errstate(over="ignore"):
        squashed = [1 / (1 + np.exp(-(s + 500.0))) for s in SET_B]
    assert metrics.auroc(*squashed) == 0.5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_scores_are_counted_with_their_ties(dtype):
    # MCM over 1,000 classes lives between 0.00100 and 0.00110: few half-precision numbers lie there.
    generator = torch.Generator().manual_seed(0)
    id_scores = (0.00105 + 2e-5 * torch.randn(400, generator=generator)).to(dtype)
    ood_scores = (0.00104 + 2e-5 * torch.randn(300, generator=generator)).to(dtype)
    assert id_scores.double().unique().numel() < 200
    assert metrics.auroc(id_scores, ood_scores) == pytest.approx(
        pairs_won(id_scores.double().numpy(), ood_scores.double().numpy()), abs=1e-12
    )


def test_metrics_do_not_round_scores_that_float64_tells_apart():
    id_scores, ood_scores = 1 - np.array([1e-15, 2e-15]), 1 - np.array([3e-15, 4e-15])
    assert metrics.auroc(id_scores, ood_scores) == 1.0
    assert metrics.auroc(id_scores.astype(np.float32), ood_scores.astype(np.float32)) == 0.5


def test_saturated_softmax_ties_count_half():
    # At scale 100 a cosine gap of 0.18 already gives a float32 confidence of exactly 1.
    gaps = torch.tensor([0.18, 0.25, 0.40])
    confidence = torch.softmax(100 * torch.stack([gaps, torch.zeros(3)], dim=1), dim=1).amax(1)
    assert confidence.unique().numel() == 1
    assert metrics.auroc(confidence, confidence[:2]) == 0.5
    assert metrics.fpr95_id(confidence, confidence[:2]) == 1.0


def test_the_rate_is_not_compared_in_float32():
    # 19 of 20 in float32 lies below 0.95 in float64: the wrong threshold at every exact multiple.
    assert float(np.float32(19) / np.float32(20)) < 0.95
    for n in range(20, 2001, 20):
        assert metrics.fpr95_id(np.arange(n), np.arange(n) + 0.5) == (19 * n // 20) / n
        assert metrics.fpr95_ood(np.arange(n) - 0.5, np.arange(n)) == (19 * n // 20) / n


def test_distances_of_any_size_keep_their_value():
    # Value, not shape: three of four pairs in order.
    assert metrics.auroc([-512.25, -498.5], [-505.0, -733.0]) == 0.75
