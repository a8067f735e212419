"""What is drawn equals what the metrics say: the points of curves, bins, thresholds and marks, not pictures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ood_toolkit import fit, metrics
from ood_toolkit.report.images_of_rows import case_of, id_test_of
from ood_toolkit.report.plot.points import MOST_POINTS, frontier, thinned
from ood_toolkit.scorers.classwise import Classwise

pytestmark = pytest.mark.quick

SCORERS = ("msp", "energy", "classwise", "entropy")


def case(report, scorer, ood="near"):
    row = next(row for row in report.rows if (row.kind, row.scorer, row.ood) == ("ood", scorer, ood))
    return case_of(report, row)


def names(ax):
    return [text.get_text().replace("\xa0", " ") for text in ax.get_legend().get_texts()]


def test_roc_curves_are_those_of_the_metrics_best_first(report):
    ax = report.plot.roc(ood="far")
    lines = [line for line in ax.lines if len(line.get_xdata()) > 2]
    found = {scorer: metrics.auroc(*case(report, scorer, "far").scores) for scorer in SCORERS}
    ordered = sorted(SCORERS, key=lambda scorer: -found[scorer])
    assert [name.split()[0] for name in names(ax)] == ordered
    for line, scorer, said in zip(lines, ordered, names(ax), strict=True):
        scores = case(report, scorer, "far").scores
        curve = metrics.roc_curve(*scores)
        assert np.array_equal(line.get_xdata(), curve.ood_accepted)
        assert np.array_equal(line.get_ydata(), curve.id_accepted)
        (mark,) = line.get_markevery()
        assert curve.ood_accepted[mark] == metrics.fpr95_id(*scores)
        assert said == f"{scorer} {100 * metrics.auroc(*scores):.1f}"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("OOD accepted (FPR)", "ID accepted (TPR)")
    assert ax.get_title("left") == "known against far"


def test_a_logarithmic_roc_begins_at_one_image(report):
    ax = report.plot.roc(scorers="msp", log=True)
    assert ax.get_xscale() == "log"
    assert ax.get_xlim() == pytest.approx((1 / 70, 1))


def test_histograms_hold_every_image_and_the_threshold_decides_as_the_run_did(report):
    ax = report.plot.hist(scorer="energy", bins=25)
    found = case(report, "energy")
    right = found.test.right
    groups = [found.scores[0][right], found.scores[1], found.scores[0][~right]]
    drawn = [patch.get_data() for patch in ax.patches]
    assert [name.rpartition("= ")[2] for name in names(ax)[:3]] == [f"{len(group)})" for group in groups]
    for held, scores in zip(drawn, groups, strict=True):
        assert len(held.edges) == 26
        assert held.values.sum() == pytest.approx(100)
        inner = np.histogram(scores, held.edges)[0][1:-1] / len(scores)
        assert held.values[1:-1] == pytest.approx(100 * inner)
    (line,) = ax.lines
    cut = line.get_xdata()[0]
    for part, scores in ((found.test, found.scores[0]), (found.ood, found.scores[1])):
        assert np.array_equal(scores >= cut, part.accepted["energy"])


def test_thresholds_are_those_that_were_fitted(report, sets):
    test, val, _ = sets
    ax = report.plot.thresholds(scorer="classwise")
    (cuts,) = [one for one in ax.collections if one.get_label().startswith("_child")]
    found = case(report, "classwise")
    classes = sorted(set(found.test.prediction.tolist()))
    fitted = fit(Classwise(), val).threshold_.numpy()
    drawn = {name: segment[0, 0] for name, segment in zip(classes, cuts.get_segments(), strict=True)}
    names_of_all = list(test.class_names)
    assert drawn == {name: pytest.approx(fitted[names_of_all.index(name)], abs=1e-6) for name in classes}
    assert [text.get_text() for text in ax.get_yticklabels()] == classes
    (side,) = ax.child_axes
    accepted = [found.test.accepted["classwise"][found.test.prediction == name].mean() for name in classes]
    assert [text.get_text() for text in side.get_yticklabels()] == [f"{100 * share:.0f}" for share in accepted]
    spans = [line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2][: len(classes)]
    for span, name in zip(spans, classes, strict=True):
        ends = np.percentile(found.test.confidence[found.test.prediction == name], (5, 95))
        assert span == pytest.approx(ends, abs=1e-6)


def test_a_scorer_with_one_threshold_has_it_at_every_class(report):
    ax = report.plot.thresholds(scorer="energy")
    (cuts,) = [one for one in ax.collections if one.get_label().startswith("_child")]
    values = {segment[0, 0] for segment in cuts.get_segments()}
    found = case(report, "energy")
    assert values == {found.test.cuts["energy"]}
    assert ax.get_xlabel() == "energy score"


def test_risk_against_coverage_is_that_of_the_metrics(report):
    ax = report.plot.risk_coverage()
    rows = sorted((row for row in report.rows if row.kind == "misclassification"), key=lambda row: row.aurc)
    perfect, *lines = ax.lines
    assert names(ax) == [*(f"{row.scorer} {100 * row.aurc:.2f}" for row in rows), "perfect ranking"]
    for line, row in zip(lines, rows, strict=True):
        test = id_test_of(report, row)
        scores = test.scores[row.scorer]
        curve = metrics.risk_coverage(scores[test.right], scores[~test.right])
        assert np.array_equal(line.get_xdata(), curve.coverage)
        assert np.array_equal(line.get_ydata(), 100 * curve.risk)
        best = np.interp(curve.coverage, perfect.get_xdata(), perfect.get_ydata())
        assert (best <= 100 * curve.risk + 1e-9).all()


def test_scatter_has_a_point_for_each_image(report):
    ax = report.plot.scatter(scorers=["entropy", "msp"], ood="far")
    outside, inside = (np.asarray(one.get_offsets()) for one in ax.collections)
    first, second = case(report, "entropy", "far"), case(report, "msp", "far")
    assert np.array_equal(inside, np.stack([first.scores[0], second.scores[0]], 1))
    assert np.array_equal(outside, np.stack([first.scores[1], second.scores[1]], 1))
    assert names(ax) == ["known (80)", "far (50)", "threshold"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("entropy score", "msp score")


@given(st.integers(1, 5000))
def test_many_points_are_thinned_evenly(count):
    rows = thinned(count)
    assert len(rows) == min(count, MOST_POINTS)
    assert (rows[0], rows[-1]) == (0, count - 1)
    if count > 1:
        steps = np.diff(rows)
        assert steps.max() - steps.min() <= 1


def test_cost_against_auroc_is_that_of_the_rows(report):
    ax = report.plot.pareto()
    means = {row.scorer: row for row in report.rows if row.kind == "mean"}
    points = np.concatenate([np.asarray(one.get_offsets()) for one in ax.collections[:1]])
    assert points.tolist() == [[row.seconds, 100 * row.auroc] for row in means.values()]
    one = report.plot.pareto(ood="far", scorers="energy", metric="fpr95_id")
    (found,) = [row for row in report.rows if (row.kind, row.scorer, row.ood) == ("ood", "energy", "far")]
    assert np.asarray(one.collections[0].get_offsets()).tolist() == [[found.seconds, 100 * found["fpr95_id"]]]


def test_where_lower_is_better_the_frontier_is_below():
    cost, value = np.array([1.0, 2.0, 3.0]), np.array([30.0, 10.0, 20.0])
    assert sorted(frontier(cost, -value)) == [0, 1]


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), min_size=1, max_size=30))
def test_nothing_beats_the_frontier_and_it_beats_all_else(points):
    cost, value = (np.array(part, dtype=float) for part in zip(*points, strict=True))
    ahead = set(frontier(cost, value).tolist())
    unbeaten = {
        (c, v) for c, v in points if not any(d <= c and w >= v and (d, w) != (c, v) for d, w in points)
    }  # fmt: skip
    assert sorted((cost[i], value[i]) for i in ahead) == sorted(unbeaten)


def test_reliability_is_that_of_the_metrics(report):
    ax = report.plot.reliability(bins=10)
    test = report.answers["known", "test"]
    found = metrics.reliability(test.confidence, test.right, 10)
    drawn = ax.containers[0]
    assert np.array_equal(drawn.lines[0].get_xdata(), found.confidence)
    assert np.array_equal(drawn.lines[0].get_ydata(), found.accuracy)
    for segment, hits, count in zip(drawn.lines[2][0].get_segments(), found.right, found.count, strict=True):
        interval = metrics.clopper_pearson(int(hits), int(count))
        assert segment[:, 1] == pytest.approx([interval.low, interval.high])
    ece = metrics.ece(test.confidence, test.right, 10)
    assert ax.get_legend().get_title().get_text().replace("\xa0", " ") == f"known: ECE {100 * ece:.2f} %, n = 80"
