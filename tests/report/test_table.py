import re

import pytest

from ood_toolkit.report import Report
from ood_toolkit.report.results import Row

pytestmark = pytest.mark.quick

GOOD = {"auroc": 0.912345, "fpr95_id": 0.5, "aupr_in": 0.98765, "id_accepted": 0.95, "ood_detected": 1.0}
HEADER = {
    "protocol": "native",
    "id": [{"name": "digits", "images": 360, "accuracy": 0.98889, "ece": 0.0091, "validation_images": 90}],
    "ood": {"letters": 720, "patches": 800},
    "model": "digits-clip",
    "prompts": '"a photo of a {}"',
    "validation": {"digits": "the set's own split"},
}
LONGEST = ["classwise", "clipn-ctw", "mahalanobis"]


def rows(scorers=("classwise", "mahalanobis"), metrics=GOOD, **more):
    made = []
    for scorer in scorers:
        made += [Row("ood", scorer, "digits", ood, metrics=metrics, **more) for ood in ("letters", "patches")]
        made += [Row("mean", scorer, "digits", ood, metrics=metrics, **more) for ood in ("near", "all")]
        made.append(
            Row("misclassification", scorer, "digits", metrics={"auroc": 0.8, "aurc": 0.1, "f1_uncertain": 0.4})
        )
    return made


def lines(report, width=80):
    return report.table(width).splitlines()


def test_the_header_says_what_was_measured():
    assert lines(Report(rows(), HEADER))[:4] == [
        "ID digits: 360 test images, accuracy 98.89 %, ECE 0.91 %",
        "  validation: the set's own split, 90 images",
        "OOD letters (720), patches (800)",
        'model digits-clip, prompts "a photo of a {}"',
    ]


def test_no_line_is_longer_than_the_terminal():
    for scorers in (LONGEST, ["msp"]):
        table = lines(Report(rows(scorers), HEADER))
        assert max(map(len, table)) <= 80
        assert not [line for line in table if line != line.rstrip()]
    long = "its own prompts need a text tower; " * 5
    assert max(map(len, lines(Report(rows(LONGEST, notes=(long,)), HEADER)))) <= 80


@pytest.mark.parametrize("width", [40, 55, 80])
def test_what_a_table_goes_on_in_says_of_what_it_is(width):
    table = lines(Report(rows(LONGEST), HEADER), width)
    titles = [place for place, line in enumerate(table) if line.startswith("OOD detection (%)")]
    assert [table[place] for place in titles] == [
        "OOD detection (%)", *["OOD detection (%), continued"] * (len(titles) - 1)
    ]  # fmt: skip
    assert len(titles) == sum("──" in line for line in table) - 1  # the table of right and wrong has the other rule
    assert len(titles) > 1 or width == 80


def test_the_columns_and_numbers_by_hand():
    table = lines(Report(rows(), HEADER))
    (head,) = (line for line in table if "OOD set" in line)
    assert re.split(r" {2,}", head.strip()) == [
        "scorer", "OOD set", "AUROC", "FPR95(ID)", "AUPR-in", "ID accepted", "OOD detected",
    ]  # fmt: skip
    (first,) = (line for line in table if line.split()[:2] == ["classwise", "letters"])
    assert first.split()[2:] == ["91.23", "50.00", "98.76" if "98.76" in first else "98.77", "95.00", "100.00"]
    assert [line.split()[0] for line in table if line.endswith("100.00")].count("mean") == 4
    assert [line for line in table if line.strip().startswith("mean near")]
    assert "mean all" not in "\n".join(table)
    place = next(i for i, line in enumerate(table) if line.startswith("Misclassification on ID"))
    assert re.split(r" {2,}", table[place + 2].strip()) == ["scorer", "AUROC", "AURC", "F1(uncertain)"]
    assert table[-1].split() == ["mahalanobis", "80.00", "10.00", "40.00"]


def test_a_bare_fpr95_or_aupr_is_never_said():
    for protocol in ("native", "openood-v1.5", "pytorch-ood", "mcm", "clipn", "knn-ood", "vim"):
        metrics = dict.fromkeys(["auroc", "fpr95_id", "fpr95_ood", "aupr_in", "aupr_out", "ap_in"], 0.5)
        report = Report(rows(metrics=metrics), HEADER | {"protocol": protocol})
        for text in (report.table(100), report.to_markdown(), report.to_latex()):
            assert not re.search(r"FPR95(?!\((ID|OOD)\))|AUPR(?!-(in|out))", text)
        assert (f"protocol {protocol}" in report.table()) == (protocol != "native")


def test_without_decisions_their_columns_are_gone():
    metrics = {key: GOOD[key] for key in ("auroc", "fpr95_id", "aupr_in")}
    text = Report([row for row in rows(metrics=metrics) if row.kind == "ood"], HEADER).table()
    assert "accepted" not in text
    assert "detected" not in text
    assert "Misclassification" not in text


def test_what_is_missing_is_a_dash():
    lacking = [*rows(["msp"]), Row("misclassification", "energy", "digits", metrics={"f1_uncertain": 0.0})]
    assert lines(Report(lacking, HEADER))[-1].split() == ["energy", "-", "-", "0.00"]
    assert "nan" not in Report(rows(metrics=GOOD | {"auroc": float("nan")}), HEADER).table()


def test_skipped_and_failed_rows_are_told_below_once():
    out = [Row("ood", s, "digits", ood, status="skipped", notes=("needs train",)) for s in ("knn", "b") for ood in "xy"]
    broken = Row("ood", "bad", "digits", "x", status="failed", notes=("plugin: boom",))
    text = Report([*rows(["msp"], notes=("a note",)), *out, broken], HEADER).table()
    assert text.count("knn, b: skipped: needs train") == 1
    assert "bad: failed: plugin: boom\nto run what was skipped\n  train: " in text
    assert text.count("msp: a note") == 1
    assert "OOD detection" not in Report(out, HEADER).table()


def test_several_models_are_shown_side_by_side():
    made = [
        Row("ood", "msp", of, "q", decider, metrics=GOOD)
        for decider, of in (("a", "a"), ("a", "union"), ("b", "b"), ("b", "union"), ("vote", "union"))
    ]
    table = lines(Report(made, HEADER), 100)
    found = [line.split()[:4] for line in table if line.strip().startswith("msp") and "91.23" in line]
    assert found == [
        ["msp", d, i, "q"] for d, i in (("a", "a"), ("a", "union"), ("b", "b"), ("b", "union"), ("vote", "union"))
    ]
    assert any(line.split()[:4] == ["scorer", "decides", "ID", "OOD"] for line in table)


@pytest.mark.parametrize("color", [False, True])
def test_colour_only_on_request(color):
    assert ("\x1b[" in Report(rows(), HEADER).table(color=color)) is color


def test_brackets_in_names_are_no_markup():
    made = [Row("ood", "x[bold]y", "i", "o[/]p", metrics=GOOD, notes=("[red]z",))]
    text = Report(made, HEADER | {"model": "m[dim]"}).table()
    for part in ("x[bold]y", "o[/]p", "[red]z", "m[dim]"):
        assert part in text
