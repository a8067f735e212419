"""The expected calibration error against a loop over images, and where its bins close."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ood_toolkit import metrics
from ood_toolkit.errors import MetricError

PAIRS = st.lists(
    st.tuples(st.floats(0, 1) | st.sampled_from([k / 15 for k in range(16)]), st.booleans()),
    min_size=1,
    max_size=60,
)


def slow_ece(confidence, right, bins):
    """Fill the bins (m/M, (m+1)/M] one image at a time."""
    total = 0.0
    for m in range(bins):
        members = [
            (c, r)
            for c, r in zip(confidence, right, strict=True)
            if (m / bins < c <= (m + 1) / bins) or (m == 0 and c == 0)
        ]
        if members:
            stated, hit = np.mean(members, axis=0)
            total += len(members) / len(confidence) * abs(hit - stated)
    return total


@given(PAIRS, st.sampled_from([1, 2, 10, 15, 100]))
def test_ece_is_the_slow_sum(pairs, bins):
    confidence, right = zip(*pairs, strict=True)
    assert metrics.ece(confidence, right, bins) == pytest.approx(slow_ece(confidence, right, bins), abs=1e-12)


def test_fifteen_bins_unless_told():
    confidence, right = [0.61, 0.65, 0.95], [True, False, True]
    assert metrics.ece(confidence, right) == metrics.ece(confidence, right, bins=15)


def test_bins_close_on_the_right():
    # 0.5 ends the first of two bins; were it in the second, the two gaps would cancel to 0.05.
    assert metrics.ece([0.5, 0.6], [True, False], bins=2) == pytest.approx((0.5 + 0.6) / 2)
    assert metrics.ece([0.5000001, 0.6], [True, False], bins=2) == pytest.approx(0.05, abs=1e-6)
    for k in range(1, 16):
        assert metrics.ece([k / 15, (k - 1) / 15 + 0.01], [True, False]) == pytest.approx(
            abs(1 - k / 15 - (k - 1) / 15 - 0.01) / 2
        )


def test_the_ends_and_a_perfect_model():
    assert metrics.ece([0.0, 1.0, 1.0], [False, True, True]) == 0
    assert metrics.ece([1.0], [False]) == 1
    assert metrics.ece(torch.full((4,), 0.75), torch.tensor([True, True, True, False])) == 0


def test_accuracy():
    assert metrics.accuracy([True, False, True, True]) == 0.75
    assert metrics.accuracy(torch.tensor([0, 1])) == 0.5


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (([0.5], [True, False]), "got 1 and 2"),
        (([1.5], [True]), r"probabilities in \[0, 1\], got 1.5"),
        (([-0.1], [True]), "got -0.1"),
        (([float("nan")], [True]), "NaN"),
        (([], []), "got none"),
        (([0.5], [0.5]), "expected True or False"),
        (([0.5], [True], 0), "bins: expected"),
        (([0.5], [True], 2.5), "bins: expected"),
        (([0.5], [True], True), "bins: expected"),
    ],
)
def test_what_ece_refuses(arguments, says):
    with pytest.raises(MetricError, match=says):
        metrics.ece(*arguments)


def test_accuracy_refuses_nothing_at_all():
    with pytest.raises(MetricError, match=r"^right: "):
        metrics.accuracy([])


@pytest.mark.parametrize(
    ("value", "said"),
    [(np.float32(1.0000001), "1.0000001"), (-1e-9, "-1e-09"), (1 + 2**-52, "1.0000000000000002"), (2.5, "2.5")],
)
def test_a_confidence_just_outside_is_written_so_that_one_sees_it(value, said):
    with pytest.raises(MetricError, match=rf"in \[0, 1\], got {re.escape(said)};"):
        metrics.ece(np.array([value, 0.2]), [True, False])
