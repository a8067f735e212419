"""Tables for many scorers: what stands where, in which order, and what is marked."""

import re
from dataclasses import replace

import pytest

from ood_toolkit.errors import MetricError
from ood_toolkit.report import Report
from ood_toolkit.report.order import mean_of, ordered
from ood_toolkit.report.results import Row

NAMES = ["msp", "energy", "classwise-entropy", "knn", "vim", "mcm", "gen", "odin", "react"]
HEADER = {"protocol": "native", "id": [{"name": "i", "images": 30}], "ood": {"near": 5, "far": 6}}


def value(place, ood):
    """Give an AUROC that is another one in each cell: `far` is turned round."""
    return 0.5 + 0.05 * place if ood == "near" else 0.99 - 0.03 * place


def rows_of(names=NAMES, **more):
    made = []
    for place, name in enumerate(names):
        both = {ood: value(place, ood) for ood in ("near", "far")}
        for ood, auroc in both.items():
            told = {"auroc": auroc, "fpr95_id": 1 - auroc, "aupr_in": 0.5, "id_accepted": 0.95, "ood_detected": 0.5}
            made.append(Row("ood", name, "i", ood, metrics=told, seconds=place / 8, **more))
        mean = sum(both.values()) / 2
        made.append(
            Row("mean", name, "i", "all", metrics={"auroc": mean, "fpr95_id": 1 - mean, "aupr_in": 0.5}, **more)
        )
        made.append(Row("misclassification", name, "i", metrics={"auroc": 0.6}, **more))
    return made


def table(report, width=200, **more):
    return report.table(width, **more).splitlines()


def order_of(report, **more):
    lines = table(report, **more)
    rule = next(place for place, line in enumerate(lines) if "──" in line)
    return [line.split()[0] for line in lines[rule + 1 : rule + 1 + len(NAMES)]]


def test_more_than_eight_scorers_have_a_line_each():
    report = Report(rows_of(), HEADER)
    assert len([line for line in table(report) if " knn " in line]) == 1
    assert len([line for line in table(Report(rows_of(NAMES[:8]), HEADER)) if " knn " in line]) == 2
    (line,) = [line for line in table(report) if line.strip().startswith("knn")]
    # AUROC near, far, mean; FPR95(ID); AUPR-in; accepted, right, seconds
    expected = [f"{100 * v:.2f}" for v in (0.65, 0.90, 0.775, 0.35, 0.10, 0.225, 0.5, 0.5, 0.5, 0.95, 0.6)]
    assert line.replace("*", " ").split()[1:] == [*expected, "0.375"]


@pytest.mark.parametrize("names", [NAMES, NAMES[:8], NAMES[:1]])
@pytest.mark.parametrize("width", [80, 120, None])
def test_intervals_stand_in_brackets_however_many_scorers_there_are(names, width):
    made = {"auroc": "DeLong", "others": "bootstrap", "replicates": 40, "confidence": 0.95, "seed": 0}
    rows = [
        replace(row, metrics=row.metrics | {"auroc_low": row.auroc - 0.011, "auroc_high": row.auroc + 0.013})
        if row.kind == "ood" else row
        for row in rows_of(names)
    ]  # fmt: skip
    text = Report(rows, HEADER | {"intervals": made}).table(width)
    said = "in brackets 95 % intervals: DeLong for AUROC, else bootstrap with 40 replicates, seed 0"
    assert said in " ".join(text.split())
    for row in rows:
        ends = f" [{100 * row.auroc - 1.1:.1f}, {100 * row.auroc + 1.3:.1f}]"
        assert row.kind != "ood" or f"{100 * row.auroc:.2f}{ends}" in text
    assert width is None or max(map(len, text.splitlines())) <= width


def paired_with(*references):
    """Make a paired test of `gen` on each set against a reference."""
    return [
        {"id": "i", "ood": ood, "scorer": "gen", "against": other, "auroc": 0.5, "difference": -0.00001, "low": -0.02,
         "high": 0.01, "p": 0.2, "p_holm": 0.4}
        for ood, other in zip(("near", "far"), references, strict=True)
    ]  # fmt: skip


@pytest.mark.parametrize("names", [NAMES, ["gen", "msp", "knn"]])
@pytest.mark.parametrize(
    ("references", "whole"),
    [
        ([{"scorer": "msp"}] * 2, "points more than msp"),
        ([{"scorer": "knn", "model": "m"}] * 2, "points more than m knn"),
        ([{"scorer": "msp"}, {"scorer": "knn"}], "points more than another scorer"),
    ],
)
def test_what_tests_compare_with_is_named_once(names, references, whole):
    report = Report(rows_of(names), HEADER | {"paired": paired_with(*references)})
    (title,) = [line for line in table(report) if line.startswith("AUROC, paired")]
    lines = table(report)[table(report).index(title) :]
    same = references[0] == references[1]
    one = " ".join(reversed([*references[0].values()]))
    if len(names) > 8:
        assert whole in title
        assert any("+0.00 (0.400)" in line for line in lines)  # never a minus nought
        heads = ["near", "far"] if same else ["near against msp", "far against knn"]
        (head,) = [line for line in lines if line.startswith(" scorer")]
        assert [part.strip() for part in head.split("  ") if part.strip()] == ["scorer", *heads]
    else:
        assert (f", against {one}" in title) == same
        assert any("against" in line for line in lines[1:]) != same
    assert not same or sum(line.count(one) for line in lines) == 1


def test_the_best_of_each_column_is_marked_and_named():
    lines = table(Report(rows_of(), HEADER))
    cells = {line.split()[0]: line for line in lines if re.match(" [a-z-]+ +[0-9]", line)}
    assert cells["react"].count("*") == 4  # near and the mean, of AUROC and FPR95(ID)
    assert cells["msp"].count("*") == 2  # far
    assert sum(line.count("*") for line in cells.values()) == 6  # nothing is best where all are the same
    assert any(line == "* the best of its column; by AUROC, mean: react with 82.50 %" for line in lines)
    coloured = Report(rows_of(), HEADER).table(200, color=True)
    assert "\x1b[1m82.50*\x1b[0m" in coloured
    assert "**90.00**" in Report(rows_of(), HEADER).to_markdown()
    assert r"\textbf{90.00}" in Report(rows_of(), HEADER).to_latex()


def test_scorers_are_sorted_best_first():
    report = Report(rows_of(), HEADER)
    assert order_of(report) == NAMES[::-1]  # means rise with the place
    assert order_of(report, sort="none") == NAMES
    assert order_of(report, sort="name") == sorted(NAMES)
    assert order_of(report, sort="seconds") == NAMES
    assert order_of(report, sort="fpr95_id") == NAMES[::-1]
    few = Report(rows_of(NAMES[:3]), HEADER)
    assert [line.split()[0] for line in table(few) if re.match(" .* near +[0-9]", line)] == NAMES[:3]
    turned = table(few, sort="auroc")
    assert [line.split()[0] for line in turned if re.match(" .* near +[0-9]", line)] == NAMES[2::-1]
    with pytest.raises(MetricError, match=r"--sort: expected a metric of this run.*did you mean 'auroc'"):
        report.table(sort="auroq")


def test_a_mean_is_over_all_sets_or_the_only_one():
    rows = rows_of(["msp"])
    assert mean_of(rows, "auroc") == pytest.approx((0.5 + 0.99) / 2)
    assert mean_of(rows, "id_accepted") == 0.95
    assert mean_of([row for row in rows if row.kind != "mean"], "auroc") == pytest.approx((0.5 + 0.99) / 2)
    assert mean_of(rows[:1], "auroc") == 0.5
    assert mean_of(rows, "none") is None
    skipped = Row("ood", "a", "i", "near", status="skipped", notes=("needs train",))
    assert ordered([skipped, *rows], "auroc")[-1] is skipped


def test_what_cannot_be_told_apart_from_the_best_is_marked():
    other = {"scorer": "react"}
    tests = [
        {"id": "i", "ood": "near", "scorer": name, "against": other, "auroc": 0.5, "difference": -0.01, "low": -0.02,
         "high": 0.01, "p": p, "p_holm": p}
        for name, p in (("odin", 0.4), ("gen", 0.05), ("mcm", 0.049))
    ]  # fmt: skip
    report = Report(rows_of(), HEADER | {"paired": tests})
    cells = {line.split()[0]: line for line in table(report) if re.match(" [a-z-]+ +[0-9]", line)}
    assert {name for name, line in cells.items() if "~" in line} == {"odin", "gen"}
    assert "85.00~" in cells["odin"]
    assert any(line.startswith("~ not told apart from the best") for line in table(report))
    assert any("-1.00 (0.049)" in line for line in table(report))
    against_another = [test | {"against": {"scorer": "msp"}} for test in tests]
    assert "~" not in Report(rows_of(), HEADER | {"paired": against_another}).table(200)


@pytest.mark.parametrize("width", [34, 60, 80, 120])
def test_a_matrix_fits_and_names_fold_at_hyphens_alone(width):
    lines = table(Report(rows_of(), HEADER), width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for word in ("classwise", "entropy", "react"):
        assert word in text
    assert not [line for line in lines if re.match(r" (classwi|entro|ntropy)\b", line)]


def test_skipped_scorers_are_gathered_at_the_end():
    skipped = [
        Row("ood", name, "i", ood, status="skipped", notes=("needs train",))
        for name in ("a", "b")
        for ood in ("near", "far")
    ]
    failed = Row("ood", "bad", "i", "near", status="failed", notes=("plugin: boom",))
    lines = table(Report([*skipped, failed, *rows_of(notes=("a note",))], HEADER))
    assert lines[-4:-1] == ["a, b: skipped: needs train", "bad: failed: plugin: boom", "to run what was skipped"]
    assert lines[-5].endswith("react: a note")


def test_several_models_and_deciders_have_columns_of_names():
    rows = [row for model in ("one", "two") for row in rows_of(model=model)]
    report = Report(rows, {**HEADER, "models": [{"model": "one"}, {"model": "two"}]})
    (head,) = [line for line in table(report) if line.split()[:2] == ["model", "scorer"]]
    assert head
    assert len([line for line in table(report) if " knn " in line]) == 2
