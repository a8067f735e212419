"""Metrics that were asked for, in rows, means, tables, files and intervals, each against the metric functions."""

from dataclasses import replace

import numpy as np
import pytest

from ood_toolkit import metrics
from ood_toolkit.benchmark.members import Member
from ood_toolkit.benchmark.runner import bench
from ood_toolkit.errors import DataError, MetricError
from ood_toolkit.outputs import Outputs
from ood_toolkit.report import Report
from ood_toolkit.report import comparison as comparing
from ood_toolkit.report.columns import heading
from ood_toolkit.report.intervals import with_intervals
from ood_toolkit.report.order import lower_is_better
from ood_toolkit.report.run_folder import read_run

ASKED = ("fpr@0.9", "fpr80_ood", "oscr", "macro_auroc", "macro_fpr@0.9", "detection_error")
KEYS = ["fpr90_id", "fpr80_ood", "oscr", "macro_auroc", "macro_fpr90_id", "detection_error"]


@pytest.fixture
def sets(make_outputs):
    plain = make_outputs(45, seed=4)
    return {
        "test": make_outputs(60, seed=1), "val": make_outputs(50, seed=2), "groups": {"near": ["o", "q"]},
        "ood": {"o": make_outputs(40, seed=3), "q": Outputs(plain.features, head=plain.head)},
    }  # fmt: skip


@pytest.fixture
def report(sets):
    return bench("msp,energy", **sets)


def row_of(report, spec="msp", ood="o", kind="ood"):
    (row,) = [row for row in report.rows if (row.kind, row.scorer, row.ood) == (kind, spec, ood)]
    return row


def test_rows_hold_what_the_functions_give(report, sets):
    found = report.with_metrics(*ASKED)
    assert found.header["metrics"] == KEYS
    for spec in ("msp", "energy"):
        test, ood = report.answers["id", "test"], report.answers["id", "ood:o"]
        inside, outside = test.scores[spec], ood.scores[spec]
        classes = sets["ood"]["o"].labels.numpy()
        averaged = [metrics.auroc(inside, outside[classes == c]) for c in np.unique(classes)]
        accepted = [metrics.fpr_at(inside, outside[classes == c], 0.9) for c in np.unique(classes)]
        row = row_of(found, spec)
        assert row["fpr90_id"] == metrics.fpr_at(inside, outside, 0.9)
        assert row["fpr80_ood"] == metrics.fpr_at(inside, outside, 0.8, "ood")
        assert row["oscr"] == metrics.oscr(inside, outside, test.right)
        assert row["macro_auroc"] == pytest.approx(np.mean(averaged))
        assert row["macro_fpr90_id"] == pytest.approx(np.mean(accepted))
        assert row["detection_error"] == row_of(report, spec)["detection_error"]  # it was there already
        mean = row_of(found, spec, "near", "mean")
        assert mean["oscr"] == pytest.approx((row["oscr"] + row_of(found, spec, "q")["oscr"]) / 2)
        assert mean["fpr90_id"] == pytest.approx((row["fpr90_id"] + row_of(found, spec, "q")["fpr90_id"]) / 2)
    rest = [
        replace(row, metrics={k: v for k, v in row.metrics.items() if k not in KEYS[:5]}, notes=())
        for row in found.rows
    ]
    assert rest == [replace(row, notes=()) for row in report.rows]
    assert "metrics" not in report.header


def test_what_a_set_cannot_give_is_said_and_has_no_mean(report):
    found = report.with_metrics(*ASKED)
    row = row_of(found, ood="q")
    assert {"macro_auroc", "macro_fpr90_id"} & set(row.metrics) == set()
    assert row.notes == ("no macro_auroc, macro_fpr90_id: the images of q have no classes of their own",)
    assert "macro_auroc" not in row_of(found, ood="all", kind="mean").metrics
    unlabelled = replace(report, answers={key: replace_right(said) for key, said in report.answers.items()})
    assert "which predictions on ID are right is not known" in row_of(unlabelled.with_metrics("oscr")).notes[0]


def replace_right(said):
    return type(said)(**{**vars(said), "right": None, "truth": None})


def test_images_without_a_class_are_left_out(report, sets):
    said = report.answers["id", "ood:o"]
    source = said.source.copy()
    source[:7] = ""
    changed = replace(
        report, answers={**report.answers, ("id", "ood:o"): type(said)(**{**vars(said), "source": source})}
    )
    row = row_of(changed.with_metrics("macro_auroc"))
    inside, outside = report.answers["id", "test"].scores["msp"], said.scores["msp"]
    assert row["macro_auroc"] == metrics.macro_average(inside, outside[7:], source[7:])["auroc"]
    assert row.notes == ("7 images of o without a class are left out of means over classes",)
    known = report.answers["id", "test"]
    known.truth[:5] = ""
    row = row_of(report.with_metrics("oscr"))
    assert row["oscr"] == metrics.oscr(inside[5:], outside, known.right[5:])


def test_they_are_in_every_form_and_come_back_from_a_folder(report, tmp_path):
    found = report.with_metrics(*ASKED)
    table = found.table(None)
    for head in ("FPR90(ID)", "FPR80(OOD)", "OSCR", "macro AUROC", "macro FPR90(ID)", "detection error"):
        assert head in table
        assert head in found.to_markdown()
    assert f"{100 * row_of(found)['oscr']:.2f}" in table
    assert "oscr" in found.to_csv().splitlines()[0].split(",")
    assert '"macro_fpr90_id"' in found.to_json()
    found.save(tmp_path / "run")
    run = read_run(tmp_path / "run")
    assert run.rows == found.rows
    again = Report(run.rows, run.header, run.answers)
    assert again.with_metrics("macro_ap_in").rows == found.with_metrics("macro_ap_in").rows
    report.save(tmp_path / "plain")
    plain = read_run(tmp_path / "plain")
    assert Report(plain.rows, plain.header, plain.answers).with_metrics(*ASKED).rows == found.rows


def test_under_another_protocol_they_are_computed_again(report):
    found = comparing.measured(report.with_metrics("fpr95_ood", "oscr"), "mcm")
    row = row_of(found)
    assert found.header["metrics"] == ["fpr95_ood", "oscr"]
    assert row["oscr"] == row_of(report.with_metrics("oscr"))["oscr"]
    assert row["fpr95_ood"] == row_of(report)["fpr95_ood"]  # which mcm lacks: by the native rule
    assert set(row.metrics) == {"auroc", "fpr95_id", "ap_in", "id_accepted", "ood_detected", "fpr95_ood", "oscr"}


def test_intervals_of_what_was_asked_for(report):
    found = with_intervals(report.with_metrics("fpr@0.9", "oscr", "macro_auroc"), 40, seed=1)
    test, ood = report.answers["id", "test"], report.answers["id", "ood:o"]
    expected = metrics.oscr_interval(test.scores["msp"], ood.scores["msp"], test.right, 40, 1)
    row = row_of(found)
    assert (row["oscr_low"], row["oscr_high"]) == (expected.low, expected.high)
    assert row["fpr90_id_low"] <= row["fpr90_id"] <= row["fpr90_id_high"]
    assert "macro_auroc_low" not in row.metrics
    plain = row_of(with_intervals(report, 40, seed=1))
    assert row["ap_in_low"] == plain["ap_in_low"]  # the same images were drawn


def test_combinations_and_streams_have_them_too(make_outputs):
    ood = {"o": make_outputs(40, seed=3)}
    members = {}
    for name, seed in (("a", 1), ("b", 7)):
        tests = {other: make_outputs(30, seed=number) for other, number in (("a", 1), ("b", 7))}
        members[name] = Member(make_outputs(50, seed=seed + 1), tests, ood)
    found = bench("msp", members=members, combiners="mean-score").with_metrics("macro_auroc", "oscr")
    assert all({"macro_auroc", "oscr"} <= set(row.metrics) for row in found.rows if row.kind == "ood")
    stream = bench("adaneg", make_outputs(60, seed=1), ood).with_metrics("macro_auroc", "oscr")
    row = row_of(stream, stream.rows[0].scorer)
    pair = [stream.answers["id", key].beside("o", row.scorer) for key in ("test", "ood:o")]
    assert row["oscr"] == metrics.oscr(*pair, stream.answers["id", "test"].right)


def test_errors_are_one_line(report):
    with pytest.raises(MetricError, match="unknown metric 'ocsr'; did you mean 'oscr'"):
        report.with_metrics("ocsr")
    with pytest.raises(DataError, match="expected scores of every image"):
        Report(report.rows, report.header).with_metrics("oscr")
    assert report.with_metrics().rows is report.rows


def test_headings_and_directions():
    assert [heading(key) for key in ("fpr99.5_ood", "macro_ap_in", "junk", "fpr0_id")] == [
        "FPR99.5(OOD)", "macro AP-in", "junk", "fpr0_id"
    ]  # fmt: skip
    lower = [key for key in (*KEYS, "auroc", "augrc", "fpr95_id", "tnr_at_tpr95") if lower_is_better(key)]
    assert lower == ["fpr90_id", "fpr80_ood", "macro_fpr90_id", "detection_error", "augrc", "fpr95_id"]


def test_pareto_finds_a_metric_that_no_row_has(report):
    pytest.importorskip("matplotlib")
    ax = report.plot.pareto(metric="fpr@0.9")
    assert ax.get_ylabel() == "FPR90(ID), mean (%)"
