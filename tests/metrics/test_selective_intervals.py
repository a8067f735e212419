"""Intervals of right against wrong: against a bootstrap by hand, a known spread, and what must not change them."""

from itertools import pairwise

import numpy as np
import pytest

from ood_toolkit import metrics
from ood_toolkit.errors import MetricError

pytestmark = pytest.mark.quick

RIGHT, WRONG = [5.0, 4.0, 4.0, 3.0, 2.0, 2.0, 1.0, 6.0], [4.0, 1.0, 0.0, 2.0]


def slow(right, wrong):
    """The three areas from loops over images, whatever is missing."""
    every = right + wrong
    risks = [sum(s >= t for s in wrong) / sum(s >= t for s in every) for t in every]
    area = sum(risks) / len(every)
    least = sum(j / (len(right) + j) for j in range(1, len(wrong) + 1)) / len(every)
    covered = [(0.0, 0.0)] + [
        (sum(s >= t for s in every) / len(every), sum(s >= t for s in wrong) / len(every))
        for t in sorted(set(every), reverse=True)
    ]
    general = sum((b[0] - a[0]) * (b[1] + a[1]) / 2 for a, b in pairwise(covered))
    return area, max(0.0, area - least), general


def test_they_are_percentiles_of_images_drawn_from_all_together():
    every = sorted(RIGHT) + sorted(WRONG)
    generator, values = np.random.default_rng(7), []
    for _ in range(39):
        drawn = generator.integers(0, len(every), len(every))
        values.append(slow([every[i] for i in drawn if i < len(RIGHT)], [every[i] for i in drawn if i >= len(RIGHT)]))
    found = metrics.selective_intervals(RIGHT, WRONG, 39, seed=7)
    assert list(found) == ["auroc", "aurc", "eaurc", "augrc"]
    assert found["auroc"] == metrics.auroc_interval(RIGHT, WRONG)
    for key, column in zip(("aurc", "eaurc", "augrc"), np.sort(values, axis=0).T, strict=True):
        # 39 replicates: the ends at 0.025 (39 + 1) = 1 are the least and the largest.
        assert (found[key].low, found[key].high) == pytest.approx((column[0], column[-1]), abs=1e-12)


def test_the_error_rate_varies_with_the_images():
    # Constant scores: AURC is the error rate, AUGRC half of it, and so their intervals follow the binomial.
    found = metrics.selective_intervals(np.zeros(900), np.zeros(100), 1000)
    assert found["aurc"].low == pytest.approx(0.1 - 1.96 * np.sqrt(0.09 / 1000), abs=0.003)
    assert found["aurc"].high == pytest.approx(0.1 + 1.96 * np.sqrt(0.09 / 1000), abs=0.003)
    assert found["augrc"].low == found["aurc"].low / 2


def test_replicates_without_right_or_wrong_images_count():
    found = metrics.selective_intervals([2.0, 3.0], [0.0, 1.0], 400)
    assert (found["aurc"].low, found["aurc"].high) == (0.0, 1.0)
    assert (found["augrc"].low, found["augrc"].high) == (0.0, 0.5)


def test_the_order_of_rows_and_a_rising_map_change_nothing():
    found = metrics.selective_intervals(RIGHT, WRONG, 50, 3)
    assert metrics.selective_intervals(RIGHT[::-1], WRONG[::-1], 50, 3) == found
    assert metrics.selective_intervals(np.exp(RIGHT), np.exp(WRONG), 50, 3) == found
    assert metrics.selective_intervals(RIGHT, WRONG, 50, 4) != found


@pytest.mark.parametrize(("changed", "message"), [
    ({"replicates": 0}, "replicates: expected a whole number of at least 1"), ({"seed": -1}, "seed: expected"),
    ({"confidence": 1.0}, "confidence: expected"),
    ({"wrong_scores": [1.0]}, "two right and two wrong predictions .*, got 8 and 1"),
    ({"right_scores": []}, "right_scores: expected at least one image"),
])  # fmt: skip
def test_bad_input_is_refused(changed, message):
    with pytest.raises(MetricError, match=message):
        metrics.selective_intervals(**{"right_scores": RIGHT, "wrong_scores": WRONG, **changed})
