"""The shared counts against a count by hand at every threshold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ood_toolkit.metrics import Counts, Ranking

pytestmark = pytest.mark.quick

SCORES = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=30)


@given(SCORES, SCORES)
def test_counts_equal_a_count_at_every_distinct_score(id_scores, ood_scores):
    ranking = Ranking.of(id_scores, ood_scores)
    rising = sorted(set(id_scores + ood_scores))
    assert ranking.id_positive.tp.tolist() == [sum(s >= t for s in id_scores) for t in reversed(rising)]
    assert ranking.id_positive.fp.tolist() == [sum(s >= t for s in ood_scores) for t in reversed(rising)]
    assert ranking.ood_positive.tp.tolist() == [sum(s <= t for s in ood_scores) for t in rising]
    assert ranking.ood_positive.fp.tolist() == [sum(s <= t for s in id_scores) for t in rising]


@given(SCORES, SCORES)
def test_totals_are_the_numbers_of_images(id_scores, ood_scores):
    ranking = Ranking.of(id_scores, ood_scores)
    assert (ranking.id_positive.positives, ranking.id_positive.negatives) == (len(id_scores), len(ood_scores))
    assert (ranking.ood_positive.positives, ranking.ood_positive.negatives) == (
        len(ood_scores),
        len(id_scores),
    )


@given(SCORES, SCORES)
def test_negating_and_swapping_gives_the_other_reading(id_scores, ood_scores):
    ranking = Ranking.of(id_scores, ood_scores)
    mirrored = Ranking.of(-np.array(ood_scores), -np.array(id_scores))
    assert ranking.ood_positive.tp.tolist() == mirrored.id_positive.tp.tolist()
    assert ranking.ood_positive.fp.tolist() == mirrored.id_positive.fp.tolist()


def test_counts_are_int64_on_every_platform():
    ranking = Ranking.of([1, 2], [0])
    for counts in (ranking.id_positive, ranking.ood_positive):
        assert isinstance(counts, Counts)
        assert counts.tp.dtype == counts.fp.dtype == np.int64
