"""The stops of the threshold against metrics of the same scores."""

import numpy as np
import pytest

from ood_toolkit import metrics
from ood_toolkit.report.html.positions import Positions, cut_of, grouped
from ood_toolkit.report.images_of_rows import Case, cases_of
from ood_toolkit.report.results import Answers, Row

pytestmark = pytest.mark.quick


def case_on(inside, outside):
    """A case of ready scores, of which nothing else is known."""
    test, ood = (Answers(np.arange(len(s)).astype(str), {"s": np.array(s, dtype=float)}) for s in (inside, outside))
    return Case(Row("ood", "s", "i", "o"), test, ood)


def test_every_stop_has_the_counts_of_the_metrics(drawn, make_report):
    for case in (*cases_of(drawn), *cases_of(make_report(tied=True))):
        (inside, outside), found = case.scores, Positions.of(case)
        assert (np.diff(found.thresholds) > 0).all()
        sizes = {name: len(scores) for name, scores in grouped(case).items()}
        assert sizes["right"] + sizes["wrong"] == len(inside)
        for place, cut in enumerate(found.thresholds):
            at = {name: int(counts[place]) for name, counts in found.accepted.items()}
            assert (at["right"] + at["wrong"]) / len(inside) == metrics.id_accepted(inside >= cut)
            assert 1 - at["ood"] / len(outside) == pytest.approx(metrics.ood_detected(outside >= cut), abs=1e-15)
            assert at["right"] == int(((inside >= cut) & case.test.right).sum())


def test_the_scorers_own_threshold_gives_the_numbers_of_its_row(drawn):
    for case in cases_of(drawn):
        found = Positions.of(case)
        accepted = {name: int(counts[found.own]) for name, counts in found.accepted.items()}
        assert found.thresholds[found.own] == cut_of(case) == case.test.cuts[case.row.scorer]
        assert (accepted["right"] + accepted["wrong"]) / case.row.n_id == case.row.id_accepted
        assert (case.row.n_ood - accepted["ood"]) / case.row.n_ood == case.row.ood_detected


def test_the_points_of_the_rules_are_stops(drawn):
    for case in cases_of(drawn):
        found = Positions.of(case)
        for point, place in found.points:
            if "clipn" in point.protocols:
                assert place is None or float(point.ood_accepted).is_integer()
                continue
            accepted = {name: int(counts[place]) for name, counts in found.accepted.items()}
            assert (accepted["right"] + accepted["wrong"], accepted["ood"]) == (point.id_accepted, point.ood_accepted)
        ours = next(point for point, _ in found.points if point.metric == "fpr95_id")
        assert ours.value == case.row.fpr95_id


def test_few_scores_are_all_stops_and_many_are_spread_evenly():
    few = Positions.of(case_on([1, 2, 2, 5], [0, 3]))
    assert few.thresholds.tolist() == [0, 1, 2, 3, 5, np.inf]
    draw = np.random.default_rng(0)
    inside, outside = draw.exponential(size=30_000), draw.normal(size=9_000)
    many = Positions.of(case_on(inside, outside))
    assert 300 < len(many.thresholds) < 420
    for name, n in (("unknown", len(inside)), ("ood", len(outside))):
        assert np.abs(np.diff(many.accepted[name], prepend=n)).max() < 0.006 * n


def test_infinite_scores_are_the_ends():
    found = Positions.of(case_on([np.inf, 1, -np.inf], [-np.inf, 0]))
    assert found.thresholds.tolist() == [-np.inf, 0, 1, np.inf]
    assert found.accepted["unknown"].tolist() == [3, 2, 2, 1]
    assert found.accepted["ood"].tolist() == [2, 1, 0, 0]
    assert found.to_page({"right": 0, "wrong": 0, "unknown": 3, "ood": 2}, "native")["t"] == [
        "-Infinity", 0, 1, "Infinity",
    ]  # fmt: skip


def test_a_run_without_thresholds_gives_what_decides_the_same(drawn):
    (case, *_) = cases_of(drawn)
    spec = case.row.scorer
    kept, case.test.cuts = case.test.cuts, {}
    try:
        cut = cut_of(case)
    finally:
        case.test.cuts = kept
    for said, scores in zip((case.test, case.ood), case.scores, strict=True):
        assert ((scores >= cut) == said.accepted[spec]).all()


def test_nothing_decided_is_no_threshold():
    case = case_on([1, 2], [0])
    assert cut_of(case) is None
    assert Positions.of(case).own is None
    case.test.accepted["s"], case.ood.accepted["s"] = np.array([True, False]), np.array([False])
    assert cut_of(case) is None  # the lower one was accepted: not by the score
