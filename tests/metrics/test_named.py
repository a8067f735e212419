"""FPR at any level against a loop, exact at multiples; names of metrics; protocols that measure more."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ood_toolkit import metrics
from ood_toolkit.errors import MetricError
from ood_toolkit.metrics.levels import as_level, percent_of
from ood_toolkit.metrics.named import level_of, metric_key, with_measures
from ood_toolkit.metrics.ranking import Ranking

pytestmark = pytest.mark.quick

TIED = st.lists(st.integers(-6, 6).map(float), min_size=1, max_size=60)
LEVELS = st.integers(1, 1000).map(lambda thousandths: thousandths / 1000)


def slow_fpr_id(id_scores, ood_scores, level):
    """The highest threshold that accepts at least the level of ID, found by trying all; level is a fraction."""
    fits = [t for t in {*id_scores, *ood_scores} if Fraction(sum(s >= t for s in id_scores), len(id_scores)) >= level]
    return sum(s >= max(fits) for s in ood_scores) / len(ood_scores)


@given(TIED, TIED, LEVELS)
def test_fpr_at_is_what_a_loop_over_thresholds_finds(id_scores, ood_scores, level):
    exact = Fraction(round(1000 * level), 1000)
    assert metrics.fpr_at(id_scores, ood_scores, level) == slow_fpr_id(id_scores, ood_scores, exact)
    mirrored = slow_fpr_id([-s for s in ood_scores], [-s for s in id_scores], exact)
    assert metrics.fpr_at(id_scores, ood_scores, level, positive="ood") == mirrored


@given(TIED, TIED)
def test_the_level_of_fpr95_gives_fpr95(id_scores, ood_scores):
    assert metrics.fpr_at(id_scores, ood_scores) == metrics.fpr95_id(id_scores, ood_scores)
    assert metrics.fpr_at(id_scores, ood_scores, 0.95, "ood") == metrics.fpr95_ood(id_scores, ood_scores)


@pytest.mark.parametrize("n", [10, 70, 1000])
def test_exact_multiples_are_reached(n):
    # Of ID scores 0 .. n - 1 exactly nine tenths are at or above n / 10; one more OOD image is accepted below that.
    ood = [n // 10 - 0.5, n // 10 + 0.5]
    assert metrics.fpr_at(range(n), ood, 0.9) == 0.5
    assert metrics.fpr_at(range(n), ood, np.float32(0.9)) == 0.5
    assert metrics.fpr_at(range(n), ood, 0.9000001) == 1.0
    assert metrics.fpr_at(range(n), ood, 1) == 1.0


@pytest.mark.parametrize(
    "level", [0, -0.1, 1.01, float("nan"), float("inf"), True, "x", "1e-999999999", None, "9" * 99]
)
def test_a_level_that_is_none_is_refused(level):
    with pytest.raises(MetricError, match=r"level: expected a share above 0 and at most 1, such as 0\.9, got"):
        metrics.fpr_at([1.0], [0.0], level)


def test_a_class_that_is_none_is_refused():
    with pytest.raises(MetricError, match="positive: expected id or ood, got 'OOD'"):
        metrics.fpr_at([1.0], [0.0], 0.9, "OOD")


@pytest.mark.parametrize(("name", "key"), [
    ("fpr@0.9", "fpr90_id"), ("fpr@.95", "fpr95_id"), ("fpr@0.999", "fpr99.9_id"), ("fpr@1", "fpr100_id"),
    ("fpr90_ood", "fpr90_ood"), ("fpr95.0_id", "fpr95_id"), ("fpr0.5_id", "fpr0.5_id"), (" auroc ", "auroc"),
    ("macro_fpr@0.9", "macro_fpr90_id"), ("macro_auroc", "macro_auroc"), ("oscr", "oscr"), ("ap_out", "ap_out"),
    ("detection_error", "detection_error"),
])  # fmt: skip
def test_names_of_metrics(name, key):
    assert metric_key(name) == key
    assert metric_key(key) == key


@pytest.mark.parametrize(("name", "message"), [
    ("fpr", "unknown metric 'fpr'"), ("fpr95", "did you mean 'fpr95_id'"), ("auroq", "did you mean 'auroc'"),
    ("fpr@0", "level: expected"), ("fpr@x", "level: expected"), ("fpr101_id", "per cent above 0 and at most 100"),
    ("fpr1.2.3_id", "per cent above 0"), ("macro_oscr", "unknown metric 'macro_oscr'"), ("", "unknown metric ''"),
    ("macro_macro_auroc", "unknown metric"), ("aurc", "unknown metric 'aurc'"), ("x" * 999, "unknown metric 'x{60}'"),
])  # fmt: skip
def test_unknown_names_are_refused_in_a_line(name, message):
    with pytest.raises(MetricError, match=message) as refused:
        metric_key(name)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_levels_in_names_are_exact():
    assert level_of("fpr99.95_ood") == (Fraction(9995, 10000), "ood")
    assert level_of("auroc") is None
    assert [percent_of(as_level(level)) for level in (0.1, 0.95, 0.123, 1, "0.0001")] == [
        "10",
        "95",
        "12.3",
        "100",
        "0.01",
    ]


def test_a_protocol_measures_what_is_asked_for_and_keeps_its_own_rules():
    rng = np.random.default_rng(0)
    pair = rng.normal(1, 1, 300), rng.normal(0, 1, 200)
    rules = with_measures(metrics.find_protocol("mcm"), ["fpr90_id", "fpr95_id", "fpr80_ood", "detection_error"])
    found = rules.evaluate(Ranking.of(*pair))
    assert list(found) == ["auroc", "fpr95_id", "ap_in", "fpr90_id", "fpr80_ood", "detection_error"]
    assert found["fpr95_id"] == metrics.evaluate(*pair, "mcm")["fpr95_id"]
    assert found["fpr90_id"] == metrics.fpr_at(*pair, 0.9)
    assert found["fpr80_ood"] == metrics.fpr_at(*pair, 0.8, "ood")
    assert found["detection_error"] == metrics.detection_error(*pair)
    interval = metrics.bootstrap(*pair, rules, 50)["fpr90_id"]
    assert interval.low <= found["fpr90_id"] <= interval.high
    with pytest.raises(MetricError, match="'oscr': expected a metric of two arrays"):
        with_measures(rules, ["oscr"])
